//! Transitions: changes between two snapshots that matter, with deterministic ids.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{EventFacts, ResourceFacts, TenantId, Timestamp, TransitionId, TransitionKind};

/// The namespace of transition ids: any fixed GUID of our own.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_2c3a_5b0e_4d7f_9a86_0b1c_2d3e_4f50);

/// The transitions of one customer and month, `timeline/{tenantId}/{yyyy-mm}.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// By id, so that filing one twice is filing it once.
    pub transitions: BTreeMap<TransitionId, Transition>,
    /// Transitions that later ones of the same kind and subject stand for since the timeline was compacted. They are not filed
    /// again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub folded: BTreeSet<TransitionId>,
}

/// A change between two snapshots of one customer that matters to somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// Deterministic: finding the same change again gives the same id.
    pub id: TransitionId,
    /// When we found it.
    pub at: Timestamp,
    /// The customer.
    pub tenant_id: TenantId,
    /// What changed.
    #[serde(flatten)]
    pub kind: TransitionKind,
    /// True when it was found by the first reading of a subscription: history, not news.
    #[serde(default)]
    pub backfill: bool,
    /// What the event said then, as far as history needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventFacts>,
    /// What the resource was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceFacts>,
    /// When it was filed in the timeline: what is new is found by it. None: not filed yet, or by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filed_at: Option<Timestamp>,
    /// How many earlier ones of the same kind and subject it stands for, since the timeline was compacted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stands_for: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Transition {
    /// A transition whose id follows from the customer, what changed, and `occurrence`: a text that tells this occurrence
    /// of the change from earlier ones, such as the event's episode.
    pub fn new(tenant_id: TenantId, kind: TransitionKind, occurrence: &str, at: Timestamp, backfill: bool) -> Self {
        let name = format!("{tenant_id}|{}|{occurrence}", kind.subject());
        Self {
            id: Uuid::new_v5(&NAMESPACE, name.as_bytes()).into(),
            at,
            tenant_id,
            kind,
            backfill,
            event: None,
            resource: None,
            filed_at: None,
            stands_for: 0,
        }
    }
}
