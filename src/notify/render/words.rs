//! Our words for a notice.

use super::plain::paragraphs as paragraphs_of;
use super::{Caps, Section, Text, Tone, moment, sanitised};
use crate::model::{EventChange, EventType, Notice, Phase, ResourceId, ServiceImpact, Severity, Story, Subject};
use crate::notify::channel::Parcel;

/// The longest subject: what mail programs show.
const MAX_SUBJECT: usize = 200;
/// Names and values that a story may add.
const MAX_FACTS: usize = 20;
/// Services that are named.
const MAX_SERVICES: usize = 8;

/// One line: without control characters, without characters that nobody sees or that turn the line around, capped.
pub fn line(text: &str, most: usize) -> String {
    let (mut out, mut count, mut gap) = (String::new(), 0, false);
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            gap = !out.is_empty();
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        if std::mem::take(&mut gap) {
            out.push(' ');
            count += 1;
        }
        out.push(c);
        count += 1;
        // No reading on: what comes from outside may be long.
        if count > most {
            let short: String = out.chars().take(most.saturating_sub(1)).collect();
            return format!("{}…", short.trim_end());
        }
    }
    out
}

/// Characters of no width, and those that change the direction of what follows.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A kind of event in plain words.
pub fn kind_of(event_type: &EventType) -> String {
    match event_type {
        EventType::ServiceIssue => "Service issue".to_owned(),
        EventType::PlannedMaintenance => "Planned maintenance".to_owned(),
        EventType::HealthAdvisory => "Health advisory".to_owned(),
        EventType::SecurityAdvisory => "Security advisory".to_owned(),
        EventType::Rca => "Root cause analysis".to_owned(),
        EventType::EmergingIssues => "Emerging issue".to_owned(),
        EventType::Billing => "Billing notice".to_owned(),
        EventType::Other(word) => line(&spaced(word), 40),
    }
}

/// What happened, in a few words.
pub fn label(story: &Story) -> String {
    let kind = story.event.as_ref().map(|event| kind_of(&event.event_type));
    match (kind, story.word.as_str()) {
        (Some(kind), "eventOpened") => format!("{kind} began"),
        (Some(kind), "eventUpdated") => format!("{kind}: news"),
        (Some(kind), "eventResolved") => format!("{kind} is over"),
        (Some(kind), "eventReopened") => format!("{kind} is back"),
        (Some(kind), "eventCancelled") => format!("{kind} called off"),
        (Some(kind), "eventRetracted") => format!("{kind} taken back: a false alarm"),
        (Some(kind), "reminder") => format!("Reminder: {}", lower_first(&kind)),
        _ => line(&spaced(&story.word), 60),
    }
}

/// `accessLost` as `Access lost`.
fn spaced(word: &str) -> String {
    let mut out = String::new();
    for c in word.chars() {
        if out.is_empty() {
            out.extend(c.to_uppercase());
        } else if c.is_ascii_uppercase() {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// One line for all notices.
pub(super) fn subject(notices: &[Notice]) -> String {
    match notices {
        [] => "Azure health".to_owned(),
        [one] => {
            let story = &one.story;
            let whom = match &story.customer {
                Some(customer) => format!("[{}] ", line(&customer.display_name, 60)),
                None if !story.affected.is_empty() => format!("[{}] ", counted(story.affected.len(), "customer")),
                None => String::new(),
            };
            let id = story.event.as_ref().map(|event| format!(" ({})", event.tracking_id)).unwrap_or_default();
            let room = MAX_SUBJECT.saturating_sub(whom.chars().count() + id.chars().count());
            format!("{whom}{}{id}", line(&format!("{}: {}", label(story), story.title), room))
        }
        many => {
            let count = |phase| many.iter().filter(|notice| notice.story.phase == phase).count();
            let parts: Vec<_> = [
                (Phase::Began, "began"),
                (Phase::Changed, "changed"),
                (Phase::Ended, "over"),
                (Phase::Retracted, "taken back"),
                (Phase::Remark, "to know"),
            ]
            .into_iter()
            .filter_map(|(phase, word)| Some((count(phase), word)).filter(|(count, _)| *count > 0))
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
            format!("Azure health: {} ({})", counted(many.len(), "notice"), parts.join(", "))
        }
    }
}

/// `1 customer`, `2 customers`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn section(notice: &Notice, parcel: &Parcel, caps: Caps) -> Section {
    let story = &notice.story;
    let text = story.event.as_ref().and_then(|event| parcel.texts.get(event.text.as_ref()?));
    // The notices of a bundle share the room for texts.
    let room = caps.text / parcel.notices.len().clamp(1, caps.notices);
    let affected = story.affected.iter().map(|customer| {
        let state = if customer.active { "" } else { ", over" };
        format!(
            "{} ({}{state})",
            line(&customer.display_name, caps.line),
            counted(customer.subscriptions, "subscription")
        )
    });
    Section {
        label: label(story),
        title: line(&story.title, caps.line),
        tone: Tone::of(notice),
        facts: facts(notice, caps),
        affected: some(affected, story.affected.len(), caps.list, "customers"),
        resources: some(story.resources.iter().map(resource), story.resources.len(), caps.list, "resources"),
        remedy: story.remedy.as_ref().map(|remedy| line(remedy, caps.line.max(200))),
        text: text.filter(|_| room > 0).map(|html| words_of(html, room)),
        link: story.event.as_ref().and_then(|event| https(event.link.as_deref()?)),
    }
}

/// The first of a list, and how many more there are.
fn some(all: impl Iterator<Item = String>, count: usize, most: usize, what: &str) -> Vec<String> {
    let mut lines: Vec<_> = all.take(most).collect();
    if count > lines.len() {
        lines.push(format!("and {} more {what}", count - lines.len()));
    }
    lines
}

fn resource(id: &ResourceId) -> String {
    line(id.as_str(), 300)
}

fn words_of(html: &str, most: usize) -> Text {
    // Markup is about half of Azure's texts.
    let (short, mut cut) = sanitised(html, most * 2);
    let mut paragraphs = Vec::new();
    let mut room = most;
    for paragraph in paragraphs_of(&short) {
        let length = paragraph.chars().count();
        if length > room {
            if room > 20 {
                paragraphs.push(line(&paragraph, room));
            }
            cut = true;
            break;
        }
        room -= length;
        paragraphs.push(paragraph);
    }
    Text { html: short, paragraphs, cut }
}

/// A link that leads to a page over https, or none.
fn https(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok()?;
    (url.scheme() == "https" && url.username().is_empty() && link.len() <= 2_000).then(|| url.to_string())
}

fn facts(notice: &Notice, caps: Caps) -> Vec<(String, String)> {
    let story = &notice.story;
    let zone = story.customer.as_ref().and_then(|customer| customer.time_zone.as_deref());
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: String| facts.push((name.to_owned(), line(&value, caps.line)));
    if let Some(customer) = &story.customer {
        say("Customer", customer.display_name.clone());
    }
    if !story.affected.is_empty() {
        let active = story.affected.iter().filter(|customer| customer.active).count();
        let subscriptions = story.affected.iter().map(|customer| customer.subscriptions).sum();
        let still =
            if active == story.affected.len() { String::new() } else { format!(", for {active} of them it goes on") };
        let count = counted(story.affected.len(), "customer");
        say("Affected", format!("{count} with {}{still}", counted(subscriptions, "subscription")));
    }
    let severity = match story.severity {
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    };
    say("Severity", severity.to_owned());
    if let Some(event) = &story.event {
        say("Tracking id", event.tracking_id.to_string());
        say("Kind", kind_of(&event.event_type));
        say("Status", event.status.to_string());
        if !event.impact.is_empty() {
            say("Services", impact(&event.impact));
        }
        let maintenance = event.event_type == EventType::PlannedMaintenance;
        if let Some(at) = event.impact_start {
            say(if maintenance { "Begins" } else { "Began" }, moment(at, zone));
        }
        if let Some(at) = event.impact_mitigation {
            say(if maintenance { "Ends" } else { "Ended" }, moment(at, zone));
        }
        if event.text_withheld {
            say("Text", "Azure shows it only to those with the right to read security advisories".to_owned());
        }
    }
    if !story.changes.is_empty() {
        say("Changed", story.changes.iter().map(|change| changed(*change)).collect::<Vec<_>>().join(", "));
    }
    if !story.subscriptions.is_empty() {
        let names =
            story.subscriptions.iter().map(|(id, name)| if name.is_empty() { id.to_string() } else { line(name, 80) });
        say("Subscriptions", some(names, story.subscriptions.len(), caps.list.min(10), "subscriptions").join(", "));
    }
    for (name, value) in story.facts.iter().take(MAX_FACTS) {
        facts.push((line(name, 60), line(value, caps.line)));
    }
    facts.push(("Found".to_owned(), moment(story.at, zone)));
    facts.retain(|(name, value)| !name.is_empty() && !value.is_empty());
    facts
}

fn impact(all: &[ServiceImpact]) -> String {
    let services = all.iter().map(|service| {
        let regions = service.regions.iter().map(|region| line(&region.region, 60));
        let regions = some(regions, service.regions.len(), 8, "regions").join(", ");
        if regions.is_empty() {
            line(&service.service, 80)
        } else {
            format!("{} ({regions})", line(&service.service, 80))
        }
    });
    some(services, all.len(), MAX_SERVICES, "services").join("; ")
}

fn changed(change: EventChange) -> &'static str {
    match change {
        EventChange::Title => "title",
        EventChange::Severity => "severity",
        EventChange::Scope => "services or regions",
        EventChange::ServicesAdded => "more services",
        EventChange::ServicesRemoved => "fewer services",
        EventChange::RegionsAdded => "more regions",
        EventChange::RegionsRemoved => "fewer regions",
        EventChange::RegionStatus => "the status of regions",
        EventChange::Subscriptions => "subscriptions",
        EventChange::Times => "times",
        EventChange::Text => "a new text",
        EventChange::Tags => "tags",
    }
}

/// What a notice is about, in one word without personal data: for attributes that get logged.
pub(super) fn about(subject: &Subject) -> String {
    match subject {
        Subject::Event { tracking_id } => tracking_id.to_string(),
        Subject::Resource { resource_id } => resource_id.to_string(),
        Subject::Subscription { subscription_id, .. } => format!("/subscriptions/{subscription_id}"),
        Subject::Customer => "customer".to_owned(),
        Subject::Monitor { .. } => "monitor".to_owned(),
        Subject::Test => "test".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_has_no_second_one_and_nothing_invisible() {
        assert_eq!(line(" a\r\nBcc: x\u{202e}gnp.exe\u{200b} ", 100), "a Bcc: xgnp.exe");
        assert_eq!(line("abcdef", 4), "abc…");
        assert_eq!(spaced("subscriptionStateChanged"), "Subscription state changed");
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_within_its_length(text: String, most in 1_usize..200) {
            let short = line(&text, most);
            prop_assert!(short.chars().count() <= most);
            let hidden = short.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}'));
            prop_assert!(!hidden, "{}", short);
            prop_assert_eq!(line(&short, most), short.clone());
        }
    }
}
