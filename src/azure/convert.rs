//! From Azure's rows to our words. Pure; a row that cannot be read is told, and spoils nothing else.

use std::cmp::Ordering;
#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use chrono::Timelike as _;
#[cfg(test)]
use serde_json::Value;

use super::reading::ObservedEvent;
#[cfg(test)]
use super::wire::fast;
use super::wire::health::{AvailabilityProperties, EventProperties, Impact, ImpactedRegion, Row};
use crate::model::{
    AvailabilityState, EventContent, EventStatus, EventType, EventUpdate, RegionImpact, ResourceId, ResourceState,
    ServiceImpact, SubscriptionId, TextHash, Timestamp, TrackingId, unite_impact,
};

/// The longest text that is kept of one field, in bytes; observed texts are below 20 KB.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// The longest title or one-line summary that is kept, in characters.
const MAX_LINE_CHARS: usize = 1000;

/// One event row, read.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub subscription: Option<SubscriptionId>,
    pub tracking_id: TrackingId,
    pub event: ObservedEvent,
}

/// Reads an event row of REST or Resource Graph and adds its texts. None when it has no usable tracking id.
#[cfg(test)]
pub(crate) fn event(row: Value, index_only: bool, texts: &mut BTreeMap<TextHash, String>) -> Option<EventRow> {
    event_of(fast::event(row.to_string().as_bytes())?, index_only, |text| {
        let text = clean(&text)?;
        let hash = TextHash::of(&text);
        texts.insert(hash, text);
        Some(hash)
    })
}

/// What an event row of REST or Resource Graph says, where `keep` cleans and keeps a text. None when it has no usable tracking
/// id.
pub(crate) fn event_of(
    row: Row<EventProperties>,
    index_only: bool,
    mut keep: impl FnMut(String) -> Option<TextHash>,
) -> Option<EventRow> {
    let properties = row.properties;
    let tracking_id: TrackingId = row.name.or(properties.tracking_id)?.parse().ok()?;
    let subscription = row
        .subscription_id
        .as_deref()
        .or_else(|| row.id.as_deref()?.strip_prefix("/subscriptions/")?.split('/').next())
        .and_then(|text| text.parse().ok());

    let summary = properties.summary.and_then(&mut keep);
    let description = properties.description.or(properties.article.article_content).and_then(&mut keep);
    let mut tags: BTreeSet<String> = properties.event_tags.into_iter().collect();
    let mut updates = BTreeSet::new();
    let mut newest: (Option<Timestamp>, BTreeSet<String>) = Default::default();
    let mut impact = Vec::new();
    for service in properties.impact {
        let Impact { impacted_service, impacted_service_guid, impacted_regions } = service;
        let mut regions = Vec::new();
        for region in impacted_regions {
            let ImpactedRegion { impacted_region, status, updates: published } = region;
            for update in published {
                let at = update.update_date_time;
                if let Some(text) = update.summary.and_then(&mut keep) {
                    updates.insert(EventUpdate { at, text });
                }
                // Only the newest publication's tags speak for the event; a review stays published.
                tags.extend(update.event_tags.iter().filter(|tag| tag.contains("PIR")).cloned());
                if at > newest.0 {
                    newest = (at, BTreeSet::new());
                }
                if at == newest.0 {
                    newest.1.extend(update.event_tags);
                }
            }
            if let Some(region) = impacted_region {
                regions.push(RegionImpact { region: line(&region), status: status.map(EventStatus::from) });
            }
        }
        if let Some(service) = impacted_service.as_deref().or(impacted_service_guid.as_deref()) {
            impact.push(ServiceImpact { service: line(service), service_guid: impacted_service_guid, regions });
        }
    }
    tags.extend(newest.1);
    let content = EventContent {
        event_type: properties.event_type.map_or_else(|| EventType::Other("Unknown".to_owned()), EventType::from),
        event_sub_type: properties.event_sub_type,
        // No status is not "resolved".
        status: properties.status.map_or(EventStatus::Active, EventStatus::from),
        title: line(properties.title.or(properties.header).as_deref().unwrap_or("(no title)")),
        event_level: properties.event_level.map(Into::into),
        impact_start: properties.impact_start_time,
        impact_mitigation: properties.impact_mitigation_time,
        impact: unite_impact(impact.iter()),
        text_withheld: properties.is_event_sensitive && summary.is_none() && description.is_none(),
        summary,
        description,
        updates: updates.into_iter().rev().collect(),
        tags,
        high_impact: properties.is_hir,
        stage: None,
    };
    // One publication has one stamp, which REST and Resource Graph give with different fractions of a second.
    let last_update = properties.last_update_time.and_then(|at| at.with_nanosecond(0));
    let event = ObservedEvent { content: content.into(), last_update, index_only };
    Some(EventRow { subscription, tracking_id, event })
}

/// Of two observations of one event by one subscription the one that counts: the newer, else the fuller, else by content,
/// so that the order of rows and pages does not matter.
pub(crate) fn newer(a: ObservedEvent, b: ObservedEvent) -> ObservedEvent {
    let rank = |event: &ObservedEvent| (event.last_update, !event.index_only);
    let order = rank(&a).cmp(&rank(&b)).then_with(|| match a.content == b.content {
        true => Ordering::Equal,
        false => a.content.hash().cmp(&b.content.hash()),
    });
    if order.is_ge() { a } else { b }
}

/// Reads an availability row of REST or Resource Graph.
#[cfg(test)]
pub(crate) fn availability(row: Value) -> Option<(ResourceId, ResourceState)> {
    availability_of(fast::availability(row.to_string().as_bytes())?)
}

/// What an availability row of REST or Resource Graph says. None when it names no resource or is an impacting event rather
/// than a status (its state is null).
pub(crate) fn availability_of(row: Row<AvailabilityProperties>) -> Option<(ResourceId, ResourceState)> {
    let properties = row.properties;
    let id = ResourceId::parse(&properties.target_resource_id.or(row.id)?).ok()?;
    let state = AvailabilityState::from(properties.availability_state?);
    if state == AvailabilityState::Available {
        return Some((id, ResourceState::available(properties.occured_time)));
    }
    let resource_type = properties.target_resource_type.map(|kind| kind.to_ascii_lowercase()).or_else(|| type_of(&id));
    let state = ResourceState {
        state,
        resource_type,
        location: row.location,
        since: properties.occured_time,
        reason: properties.reason_type,
        summary: properties.summary.or(properties.title).map(|text| line(&text)),
        missed_listings: 0,
    };
    Some((id, state))
}

/// `namespace/type` from `.../providers/{namespace}/{type}/{name}`.
fn type_of(id: &ResourceId) -> Option<String> {
    let (_, tail) = id.as_str().rsplit_once("/providers/")?;
    let mut parts = tail.split('/');
    Some(format!("{}/{}", parts.next()?, parts.next()?))
}

/// A text fit to keep and to show: foreign HTML cut down to an allow-list of harmless elements ("Azure health data APIs",
/// 6.5), trimmed, capped. None when nothing is left.
pub(super) fn clean(html: &str) -> Option<String> {
    let mut end = html.len().min(MAX_TEXT_BYTES);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let text = HARMLESS.clean(html[..end].trim()).to_string();
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// What may stay of foreign HTML: text, its structure, and links over https. No images, styles, scripts or forms.
static HARMLESS: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from([
            "p",
            "br",
            "b",
            "strong",
            "i",
            "em",
            "u",
            "ul",
            "ol",
            "li",
            "a",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "div",
            "span",
            "blockquote",
            "code",
            "pre",
            "hr",
        ]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("td", HashSet::from(["colspan", "rowspan"]))]))
        .url_schemes(HashSet::from(["https"]))
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// One line of foreign text: capped, without control characters.
pub(super) fn line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn foreign_html_keeps_its_text_and_loses_its_teeth() {
        let html = "<p onclick='x()'>Down since <b>10:00</b>.</p><script>steal()</script><img src=https://t/p.gif>\
                    <a href='javascript:x()'>a</a> <a href='https://aka.ms/x' target=_blank>b</a><style>p{}</style>";
        let cleaned = clean(html).expect("something is left");
        assert_eq!(
            cleaned,
            "<p>Down since <b>10:00</b>.</p><a rel=\"noopener noreferrer nofollow\">a</a> \
             <a href=\"https://aka.ms/x\" rel=\"noopener noreferrer nofollow\">b</a>"
        );
        assert_eq!(clean(" <script>x</script> "), None);
    }

    #[test]
    fn a_row_of_rest_and_of_resource_graph_say_the_same() {
        let rest = json!({"name": "ABCD-123", "id": "/providers/Microsoft.ResourceHealth/events/ABCD-123", "properties": {
            "eventType": "ServiceIssue", "status": "Active", "title": "T", "eventLevel": "Warning",
            "impactStartTime": "2026-01-15T10:00:00Z", "lastUpdateTime": "2026-01-15T11:00:00.1234567Z",
            "impactMitigationTime": "0001-01-01T00:00:00Z",
            "impact": [{"impactedService": "VM", "impactedRegions": [{"impactedRegion": "West Europe", "status": "Active"}]}]}});
        let graph = json!({"name": "ABCD-123", "subscriptionId": "00000000-0000-4000-8000-000000000001", "properties": {
            "EventType": "ServiceIssue", "Status": "Active", "Title": "T", "EventLevel": "Warning",
            "ImpactStartTime": "639040680000000000", "LastUpdateTime": "639040716001234567",
            "ImpactMitigationTime": "0001-01-01T00:00:00",
            "Impact": [{"ImpactedService": "VM", "ImpactedRegions": [{"ImpactedRegion": "West Europe", "Status": "Active"}]}]}});
        let mut texts = BTreeMap::new();
        let rest = event(rest, false, &mut texts).expect("read");
        let graph = event(graph, true, &mut texts).expect("read");
        assert_eq!(rest.event.content, graph.event.content);
        assert_eq!(rest.event.last_update, graph.event.last_update);
        assert_eq!(rest.event.content.impact_mitigation, None);
        assert!(graph.subscription.is_some());
    }

    #[test]
    fn a_row_with_fields_of_the_wrong_type_keeps_the_rest() {
        let row = json!({"name": "ABCD-123", "properties": {"title": {"x": 1}, "status": 7, "eventType": "Novelty",
            "impact": [1, {"impactedService": "VM", "impactedRegions": "nowhere"}], "lastUpdateTime": "soon"}});
        let read = event(row, false, &mut BTreeMap::new()).expect("read");
        assert_eq!(read.event.content.event_type, EventType::Other("Novelty".into()));
        assert_eq!(read.event.content.title, "(no title)");
        assert!(read.event.content.is_active(), "an odd status is not resolved");
        assert_eq!(read.event.content.impact.len(), 1);
        assert!(event(json!({"name": "../../x", "properties": {}}), false, &mut BTreeMap::new()).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_row_makes_it_panic(text in ".{0,40}", number in proptest::num::i64::ANY) {
            for value in [json!(text), json!(number), json!([text]), json!({"name": text, "properties": {"impact": text}}),
                json!({"id": text, "properties": {"availabilityState": text, "occuredTime": number}})] {
                let _ = event(value.clone(), true, &mut BTreeMap::new());
                let _ = availability(value);
            }
        }
    }
}
