//! When Azure was not read: from what was told of it, and from what the snapshot says now.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, ReportGap};
use crate::model::{GapReason, Source, SubscriptionId, Timestamp, Transition, TransitionKind};

/// The gaps that touch the time from `input.from` to `to`, each once.
pub(super) fn of(order: &[&Transition], input: &Input<'_>, to: Timestamp) -> Vec<ReportGap> {
    let mut open: BTreeMap<(Option<SubscriptionId>, String), Option<Timestamp>> = BTreeMap::new();
    let mut gaps: BTreeSet<ReportGap> = BTreeSet::new();
    let mut close = |open: &mut BTreeMap<_, _>, subscription_id: Option<SubscriptionId>, about: &str, at: Timestamp| {
        let ended: Vec<_> = open
            .keys()
            .filter(|(id, why): &&(_, String)| *id == subscription_id && why.starts_with(about))
            .cloned()
            .collect();
        for key in ended {
            let from = open.remove(&key).flatten();
            gaps.insert(ReportGap { subscription_id, from, to: Some(at), why: key.1 });
        }
    };
    for transition in order {
        use TransitionKind as Kind;
        let at = transition.at;
        match &transition.kind {
            Kind::CoverageLost { subscription_id, source: Source::Events, reason } => {
                open.entry((Some(*subscription_id), why(COVERAGE, *reason))).or_insert(Some(at));
            }
            Kind::CoverageRestored { subscription_id, source: Source::Events } => {
                close(&mut open, Some(*subscription_id), COVERAGE, at);
            }
            Kind::AccessLost { subscription_id, reason, since } => {
                open.entry((Some(*subscription_id), why(ACCESS, *reason))).or_insert(Some(*since));
            }
            Kind::AccessRestored { subscription_id } => close(&mut open, Some(*subscription_id), ACCESS, at),
            Kind::SubscriptionRemoved { subscription_id } => {
                open.entry((Some(*subscription_id), REMOVED.to_owned())).or_insert(Some(at));
            }
            Kind::SubscriptionAdded { subscription_id, .. } => {
                close(&mut open, Some(*subscription_id), REMOVED, at);
                let key = (Some(*subscription_id), ADDED.to_owned());
                open.insert(key, None);
                close(&mut open, Some(*subscription_id), ADDED, at);
            }
            Kind::CustomerSilent { last_read_at } => {
                open.entry((None, SILENT.to_owned())).or_insert(*last_read_at);
            }
            Kind::CustomerHeard { .. } => close(&mut open, None, SILENT, at),
            Kind::MonitorWasSilent { from, to } => {
                open.insert((None, MONITOR.to_owned()), Some(*from));
                close(&mut open, None, MONITOR, *to);
            }
            _ => {}
        }
    }
    for ((subscription_id, why), from) in open {
        gaps.insert(ReportGap { subscription_id, from, to: None, why });
    }
    if input.watched_since > input.from {
        let why = "not watched yet: only what Azure still listed then, up to 90 days back".to_owned();
        gaps.insert(ReportGap { subscription_id: None, from: None, to: Some(input.watched_since), why });
    }
    gaps.extend(now(input, &gaps));
    let touches =
        |gap: &ReportGap| gap.from.is_none_or(|from| from < to) && gap.to.is_none_or(|until| until > input.from);
    gaps.into_iter().filter(touches).collect()
}

const COVERAGE: &str = "could not be read";
const ACCESS: &str = "access was lost";
const REMOVED: &str = "no longer watched";
const ADDED: &str = "not watched yet";
const SILENT: &str = "nothing could be read";
const MONITOR: &str = "this monitor did not run";

fn why(what: &str, reason: GapReason) -> String {
    let word = serde_json::to_value(reason).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default();
    format!("{what}: {word}")
}

/// Gaps of this moment that were not told yet, or never will be: passing trouble, and what was never read.
fn now(input: &Input<'_>, told: &BTreeSet<ReportGap>) -> Vec<ReportGap> {
    let goes_on = |id: SubscriptionId| told.iter().any(|gap| gap.subscription_id == Some(id) && gap.to.is_none());
    let Some(snapshot) = input.snapshot else {
        let why = "not polled yet".to_owned();
        return vec![ReportGap { subscription_id: None, from: None, to: None, why }];
    };
    let known = snapshot.coverage.iter().filter(|(id, _)| !goes_on(**id));
    let gap = known.filter_map(|(id, known)| {
        let gap = known.events.gap.as_ref()?;
        let from = known.events.read_at;
        Some(ReportGap { subscription_id: Some(*id), from, to: None, why: why(COVERAGE, gap.reason) })
    });
    gap.collect()
}
