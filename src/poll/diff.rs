//! Snapshot and reading to snapshot and transitions. Pure: no IO, no clock; the same in, the same out.
//!
//! What could not be read keeps its state and becomes a gap. What is missing from an answer is never resolved by that.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{diff_access, diff_events, diff_resources, diff_tenant, facts, follow_up};
use crate::azure::reading::{Reading, SubscriptionReading, Trouble};
use crate::model::{
    Customer, Gap, Snapshot, Source, SourceCoverage, SubscriptionId, TextHash, Timestamp, Transition, TransitionKind,
};

/// How long passing trouble goes untold: one slow answer of Azure is no news.
const PASSING_TROUBLE: TimeDelta = TimeDelta::minutes(15);

/// What follows from a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The new snapshot. Its `unfiled` holds the transitions.
    pub after: Snapshot,
    /// What changed that matters, in a fixed order.
    pub transitions: Vec<Transition>,
    /// Texts that the new snapshot refers to and the old one did not: to be stored before it.
    pub new_texts: BTreeSet<TextHash>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub before: &'a Snapshot,
    pub customer: &'a Customer,
    pub watched: &'a BTreeSet<SubscriptionId>,
    pub reading: &'a Reading,
    pub now: Timestamp,
}

impl<'a> Inputs<'a> {
    /// What was read of the subscriptions that are watched.
    pub fn read(self) -> impl Iterator<Item = (SubscriptionId, &'a SubscriptionReading)> {
        self.reading.subscriptions.iter().filter(move |(id, _)| self.watched.contains(id)).map(|(id, read)| (*id, read))
    }
}

/// Compares what we knew with what was read. What is known of subscriptions that the record no longer has is dropped: their
/// events are not over by that.
pub fn diff(before: &Snapshot, customer: &Customer, reading: &Reading, now: Timestamp) -> Diff {
    let watched: BTreeSet<_> = customer.subscriptions.keys().copied().collect();
    let watched = &watched;
    let mut after = before.clone();
    after.polled_at = now;
    after.unfiled.clear();
    after.coverage.retain(|id, _| watched.contains(id));

    let inputs = Inputs { before, customer, watched, reading, now };
    let mut transitions = diff_events::diff(inputs, &mut after);
    transitions.extend(diff_resources::diff(inputs, &mut after));
    transitions.extend(coverage(inputs, &mut after));
    transitions.extend(diff_access::diff(before, &mut after, customer, reading));
    transitions.extend(diff_tenant::diff(before, &mut after, reading, now));
    facts::attach(&mut transitions, before, &after);

    follow_up::note(before, &mut after, reading, now);
    after.unfiled = transitions.iter().map(|transition| (transition.id, transition.clone())).collect();
    let new_texts = after.texts().difference(&before.texts()).map(|hash| **hash).collect();
    Diff { after, transitions, new_texts }
}

/// Notes what was read and what was not.
fn coverage(inputs: Inputs<'_>, after: &mut Snapshot) -> Vec<Transition> {
    let Inputs { before, customer, reading, now, .. } = inputs;
    let mut transitions = Vec::new();
    for (id, read) in inputs.read() {
        let known = after.coverage.entry(id).or_default();
        if read.details_refused {
            known.details_refused_at = Some(reading.started_at);
        }
        let as_it_was = known.clone();
        let mut note = |source: Source, coverage: &mut SourceCoverage, trouble: Option<&Trouble>| {
            let was = coverage.clone();
            let trouble = trouble.map(|trouble| diff_access::in_context(trouble, id, customer, &as_it_was, reading));
            *coverage = covered(&was, trouble.as_ref(), reading.started_at, now);
            let kind = match (was.gap.is_some_and(|gap| gap.told), &coverage.gap) {
                (false, Some(gap)) if gap.told => {
                    Some(TransitionKind::CoverageLost { subscription_id: id, source, reason: gap.reason })
                }
                (true, None) => Some(TransitionKind::CoverageRestored { subscription_id: id, source }),
                _ => None,
            };
            // What was read in full before this row of failures tells it from earlier ones.
            let occurrence = was.read_at.map(|at| at.to_rfc3339()).unwrap_or_default();
            transitions.extend(kind.map(|kind| Transition::new(before.tenant_id, kind, &occurrence, now, false)));
        };
        if let Some(events) = &read.events {
            note(Source::Events, &mut known.events, events.trouble.as_ref());
        }
        if let Some(resources) = &read.resources {
            note(Source::Resources, &mut known.resources, resources.trouble.as_ref());
        }
    }
    transitions
}

pub(super) fn covered(
    was: &SourceCoverage,
    trouble: Option<&Trouble>,
    started_at: Timestamp,
    now: Timestamp,
) -> SourceCoverage {
    let Some(Trouble { reason, detail }) = trouble.cloned() else {
        return SourceCoverage { read_at: was.read_at.max(Some(started_at)), tried_at: Some(now), gap: None };
    };
    let since = was.gap.as_ref().map_or(now, |gap| gap.since);
    let told_before = was.gap.as_ref().is_some_and(|gap| gap.told);
    // A subscription that was never read has lost nothing: its gap is shown, but is no transition. What concerns our access is
    // told as such, when it is confirmed.
    let lost =
        was.read_at.is_some() && !reason.is_about_access() && (!reason.is_passing() || now - since >= PASSING_TROUBLE);
    let gap = Gap { reason, detail, since, told: told_before || lost };
    SourceCoverage { read_at: was.read_at, tried_at: Some(now), gap: Some(gap) }
}
