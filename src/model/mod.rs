//! The words of the product. No IO, no clock, no async: plain values and what follows from them.

mod access;
mod change;
mod counters;
mod customer;
mod delivery;
mod delta;
mod emerging;
mod event;
mod facts;
mod fingerprint;
mod hash;
mod headline;
mod heartbeat;
mod ids;
mod impacted;
mod incident;
mod invite;
mod notice;
mod pace;
mod resource;
mod route;
mod scope;
mod signs;
mod snapshot;
mod standing;
mod transition;
mod zone;

pub use access::{AccessTier, AccessTrouble};
pub use change::{ReviewStage, TransitionKind};
pub use counters::Counters;
pub use customer::{AccessLoss, AccessMode, Customer, Grant, Subscription, SubscriptionAccess};
pub use delivery::{Destination, Lane};
pub use delta::{EventChange, EventDelta};
pub use emerging::{Banner, EmergingChange, EmergingIssue, EmergingIssues, EmergingSeverity, EmergingStage};
pub(crate) use event::open_enum;
pub use event::{
    EventContent, EventLevel, EventRecord, EventStatus, EventType, EventUpdate, MergedEvent, Observation, RegionImpact,
    ServiceImpact, Severity, unite_impact,
};
pub use facts::{EventFacts, EventView, ResourceFacts};
pub use fingerprint::{Fingerprint, Fingerprints};
pub use hash::{TextHash, sha256_hex};
pub use heartbeat::{Heartbeat, Silence};
pub use ids::{
    ClientId, InvalidId, ManagementGroupId, NoticeId, ObjectId, ResourceId, SubscriptionId, TenantId, TrackingId,
    TransitionId,
};
pub use impacted::{ImpactedResource, ImpactedResources};
pub use incident::{Acknowledgement, IncidentNotes, Note, Snooze};
pub use invite::{Invite, InviteUse};
pub use notice::{
    AffectedCustomer, Delivery, Notice, NoticeEnd, NoticeScope, Outcome, Phase, Story, StoryCustomer, StoryEvent,
    Subject, Told,
};
pub use pace::{Pace, Quota, Spent};
pub use resource::{AvailabilityState, ResourceState};
pub use route::{Audience, BusinessHours, ChannelConfig, Digest, DigestEvery, Matches, Route, Routes, Timing};
pub use scope::Scope;
pub use snapshot::{Gap, GapReason, Snapshot, Source, SourceCoverage, StateSeen, SubscriptionCoverage, TenantEvent};
pub use standing::{ActionAsked, EventStage, EventStanding};
pub use transition::{Timeline, Transition};
pub use zone::{UnknownZone, Zone, ZoneOffset};

/// A moment, UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
