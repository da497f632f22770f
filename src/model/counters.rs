//! What is counted for ever: it only grows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Snapshot, TextHash, Transition};

/// Counts by name. Those of the customers that were erased are `partner/counters.json`: a counter never goes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Requests to Azure by source and HTTP status; 0: no answer came.
    pub requests: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Transitions found, by kind.
    pub transitions: BTreeMap<String, u64>,
    /// The latest snapshots that were taken in, by a hash that names nobody: none is taken in twice.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub taken_in: BTreeSet<String>,
}

/// How many marks are kept: far more than customers are erased at once.
const MARKS: usize = 500;

impl Counters {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (source, statuses) in &other.requests {
            let known = self.requests.entry(source.clone()).or_default();
            for (status, count) in statuses {
                let total = known.entry(*status).or_default();
                *total = total.saturating_add(*count);
            }
        }
        for (kind, count) in &other.transitions {
            let total = self.transitions.entry(kind.clone()).or_default();
            *total = total.saturating_add(*count);
        }
        self
    }

    /// With what a snapshot counted that is about to be erased. `version` is the snapshot's own. None: it was taken in before.
    pub fn taking_in(&self, snapshot: &Snapshot, version: &str) -> Option<Self> {
        let mark: String =
            TextHash::of(&format!("{version}|{}", snapshot.polled_at)).to_string().chars().take(16).collect();
        if self.taken_in.contains(&mark) {
            return None;
        }
        let mut after = self.clone().and(&snapshot.counters());
        while after.taken_in.len() >= MARKS {
            after.taken_in.pop_first();
        }
        after.taken_in.insert(mark);
        Some(after)
    }
}

impl Snapshot {
    /// What was counted for the customer so far.
    pub fn counters(&self) -> Counters {
        Counters { requests: self.pace.requests.clone(), transitions: self.counted.clone(), taken_in: BTreeSet::new() }
    }

    /// Counts what was found: to be written with the snapshot that holds it.
    pub fn count(&mut self, transitions: &[Transition]) {
        for transition in transitions {
            let total = self.counted.entry(transition.kind.word()).or_default();
            *total = total.saturating_add(1);
        }
    }
}
