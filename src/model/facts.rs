//! What an event or a resource was when a transition was found: kept with it, so that history can be told without Azure, which
//! forgets, and without the snapshot, which goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    EventContent, EventRecord, EventStatus, EventType, ResourceState, ServiceImpact, SubscriptionId, TenantEvent,
    Timestamp,
};

/// What an event said when a transition of it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventFacts {
    /// What kind of event it is.
    pub event_type: EventType,
    /// What it said, each distinct saying once.
    pub views: Vec<EventView>,
}

/// What an event said to some subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// To whom. None of them: to the tenant itself.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// Whether it went on.
    pub status: EventStatus,
    /// When the impact began or was to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_start: Option<Timestamp>,
    /// When it ended or was to end, as Azure said; it may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_mitigation: Option<Timestamp>,
    /// Services, each with the regions hit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub impact: Vec<ServiceImpact>,
}

/// What a resource was when a transition of it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceFacts {
    /// The resource type, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// The region's name, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Since when Azure said so; of a recovery, since when it had not been available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// `Unplanned`, `Planned` or `UserInitiated`, where Azure said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl EventFacts {
    /// What an event says to the subscriptions that see it. None: none does.
    pub fn of(record: &EventRecord) -> Option<Self> {
        let mut views: BTreeMap<EventView, BTreeSet<SubscriptionId>> = BTreeMap::new();
        let mut event_type = None;
        for (id, seen) in &record.observations {
            let Some(content) = record.contents.get(&seen.content) else { continue };
            event_type.get_or_insert_with(|| content.event_type.clone());
            views.entry(EventView::of(content)).or_default().insert(*id);
        }
        let views = views.into_iter().map(|(view, subscriptions)| EventView { subscriptions, ..view }).collect();
        Some(Self { event_type: event_type?, views })
    }

    /// What an event says to the tenant itself.
    pub fn of_tenant(event: &TenantEvent) -> Self {
        Self { event_type: event.content.event_type.clone(), views: vec![EventView::of(&event.content)] }
    }

    /// The same without some subscriptions, which are to be forgotten.
    pub fn forget(&mut self, gone: &BTreeSet<SubscriptionId>) {
        self.views.retain_mut(|view| {
            let of_tenant = view.subscriptions.is_empty();
            view.subscriptions.retain(|id| !gone.contains(id));
            of_tenant || !view.subscriptions.is_empty()
        });
    }
}

impl EventView {
    fn of(content: &EventContent) -> Self {
        Self {
            subscriptions: BTreeSet::new(),
            status: content.status.clone(),
            impact_start: content.impact_start,
            impact_mitigation: content.impact_mitigation,
            impact: content.impact.clone(),
        }
    }
}

impl From<&ResourceState> for ResourceFacts {
    fn from(state: &ResourceState) -> Self {
        Self {
            resource_type: state.resource_type.clone(),
            location: state.location.clone(),
            since: state.since,
            reason: state.reason.clone(),
        }
    }
}
