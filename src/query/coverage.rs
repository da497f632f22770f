//! As of when, and what could not be read: in every answer. Pure.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Serialize;

use crate::model::{Customer, GapReason, Snapshot, Source, SubscriptionId, TenantId, Timestamp};

/// Events are read each minute: after ten without a full reading they are not current.
const EVENTS_CURRENT_FOR: TimeDelta = TimeDelta::minutes(10);
/// The availability listing is read every ten minutes.
const RESOURCES_CURRENT_FOR: TimeDelta = TimeDelta::minutes(30);
/// The activity log is read each hour.
const ACTIVITY_CURRENT_FOR: TimeDelta = TimeDelta::hours(3);
/// The most gaps that one answer names; it always says how many there are.
const MAX_GAPS: usize = 200;

/// What an answer is based on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// True when everything was read, recently enough to be called current.
    pub complete: bool,
    /// Subscriptions that the answer is about.
    pub subscriptions: usize,
    /// How many gaps there are.
    pub gap_count: usize,
    /// The gaps, the first 200.
    pub gaps: Vec<CoverageGap>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CoverageGap {
    /// The customer.
    pub tenant_id: TenantId,
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// What could not be read.
    pub source: Source,
    /// Why.
    pub reason: GapReason,
    /// What exactly.
    pub detail: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The last time it was read in full, if ever: what the answer shows of it is from then.
    pub read_at: Option<Timestamp>,
}

/// As of when, and how completely, a set of sources is known. Adds up over customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The oldest full reading of anything in the answer. None: nothing in it was ever read.
    pub as_of: Option<Timestamp>,
    /// The coverage.
    pub coverage: Coverage,
}

impl Known {
    /// Nothing asked, nothing missing.
    pub fn nothing() -> Self {
        Self { as_of: None, coverage: Coverage { complete: true, ..Coverage::default() } }
    }

    /// What is known of one customer, or of some of its subscriptions.
    pub fn of(
        customer: &Customer,
        snapshot: Option<&Snapshot>,
        only: Option<SubscriptionId>,
        sources: &[Source],
        now: Timestamp,
    ) -> Self {
        let mut known = Self::nothing();
        for &id in customer.subscriptions.keys().filter(|id| only.is_none_or(|only| only == **id)) {
            known.coverage.subscriptions += 1;
            for &source in sources {
                let read = snapshot.and_then(|snapshot| snapshot.coverage.get(&id)).map(|coverage| coverage.of(source));
                let read_at = read.and_then(|read| read.read_at);
                known.as_of = match (known.as_of, read_at) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                let gap = |reason, detail: String, since| CoverageGap {
                    tenant_id: customer.tenant_id,
                    subscription_id: id,
                    source,
                    reason,
                    detail,
                    since,
                    read_at,
                };
                let found = match (read.and_then(|read| read.gap.as_ref()), read_at) {
                    (Some(missing), _) => Some(gap(missing.reason, missing.detail.clone(), Some(missing.since))),
                    (None, None) => Some(gap(GapReason::NotReadYet, "not polled yet".to_owned(), None)),
                    (None, Some(at)) if now - at > current_for(source) => {
                        let detail = format!("last read {} minutes ago", (now - at).num_minutes());
                        Some(gap(GapReason::Stale, detail, Some(at)))
                    }
                    (None, Some(_)) => None,
                };
                let blind = found.is_some();
                known.coverage.gaps.extend(found);
                // The activity log is missed only where it is the only source left.
                let log = snapshot.and_then(|snapshot| snapshot.coverage.get(&id)).map(|coverage| &coverage.activity);
                let log_gap = log
                    .filter(|_| blind && source == Source::Events)
                    .and_then(|log| Some((log.gap.as_ref()?, log.read_at)));
                known.coverage.gaps.extend(log_gap.map(|(missing, read_at)| CoverageGap {
                    source: Source::ActivityLog,
                    read_at,
                    ..gap(missing.reason, missing.detail.clone(), Some(missing.since))
                }));
            }
        }
        known.coverage.settle();
        known
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        self.as_of = match (self.as_of, other.as_of) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let missing = (self.coverage.gap_count, other.coverage.gap_count);
        self.coverage.subscriptions += other.coverage.subscriptions;
        self.coverage.gaps.extend(other.coverage.gaps);
        self.coverage.settle();
        self.coverage.gap_count = missing.0 + missing.1;
        self
    }

    /// The subscriptions with a gap.
    pub fn unknown(&self) -> BTreeSet<SubscriptionId> {
        self.coverage.gaps.iter().map(|gap| gap.subscription_id).collect()
    }
}

impl Coverage {
    fn settle(&mut self) {
        self.gap_count = self.gaps.len();
        self.complete = self.gaps.is_empty();
        self.gaps.truncate(MAX_GAPS);
    }
}

fn current_for(source: Source) -> TimeDelta {
    match source {
        Source::Events => EVENTS_CURRENT_FOR,
        Source::Resources => RESOURCES_CURRENT_FOR,
        Source::ActivityLog => ACTIVITY_CURRENT_FOR,
    }
}
