//! When one event impaired which service and region for which subscription: what it said, step by step, as spans of time.

use std::collections::{BTreeMap, BTreeSet};

use super::Input;
use crate::history::span::Span;
use crate::model::{
    EventFacts, EventStatus, EventType, EventView, Observation, Snapshot, SubscriptionId, Timestamp, TrackingId,
    Transition,
};

/// One service in one region, impaired for one subscription by one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Impaired {
    pub subscription: Option<SubscriptionId>,
    /// What stays when Azure renames the service.
    pub service_key: String,
    pub service: String,
    pub region: String,
    pub spans: Vec<(Span, Ended)>,
}

/// How a span ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Azure said so.
    Over,
    /// Not yet.
    GoesOn,
    /// Nobody said.
    Unknown,
}

type Place = (Option<SubscriptionId>, String, String);

/// What was seen of a place so far.
#[derive(Debug, Clone, Default)]
struct Cell {
    names: (String, String),
    closed: Vec<Closed>,
    open: Option<Open>,
    seen_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    from: Timestamp,
    /// True when Azure gave the start, and may correct it.
    azures: bool,
}

#[derive(Debug, Clone, Copy)]
struct Closed {
    open: Open,
    to: Timestamp,
    /// When we saw that it was over: it cannot have lasted longer.
    seen_at: Timestamp,
}

/// The impaired cells of one event, or why it does not count.
pub(super) fn of(id: &TrackingId, history: &[&Transition], input: &Input<'_>) -> Result<Vec<Impaired>, &'static str> {
    let mut sightings: Vec<(Timestamp, &EventFacts)> =
        history.iter().filter_map(|transition| Some((transition.at, transition.event.as_ref()?))).collect();
    let now_known = input.snapshot.and_then(|snapshot| known_now(snapshot, id));
    if let (Some(facts), Some(snapshot)) = (&now_known, input.snapshot) {
        let last = sightings.last().map_or(snapshot.polled_at, |(at, _)| snapshot.polled_at.max(*at));
        sightings.push((last, facts));
    }
    if sightings.is_empty() {
        return Err("an older version of this program found it and did not keep which services and regions it hit");
    }
    let mut cells: BTreeMap<Place, Cell> = BTreeMap::new();
    let mut known: BTreeSet<Option<SubscriptionId>> = BTreeSet::new();
    let mut endless = false;
    for (at, facts) in &sightings {
        for view in &facts.views {
            let everybody = view.subscriptions.iter().copied().map(Some);
            let audience: Vec<_> = if view.subscriptions.is_empty() { vec![None] } else { everybody.collect() };
            for subscription in audience {
                let first = known.insert(subscription);
                endless |= see(&mut cells, subscription, view, *at, first, &facts.event_type);
            }
        }
    }
    let impaired: Vec<_> =
        cells.into_iter().filter_map(|(place, cell)| impaired(place, cell, id, &sightings, input)).collect();
    match impaired.is_empty() && endless {
        true => Err("it was over before we first saw it, and Azure gave no end that can be right"),
        false => Ok(impaired),
    }
}

fn known_now(snapshot: &Snapshot, id: &TrackingId) -> Option<EventFacts> {
    let by_subscriptions = snapshot.events.get(id).and_then(EventFacts::of);
    by_subscriptions.or_else(|| snapshot.tenant_events.get(id).map(EventFacts::of_tenant))
}

/// Takes in what an event says to one subscription at one time. True when something had ended without a time that can be right.
fn see(
    cells: &mut BTreeMap<Place, Cell>,
    subscription: Option<SubscriptionId>,
    view: &EventView,
    at: Timestamp,
    first: bool,
    event_type: &EventType,
) -> bool {
    let mut endless = false;
    let listed = places(view);
    for ((service_key, region_key), (names, region_status)) in &listed {
        let goes_on = view.status != EventStatus::Resolved && *region_status != Some(EventStatus::Resolved);
        let cell = cells.entry((subscription, service_key.clone(), region_key.clone())).or_default();
        cell.names.clone_from(names);
        cell.seen_at = Some(at);
        // Maintenance is announced: it begins later, and its end is a plan.
        let planned = *event_type == EventType::PlannedMaintenance;
        let start = view.impact_start.filter(|start| *start <= at || planned);
        cell.correct_start(start, at);
        match (goes_on, cell.open) {
            (true, None) => {
                cell.open = Some(match (cell.closed.last(), start) {
                    (None, Some(from)) if first => Open { from, azures: true },
                    // Reopened: Azure's start counts if it gave a new one.
                    (Some(closed), Some(from)) if from > closed.to => Open { from, azures: false },
                    _ => Open { from: at, azures: false },
                });
            }
            (false, Some(open)) => {
                // Of a region that Azure calls over while the event goes on, nobody gives the end.
                let said = view.impact_mitigation.filter(|_| view.status == EventStatus::Resolved);
                let to = said.filter(|to| open.from < *to && *to <= at).unwrap_or(at);
                cell.closed.push(Closed { open, to, seen_at: at });
                cell.open = None;
            }
            (false, None) => match (cell.closed.last_mut(), view.impact_mitigation) {
                (Some(closed), Some(to)) if closed.open.from < to && to <= closed.seen_at => closed.to = to,
                (Some(_), _) => {}
                (None, to) if view.status == EventStatus::Resolved => {
                    match (start, to.filter(|to| *to <= at)) {
                        (Some(from), Some(to)) if from < to => {
                            cell.closed.push(Closed { open: Open { from, azures: true }, to, seen_at: at });
                        }
                        _ => endless = true,
                    };
                }
                (None, _) => {}
            },
            (true, Some(_)) => {}
        }
        if planned && let (Some(open), Some(end)) = (cell.open, view.impact_mitigation) {
            // Beyond its plan nobody says that it still goes on.
            if end <= at && open.from < end {
                cell.closed.push(Closed { open, to: end, seen_at: at });
                cell.open = None;
            }
        }
    }
    // What the event no longer names is over for this subscription.
    for ((whose, service, region), cell) in cells.iter_mut() {
        if *whose == subscription
            && !listed.contains_key(&(service.clone(), region.clone()))
            && let Some(open) = cell.open.take()
        {
            cell.closed.push(Closed { open, to: at.max(open.from), seen_at: at });
        }
    }
    endless
}

impl Cell {
    /// Azure corrects when an event began: of the first span the latest saying counts.
    fn correct_start(&mut self, start: Option<Timestamp>, at: Timestamp) {
        let Some(start) = start else { return };
        match (self.open.as_mut(), self.closed.as_mut_slice()) {
            (Some(open), []) if open.azures && start <= at.max(open.from) => open.from = start,
            (None, [only]) if only.open.azures && start < only.to => only.open.from = start,
            _ => {}
        }
    }
}

type Named = ((String, String), Option<EventStatus>);

/// The services and regions that an event names, by what stays when they are renamed.
fn places(view: &EventView) -> BTreeMap<(String, String), Named> {
    let mut places = BTreeMap::new();
    for service in &view.impact {
        let key = service.service_guid.as_ref().unwrap_or(&service.service).to_ascii_lowercase();
        for region in &service.regions {
            let place = (key.clone(), region.region.to_ascii_lowercase());
            places.insert(place, ((service.service.clone(), region.region.clone()), region.status.clone()));
        }
        if service.regions.is_empty() {
            places.insert((key, String::new()), ((service.service.clone(), String::new()), None));
        }
    }
    if places.is_empty() {
        places.insert(Default::default(), Default::default());
    }
    places
}

/// The spans of a cell, with what is known of its end. None: it was never impaired.
fn impaired(
    (subscription, service_key, _): Place,
    cell: Cell,
    id: &TrackingId,
    sightings: &[(Timestamp, &EventFacts)],
    input: &Input<'_>,
) -> Option<Impaired> {
    let mut spans: Vec<(Span, Ended)> =
        cell.closed.iter().filter_map(|closed| Some((Span::new(closed.open.from, closed.to)?, Ended::Over))).collect();
    if let Some(open) = cell.open {
        let (to, ended) = match last_listed(subscription, id, input) {
            Listed::Still => (input.now, Ended::GoesOn),
            Listed::Until(at) => (at, Ended::Unknown),
            Listed::Gone => (cell.seen_at.or(sightings.last().map(|(at, _)| *at)).unwrap_or(open.from), Ended::Unknown),
        };
        spans.extend(Span::new(open.from, to).map(|span| (span, ended)));
    }
    let (service, region) = cell.names;
    (!spans.is_empty()).then_some(Impaired { subscription, service_key, service, region, spans })
}

enum Listed {
    /// Azure lists it.
    Still,
    /// Azure listed it until then.
    Until(Timestamp),
    /// We do not know it any more.
    Gone,
}

fn last_listed(subscription: Option<SubscriptionId>, id: &TrackingId, input: &Input<'_>) -> Listed {
    let Some(snapshot) = input.snapshot else { return Listed::Gone };
    let Some(subscription) = subscription else {
        return if snapshot.tenant_events.contains_key(id) { Listed::Still } else { Listed::Gone };
    };
    match snapshot.events.get(id).and_then(|record| record.observations.get(&subscription)) {
        Some(seen) if Observation::no_longer_listed(seen) => Listed::Until(seen.last_seen),
        Some(_) => Listed::Still,
        None => Listed::Gone,
    }
}
