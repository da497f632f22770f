//! A reading: what Azure said about one customer in one sweep, and what could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{
    AvailabilityState, EventContent, GapReason, ImpactedResources, ObjectId, Quota, ResourceId, ResourceState, Spent,
    SubscriptionId, TextHash, Timestamp, TrackingId,
};

/// What to read of one customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// The subscriptions, each with what is wanted.
    pub subscriptions: BTreeMap<SubscriptionId, AskSubscription>,
    /// The events of the tenant itself, published since then. None: not due, or not agreed to.
    pub tenant_events: Option<Timestamp>,
    /// Texts that are stored: they are recognised, not read again.
    pub known_texts: BTreeSet<TextHash>,
    /// Resources that did not work, now or lately. Of others that work no row is kept.
    pub known_resources: BTreeSet<ResourceId>,
    /// The resources that active events hit, where Resource Graph names them; and those pairs over REST where it does not.
    pub impacted: Option<Vec<(SubscriptionId, TrackingId)>>,
    /// Calls over REST that may be spent on what shows up while reading: texts of what is new, later pages.
    pub spare: u32,
    /// Due readings that did not fit the budget.
    pub put_off: u32,
    /// What Azure does not want to be asked before a time.
    pub rests: BTreeMap<Quota, Timestamp>,
}

/// What to read of one subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskSubscription {
    /// Service Health events. None: not due.
    pub events: Option<AskEvents>,
    /// The complete availability listing.
    pub resources: bool,
    /// The availability listing is overdue and does not fit the budget.
    pub resources_put_off: bool,
    /// The activity log since then. None: not due.
    pub activity: Option<Timestamp>,
}

/// How to read the events of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskEvents {
    /// Ask REST for everything published since then (`queryStartTime`), whenever REST is asked.
    pub since: Timestamp,
    /// Ask REST in any case: first sight, after a gap, a refresh, or the daily sweep.
    pub listing: bool,
    /// `since` goes back as far as Azure does: the listing has everything.
    pub wide: bool,
    /// Events to ask for one by one: over, and their review not published; since when they may have been published.
    pub follow: BTreeMap<TrackingId, Timestamp>,
    /// The versions known in full. Resource Graph rows that are newer than these make us ask REST for the texts.
    pub known: BTreeMap<TrackingId, Option<Timestamp>>,
    /// Events whose text Azure withholds from readers and that we may ask for. None: we may not.
    pub withheld: Option<BTreeSet<TrackingId>>,
}

/// What one sweep over one customer gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// When the sweep began: everything in it is at least as fresh.
    pub started_at: Timestamp,
    /// Per subscription that was asked for.
    pub subscriptions: BTreeMap<SubscriptionId, SubscriptionReading>,
    /// Our service principal, as our own token names it.
    pub principal: Option<ObjectId>,
    /// The events of the tenant itself. None: not asked.
    pub tenant_events: Option<EventsReading>,
    /// Every text that the events refer to, but for those that were known.
    pub texts: BTreeMap<TextHash, String>,
    /// Rows that could not be read, in words without foreign text; they do not spoil the rest.
    pub unreadable_rows: u32,
    /// True when the resources that active events hit were asked for.
    pub impacted_asked: bool,
    /// What was asked of Azure, and what it said about that.
    pub spent: Spent,
}

/// What one sweep gave for one subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubscriptionReading {
    /// Service Health events. None: not asked.
    pub events: Option<EventsReading>,
    /// Availability from the complete listing. None: not asked.
    pub resources: Option<ResourcesReading>,
    /// Availability of virtual machines from Resource Graph: says something about the resources it has, nothing about others.
    pub machines: Vec<(ResourceId, ResourceState)>,
    /// True when Azure refused the text of a withheld event.
    pub details_refused: bool,
    /// Whether everything of the last 90 days was listed over REST. None: not asked.
    pub listed_wide: Option<bool>,
    /// Whether events that were asked for one by one were read. None: not asked.
    pub followed: Option<bool>,
    /// The resources that Azure names as hit, by event, where it named any or was asked.
    pub impacted: BTreeMap<TrackingId, ImpactedResources>,
    /// The activity log. None: not asked.
    pub activity: Option<ActivityReading>,
    /// Short failures that only the activity log has: each a state and its end, in order. Filled by `poll::activity`.
    pub passed: Vec<(ResourceId, ResourceState)>,
}

impl SubscriptionReading {
    /// Drops the rows of resources that work and of which nobody says or said anything else, and these are nearly all: no
    /// transition follows from them. Pure.
    pub(crate) fn condense(&mut self, known: &BTreeSet<ResourceId>) {
        fn troubled(rows: &[(ResourceId, ResourceState)]) -> impl Iterator<Item = &ResourceId> {
            rows.iter().filter(|(_, state)| state.state != AvailabilityState::Available).map(|(id, _)| id)
        }
        let listed = self.resources.iter().flat_map(|listing| troubled(&listing.rows));
        let logged = self.activity.iter().flat_map(|log| log.changes.iter().map(|(id, _)| id));
        let named: BTreeSet<ResourceId> = listed.chain(troubled(&self.machines)).chain(logged).cloned().collect();
        let matters = |(id, _): &(ResourceId, ResourceState)| named.contains(id) || known.contains(id);
        let lists = self.resources.as_mut().map(|listing| &mut listing.rows).into_iter().chain([&mut self.machines]);
        for rows in lists {
            rows.retain(matters);
            rows.shrink_to_fit();
        }
    }
}

/// What the activity log of one subscription has, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityReading {
    /// Publications about Service Health events, put together by event.
    pub events: BTreeMap<TrackingId, ObservedEvent>,
    /// Changes of the health of resources.
    pub changes: Vec<(ResourceId, ResourceState)>,
    /// Why it is not complete. None: it is.
    pub trouble: Option<Trouble>,
}

/// The events read of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsReading {
    /// What was read.
    pub rows: BTreeMap<TrackingId, ObservedEvent>,
    /// True when the rows are everything Azure has of the last 90 days: only then a missing event counts as missed.
    pub wide: bool,
    /// Why it is not complete. None: everything new was read.
    pub trouble: Option<Trouble>,
}

/// The availability listing of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcesReading {
    /// What was read, but for resources that work as they did before.
    pub rows: Vec<(ResourceId, ResourceState)>,
    /// Why it is not complete. None: it is.
    pub trouble: Option<Trouble>,
}

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// By what the operator can do about it.
    pub reason: GapReason,
    /// What exactly: codes and our own words.
    pub detail: String,
}

impl Trouble {
    /// The trouble of what was not asked, because it did not fit what one poll may spend.
    pub(super) fn put_off() -> Self {
        let detail = "left to the next poll: Azure wants to be asked slowly".to_owned();
        Self { reason: GapReason::PutOff, detail }
    }

    /// The trouble that an error means.
    pub fn of(error: &super::Error) -> Self {
        Self { reason: error.gap_reason(), detail: error.to_string() }
    }
}

/// One event as one subscription sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedEvent {
    /// What it says. Hundreds of subscriptions see the same: it is held once.
    pub content: Arc<EventContent>,
    /// Azure's version stamp.
    pub last_update: Option<Timestamp>,
    /// True when it comes from Resource Graph alone, which may lack texts.
    pub index_only: bool,
}
