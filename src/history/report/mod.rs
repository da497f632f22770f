//! The report: for how long each service and region was impaired, per subscription and month, and what that number does not
//! know. Pure: from transitions and the snapshot, whatever order they come in.

mod cells;
mod gaps;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::cells::{Ended, Impaired};
use super::span::{Span, months, union};
use crate::model::{EventType, Snapshot, SubscriptionId, TenantId, Timestamp, TrackingId, Transition, TransitionKind};

/// What a report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The customer.
    pub tenant_id: TenantId,
    /// Since when it is watched.
    pub watched_since: Timestamp,
    /// Everything in its timeline, and what of the partner's concerns everybody. The order does not matter.
    pub transitions: &'a [Transition],
    /// What is known now. None: never polled.
    pub snapshot: Option<&'a Snapshot>,
    /// From when it counts.
    pub from: Timestamp,
    /// Until before when.
    pub to: Timestamp,
    /// Now: nothing counts after it.
    pub now: Timestamp,
    /// What kind of event counts.
    pub event_type: &'a EventType,
}

/// For how long, where, for whom, and how sure that is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The customer.
    pub tenant_id: TenantId,
    /// From when it counts.
    pub from: Timestamp,
    /// Until before when: never later than now.
    pub to: Timestamp,
    /// What kind of event counts.
    pub event_type: EventType,
    /// Per month, subscription, service and region.
    pub rows: Vec<Row>,
    /// Per month and subscription, whatever service or region: each minute once.
    pub subscriptions: Vec<Total>,
    /// Events that do not count, and why.
    pub left_out: Vec<LeftOut>,
    /// When we could not look, so that something may be missing.
    pub gaps: Vec<ReportGap>,
    /// How it was counted, in sentences.
    pub method: Vec<String>,
}

/// One service in one region, as one subscription saw it in one month.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The calendar month, UTC, as `yyyy-mm`.
    pub month: String,
    /// The subscription. None: events of the tenant itself.
    pub subscription_id: Option<SubscriptionId>,
    /// Azure's name of the service; empty where Azure named none.
    pub service: String,
    /// Azure's name of the region; empty where Azure named none.
    pub region: String,
    /// For how long, in minutes.
    pub impact_minutes: f64,
    /// The same in whole seconds: these add up exactly.
    pub impact_seconds: i64,
    /// Because of these.
    pub incidents: BTreeSet<TrackingId>,
    /// True when it goes on: counted until now.
    pub still_active: bool,
    /// True when Azure stopped listing an event without saying that it was over: counted until it was last listed.
    pub end_unknown: bool,
}

/// One subscription in one month, whatever service or region.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Total {
    /// The calendar month, UTC, as `yyyy-mm`.
    pub month: String,
    /// The subscription. None: events of the tenant itself.
    pub subscription_id: Option<SubscriptionId>,
    /// For how long, in minutes.
    pub impact_minutes: f64,
    /// The same in whole seconds.
    pub impact_seconds: i64,
}

/// An event that does not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// The event.
    pub tracking_id: TrackingId,
    /// Why.
    pub why: String,
}

/// A time in which we could not look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportGap {
    /// The subscription. None: all of them.
    pub subscription_id: Option<SubscriptionId>,
    /// Since when. None: since ever.
    pub from: Option<Timestamp>,
    /// Until when. None: it goes on.
    pub to: Option<Timestamp>,
    /// Why.
    pub why: String,
}

/// Makes the report.
pub fn report(input: &Input<'_>) -> Report {
    let to = input.to.min(input.now).max(input.from);
    let range = Span::new(input.from, to);
    let mut order: Vec<&Transition> = input.transitions.iter().collect();
    order.sort_by_key(|transition| (transition.at, transition.id));
    order.dedup_by_key(|transition| transition.id);

    let mut left_out = BTreeSet::new();
    let mut impaired: Vec<(TrackingId, Vec<Impaired>)> = Vec::new();
    for (id, history) in events(&order, input) {
        if let Some(why) = taken_back(&history) {
            left_out.insert(LeftOut { tracking_id: id, why: why.to_owned() });
            continue;
        }
        match cells::of(&id, &history, input) {
            Ok(cells) => impaired.push((id, cells)),
            Err(why) => {
                left_out.insert(LeftOut { tracking_id: id, why: why.to_owned() });
            }
        }
    }
    let (rows, subscriptions) = range.map(|range| rows(&impaired, range)).unwrap_or_default();
    Report {
        tenant_id: input.tenant_id,
        from: input.from,
        to,
        event_type: input.event_type.clone(),
        rows,
        subscriptions,
        left_out: left_out.into_iter().collect(),
        gaps: gaps::of(&order, input, to),
        method: method(input.event_type),
    }
}

/// The events of the wanted type, each with its transitions in order.
fn events<'a>(order: &[&'a Transition], input: &Input<'_>) -> BTreeMap<TrackingId, Vec<&'a Transition>> {
    let mut events: BTreeMap<TrackingId, Vec<&Transition>> = BTreeMap::new();
    for transition in order.iter().filter(|transition| transition.tenant_id == input.tenant_id) {
        if let Some(id) = transition.kind.tracking_id() {
            events.entry(id.clone()).or_default().push(transition);
        }
    }
    if let Some(snapshot) = input.snapshot {
        for id in snapshot.events.keys().chain(snapshot.tenant_events.keys()) {
            events.entry(id.clone()).or_default();
        }
    }
    events.retain(|id, history| {
        let told = history.iter().rev().find_map(|transition| transition.event.as_ref()).map(|event| &event.event_type);
        let known = input.snapshot.and_then(|snapshot| {
            let contents = snapshot.events.get(id).and_then(|record| record.contents.values().next());
            let of_tenant = || snapshot.tenant_events.get(id).map(|event| &event.content);
            contents.or_else(of_tenant).map(|content| &content.event_type)
        });
        // Where nobody knows what it was, it is said that it does not count.
        told.or(known).is_none_or(|kind| kind == input.event_type)
    });
    events
}

/// Why an event that Azure took back does not count. None: it stands.
fn taken_back(history: &[&Transition]) -> Option<&'static str> {
    use TransitionKind as Kind;
    let last = history.iter().rev().find(|transition| {
        matches!(
            transition.kind,
            Kind::EventOpened { .. }
                | Kind::EventReopened { .. }
                | Kind::EventRetracted { .. }
                | Kind::EventCancelled { .. }
        )
    });
    match last?.kind {
        Kind::EventRetracted { .. } => Some("Azure says that there was no such problem"),
        Kind::EventCancelled { .. } => Some("Azure called it off"),
        _ => None,
    }
}

type Place = (Option<SubscriptionId>, String, String);

/// The rows, and the totals over services and regions.
fn rows(impaired: &[(TrackingId, Vec<Impaired>)], range: Span) -> (Vec<Row>, Vec<Total>) {
    #[derive(Default)]
    struct Sum {
        names: (String, String),
        spans: BTreeMap<String, Vec<Span>>,
        incidents: BTreeMap<String, BTreeSet<TrackingId>>,
        active: BTreeSet<String>,
        unknown: BTreeSet<String>,
    }
    let mut places: BTreeMap<Place, Sum> = BTreeMap::new();
    let mut totals: BTreeMap<(String, Option<SubscriptionId>), Vec<Span>> = BTreeMap::new();
    for (id, cells) in impaired {
        for cell in cells {
            let place = (cell.subscription, cell.service_key.clone(), cell.region.to_ascii_lowercase());
            for (span, ended) in &cell.spans {
                for (month, part) in span.cut(range).map(months).unwrap_or_default() {
                    totals.entry((month.clone(), cell.subscription)).or_default().push(part);
                    let sum = places.entry(place.clone()).or_default();
                    let names = (cell.service.clone(), cell.region.clone());
                    // Names get renamed: of two for one service the smaller is taken, whatever the order.
                    if sum.spans.is_empty() || names < sum.names {
                        sum.names = names;
                    }
                    sum.incidents.entry(month.clone()).or_default().insert(id.clone());
                    match ended {
                        // Only the month in which it was cut off.
                        Ended::GoesOn if part.to == span.to => _ = sum.active.insert(month.clone()),
                        Ended::Unknown if part.to == span.to => _ = sum.unknown.insert(month.clone()),
                        _ => {}
                    }
                    sum.spans.entry(month).or_default().push(part);
                }
            }
        }
    }
    let seconds = |spans: Vec<Span>| union(spans).into_iter().map(Span::seconds).sum::<i64>();
    let mut rows = Vec::new();
    for ((subscription_id, ..), sum) in places {
        for (month, spans) in sum.spans {
            let impact_seconds = seconds(spans);
            rows.push(Row {
                subscription_id,
                service: sum.names.0.clone(),
                region: sum.names.1.clone(),
                impact_minutes: minutes(impact_seconds),
                impact_seconds,
                incidents: sum.incidents.get(&month).cloned().unwrap_or_default(),
                still_active: sum.active.contains(&month),
                end_unknown: sum.unknown.contains(&month),
                month,
            });
        }
    }
    rows.sort_by(|a, b| {
        (&a.month, a.subscription_id, &a.service, &a.region).cmp(&(&b.month, b.subscription_id, &b.service, &b.region))
    });
    let totals = totals.into_iter().map(|((month, subscription_id), spans)| {
        let impact_seconds = seconds(spans);
        Total { month, subscription_id, impact_minutes: minutes(impact_seconds), impact_seconds }
    });
    (rows, totals.collect())
}

fn minutes(seconds: i64) -> f64 {
    // Months have far fewer seconds than a double has exact whole numbers.
    (seconds as f64 / 60.0 * 100.0).round() / 100.0
}

fn method(event_type: &EventType) -> Vec<String> {
    [
        &format!("Events of the type {event_type} count; times are UTC, months are calendar months."),
        "A service in a region counts while Azure lists it for a subscription in an event that is active; it says nothing about single resources.",
        "The start is the one that Azure last gave; where Azure gave none or one in the future, it is when we first saw the event. A service or region that was added later counts from when we saw it added.",
        "The end is Azure's mitigation time where it lies between the start and the moment when we saw the event resolved; else that moment. Of an event that was over before we first saw it and has no such time, nothing counts.",
        "Overlapping events count once per service, region and subscription. The totals per subscription count each minute once, whatever service or region.",
        "What goes on is counted until now. What Azure stopped listing without saying that it was over is counted until it was last listed.",
        "Events that Azure took back or called off do not count.",
        "Within a gap Azure was not read: something may be missing, although Azure tells afterwards most of what happened meanwhile.",
    ]
    .map(str::to_owned)
    .to_vec()
}
