//! The snapshot: what we know of one customer now, and how well we know it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    EventRecord, ResourceId, ResourceState, SubscriptionId, TenantId, Timestamp, TrackingId, Transition, TransitionId,
};

/// The snapshot of one customer, `health/{tenantId}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The customer's tenant.
    pub tenant_id: TenantId,
    /// When this snapshot was computed: the time of the last poll, whatever it could read.
    pub polled_at: Timestamp,
    /// Service Health events by tracking id.
    #[serde(default)]
    pub events: BTreeMap<TrackingId, EventRecord>,
    /// Resources that are not `Available`.
    #[serde(default)]
    pub resources: BTreeMap<ResourceId, ResourceState>,
    /// What was really read, per subscription and source.
    #[serde(default)]
    pub coverage: BTreeMap<SubscriptionId, SubscriptionCoverage>,
    /// Transitions that the timeline may not have yet: written with the snapshot, filed right after, dropped by the next poll.
    #[serde(default)]
    pub unfiled: BTreeMap<TransitionId, Transition>,
}

impl Snapshot {
    /// The snapshot of a customer that was never polled.
    pub fn empty(tenant_id: TenantId, now: Timestamp) -> Self {
        Self {
            tenant_id,
            polled_at: now,
            events: BTreeMap::new(),
            resources: BTreeMap::new(),
            coverage: BTreeMap::new(),
            unfiled: BTreeMap::new(),
        }
    }
}

/// A kind of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Service Health events.
    Events,
    /// The availability of resources.
    Resources,
}

/// How well one subscription is known, per source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionCoverage {
    /// Service Health events.
    pub events: SourceCoverage,
    /// The availability of resources.
    pub resources: SourceCoverage,
}

impl SubscriptionCoverage {
    /// The coverage of one source.
    pub fn of(&self, source: Source) -> &SourceCoverage {
        match source {
            Source::Events => &self.events,
            Source::Resources => &self.resources,
        }
    }
}

/// How well one source of one subscription is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceCoverage {
    /// The last time it was read in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// The last time we tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_at: Option<Timestamp>,
    /// Why the latest try did not read it in full. None: it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// What could not be read, since when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// What exactly, for the operator; never foreign text beyond error codes.
    pub detail: String,
    /// The first failed try of this unbroken row of failures.
    pub since: Timestamp,
    /// True once the loss was told as a transition: passing trouble is not told at once.
    #[serde(default)]
    pub told: bool,
}

/// Why something could not be read, by what the operator can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GapReason {
    /// The application may not read the subscription: role missing, removed, or not propagated yet.
    AccessDenied,
    /// The subscription is not visible: deleted, or the role was removed.
    SubscriptionNotFound,
    /// The subscription moved to another tenant.
    SubscriptionMoved,
    /// The tenant has no (enabled) service principal of ours: consent withdrawn or application disabled.
    ConsentWithdrawn,
    /// Our own credential was refused: every customer is affected.
    CredentialRefused,
    /// The subscription has not registered the resource provider `Microsoft.ResourceHealth`.
    ProviderNotRegistered,
    /// Azure asked us to slow down.
    Throttled,
    /// Azure failed or could not be reached.
    AzureUnavailable,
    /// Azure answered something that we cannot read.
    Unreadable,
    /// Some of it was read, some was not.
    Partial,
    /// Nothing tried yet.
    NotReadYet,
    /// It was read, but too long ago to be called current.
    Stale,
}

impl GapReason {
    /// What the operator can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::AccessDenied => {
                "the Reader role was removed or is still propagating: ask the customer to grant it again"
            }
            Self::SubscriptionNotFound => "the subscription was deleted or hidden from us: ask the customer",
            Self::SubscriptionMoved => "the subscription belongs to another tenant now: onboard it there",
            Self::ConsentWithdrawn => "the application was removed or disabled in the tenant: send a new invite",
            Self::CredentialRefused => "our own credential is wrong or has expired: renew it",
            Self::ProviderNotRegistered => {
                "ask the customer to run: az provider register --namespace Microsoft.ResourceHealth --subscription <id>"
            }
            Self::Throttled | Self::AzureUnavailable => "usually goes away by itself; look again in some minutes",
            Self::Unreadable => "Azure answered something new: report it with the detail",
            Self::Partial => "a later page failed; what was read is kept",
            Self::NotReadYet => "wait for the first poll",
            Self::Stale => "see that the timer runs",
        }
    }

    /// True for trouble that usually goes away by itself.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Throttled | Self::AzureUnavailable | Self::Unreadable | Self::Partial)
    }
}
