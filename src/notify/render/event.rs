//! A message as a CloudEvent 1.0, structured JSON: for programs, with the same words for people in it.

use serde_json::{Map, Value, json};

use super::plain::paragraphs;
use super::{Caps, Message, Tone, line, markdown, sanitised, words};
use crate::model::{Notice, NoticeScope};
use crate::notify::channel::Parcel;

/// What CloudEvents are made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where notices come from, an absolute address.
    pub source: String,
    /// What types begin with: a partner's reverse domain name, such as `com.contoso.health`.
    pub type_prefix: String,
}

impl Envelope {
    /// What types begin with, where nothing is set.
    pub const TYPE_PREFIX: &'static str = "azurehealthpartner";

    /// The event of a parcel within `caps`: of one notice its own, of several a bundle of them.
    pub fn event(&self, parcel: &Parcel, caps: Caps) -> Value {
        match parcel.notices.as_slice() {
            [one] => {
                let mut event = self.of(one, parcel, caps);
                event["id"] = parcel.id.to_string().into();
                event
            }
            many => {
                let message = Message::of(parcel, caps);
                let told = many.iter().take(caps.notices);
                let (word, number) = message.tone.severity();
                let mut data = json!({
                    "message": words(&message),
                    "notices": told.map(|notice| data(notice, parcel, caps)).collect::<Vec<_>>(),
                });
                if message.left_out > 0 {
                    data["noticesLeftOut"] = message.left_out.into();
                }
                json!({
                    "specversion": "1.0",
                    "id": parcel.id,
                    "source": self.source,
                    "type": format!("{}.bundle", self.type_prefix),
                    "time": many.last().map_or(parcel.sent_at, |notice| notice.story.at),
                    "datacontenttype": "application/json",
                    "severitytext": word,
                    "severitynumber": number,
                    "data": data,
                })
            }
        }
    }

    /// One event for each notice, each with its own id: for destinations that take lists.
    pub fn events(&self, parcel: &Parcel, caps: Caps) -> Vec<Value> {
        parcel.notices.iter().map(|notice| self.of(notice, parcel, caps)).collect()
    }

    fn of(&self, notice: &Notice, parcel: &Parcel, caps: Caps) -> Value {
        let alone = Parcel { notices: vec![notice.clone()], ..parcel.clone() };
        let message = Message::of(&alone, caps);
        let (word, number) = Tone::of(notice).severity();
        let mut data = data(notice, parcel, caps);
        data["message"] = words(&message);
        json!({
            "specversion": "1.0",
            "id": notice.id,
            "source": self.source,
            "type": format!("{}.{}", self.type_prefix, type_of(&notice.story.word)),
            "subject": words::about(&notice.subject),
            "time": notice.story.at,
            "datacontenttype": "application/json",
            "severitytext": word,
            "severitynumber": number,
            "data": data,
        })
    }
}

/// A word as a part of a type.
fn type_of(word: &str) -> String {
    let word: String = word.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    if word.is_empty() { "notice".to_owned() } else { word }
}

fn words(message: &Message) -> Value {
    json!({"subject": message.subject, "markdown": markdown::markdown(message)})
}

/// A notice for programs: ids, enumerations as documents spell them, times in UTC. No contacts.
fn data(notice: &Notice, parcel: &Parcel, caps: Caps) -> Value {
    let story = &notice.story;
    let mut data = Map::new();
    let mut say = |name: &str, value: Value| {
        if !value.is_null() {
            data.insert(name.to_owned(), value);
        }
    };
    say("noticeId", json!(notice.id));
    say("kind", json!(line(&story.word, 60)));
    say("phase", json!(story.phase));
    say("severity", json!(story.severity));
    say("title", json!(line(&story.title, caps.line)));
    say("foundAt", json!(story.at));
    say("audience", json!(if notice.scope == NoticeScope::Partner { "partner" } else { "customer" }));
    say("route", json!(line(&notice.route, 100)));
    say("subject", json!(notice.subject));
    say("episode", json!(notice.episode));
    say("transitions", json!(notice.transitions.iter().take(caps.list).collect::<Vec<_>>()));
    if let Some(customer) = &story.customer {
        let name = line(&customer.display_name, caps.line);
        say("customer", json!({"tenantId": customer.tenant_id, "displayName": name}));
    }
    if let Some(event) = &story.event {
        say("event", event_of(event, parcel, caps));
    }
    if !story.subscriptions.is_empty() {
        let some: Map<_, _> = story
            .subscriptions
            .iter()
            .take(caps.list)
            .map(|(id, name)| (id.to_string(), line(name, 100).into()))
            .collect();
        say("subscriptions", some.into());
        say("subscriptionsTotal", story.subscriptions.len().into());
    }
    if !story.resources.is_empty() {
        say("resources", json!(story.resources.iter().take(caps.list).collect::<Vec<_>>()));
        say("resourcesTotal", story.resources.len().into());
    }
    if !story.changes.is_empty() {
        say("changes", json!(story.changes));
    }
    say("remedy", json!(story.remedy.as_ref().map(|remedy| line(remedy, 1_000))));
    let facts: Map<_, _> =
        story.facts.iter().take(20).map(|(name, value)| (line(name, 60), line(value, caps.line).into())).collect();
    if !facts.is_empty() {
        say("facts", facts.into());
    }
    if !story.affected.is_empty() {
        say("affected", json!(story.affected.iter().take(caps.list).collect::<Vec<_>>()));
        say("affectedTotal", story.affected.len().into());
    }
    data.into()
}

fn event_of(event: &crate::model::StoryEvent, parcel: &Parcel, caps: Caps) -> Value {
    let mut said = json!({
        "trackingId": event.tracking_id,
        "eventType": event.event_type,
        "status": event.status,
        "impact": event.impact.iter().take(caps.list.max(1)).map(|service| json!({
            "service": line(&service.service, 100),
            "regions": service.regions.iter().take(caps.list.max(1)).map(|region| line(&region.region, 100)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    for (name, at) in [
        ("impactStart", event.impact_start),
        ("impactMitigation", event.impact_mitigation),
        ("lastUpdate", event.last_update),
    ] {
        if let Some(at) = at {
            said[name] = json!(at);
        }
    }
    if event.text_withheld {
        said["textWithheld"] = true.into();
    }
    if let Some(link) = &event.link {
        said["link"] = line(link, 2_000).into();
    }
    let room = caps.text / parcel.notices.len().clamp(1, caps.notices);
    if let Some(html) = event.text.as_ref().and_then(|hash| parcel.texts.get(hash)).filter(|_| room > 0) {
        let (html, cut) = sanitised(html, room);
        said["text"] = paragraphs(&html).join("\n").into();
        said["textCut"] = cut.into();
    }
    said
}
