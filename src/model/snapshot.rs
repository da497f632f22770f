//! The snapshot: what we know of one customer now, and how well we know it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    AccessTrouble, EventContent, EventRecord, EventStanding, Pace, ResourceId, ResourceState, SubscriptionId, TenantId,
    TextHash, Timestamp, TrackingId, Transition, TransitionId,
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
    /// Events of the tenant itself, which no subscription sees, where we may read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tenant_events: BTreeMap<TrackingId, TenantEvent>,
    /// How well the events of the tenant itself are known. None: they were never asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_coverage: Option<SourceCoverage>,
    /// When we last asked which subscriptions our application can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<Timestamp>,
    /// When Azure was last asked for the resources that active events hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impacted_at: Option<Timestamp>,
    /// Resources that became available lately, and since when: what any source says of before then is old news.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recovered: BTreeMap<ResourceId, Timestamp>,
    /// How fast the customer may be read.
    #[serde(default)]
    pub pace: Pace,
    /// Transitions found so far, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counted: BTreeMap<String, u64>,
    /// Transitions that the timeline may not have yet: written with the snapshot, filed right after, dropped by the next poll.
    #[serde(default)]
    pub unfiled: BTreeMap<TransitionId, Transition>,
}

impl Snapshot {
    /// Every text that it refers to.
    pub fn texts(&self) -> BTreeSet<&TextHash> {
        let of_tenant = self.tenant_events.values().map(|event| &event.content);
        let of_subscriptions = self.events.values().flat_map(|record| record.contents.values());
        of_subscriptions.chain(of_tenant).flat_map(EventContent::texts).collect()
    }

    /// The snapshot of a customer that was never polled.
    pub fn empty(tenant_id: TenantId, now: Timestamp) -> Self {
        Self {
            tenant_id,
            polled_at: now,
            events: BTreeMap::new(),
            resources: BTreeMap::new(),
            coverage: BTreeMap::new(),
            tenant_events: BTreeMap::new(),
            tenant_coverage: None,
            listed_at: None,
            impacted_at: None,
            recovered: BTreeMap::new(),
            pace: Pace::default(),
            counted: BTreeMap::new(),
            unfiled: BTreeMap::new(),
        }
    }
}

/// An event of the tenant itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantEvent {
    /// What it says.
    pub content: EventContent,
    /// Azure's version stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// When we first saw it.
    pub first_seen: Timestamp,
    /// When we last saw it listed.
    pub last_seen: Timestamp,
    /// How often it was opened: 1, and one more for each time Azure reopened it.
    pub episode: u32,
    /// Where it stands, as far as it was told. None: an older version of this program wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<EventStanding>,
}

/// A kind of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Service Health events.
    Events,
    /// The availability of resources.
    Resources,
    /// The activity log: it fills what the other two miss.
    ActivityLog,
}

/// How well one subscription is known, per source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionCoverage {
    /// Service Health events.
    pub events: SourceCoverage,
    /// The availability of resources.
    pub resources: SourceCoverage,
    /// The activity log, where the other two may have missed something.
    #[serde(default)]
    pub activity: SourceCoverage,
    /// When all events of the last 90 days are to be listed next, however long ago they changed. None: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wide_due: Option<Timestamp>,
    /// When events that are over are to be asked for one by one next, for their reviews. None: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_due: Option<Timestamp>,
    /// Refusals in a row that concern our access. None: the latest reading was let in, or it was never asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessTrouble>,
    /// What Azure says about the subscription's own state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateSeen>,
    /// When Azure last refused the text of a withheld event: it is not asked again at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_refused_at: Option<Timestamp>,
}

/// The state of a subscription as Azure says it, such as `Enabled` or `Disabled`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateSeen {
    /// What was told.
    pub told: String,
    /// What was said last.
    pub seen: String,
    /// Since when it is said.
    pub since: Timestamp,
}

impl SubscriptionCoverage {
    /// The coverage of one source.
    pub fn of(&self, source: Source) -> &SourceCoverage {
        match source {
            Source::Events => &self.events,
            Source::Resources => &self.resources,
            Source::ActivityLog => &self.activity,
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
    /// The application may not read the subscription: role missing or removed.
    AccessDenied,
    /// Granted some minutes ago: Azure has not let the application in everywhere yet. No failure.
    Propagating,
    /// The subscription is not visible: deleted, or the role was removed.
    SubscriptionNotFound,
    /// The subscription moved to another tenant.
    SubscriptionMoved,
    /// The tenant has no service principal of ours: consent withdrawn, or the enterprise application deleted.
    ConsentWithdrawn,
    /// The tenant's service principal of ours was disabled.
    ApplicationDisabled,
    /// Our service principal was deleted and made anew: the roles of the old one went with it.
    PrincipalRecreated,
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
    /// It did not fit what one poll may ask of Azure: the next poll reads it, the oldest first.
    PutOff,
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
                "the Reader role was removed: ask the customer to grant it again, with a new invite or the command on the receipt"
            }
            Self::Propagating => "nothing to do: Azure takes up to ten minutes, rarely longer, until a new role works",
            Self::SubscriptionNotFound => {
                "the subscription was deleted, or the role on it was removed: ask the customer which; offboard it or send a new invite"
            }
            Self::SubscriptionMoved => "the subscription belongs to another tenant now: onboard it there",
            Self::ConsentWithdrawn => "the application was removed from the tenant: send a new invite",
            Self::ApplicationDisabled => {
                "the customer disabled the application: under Enterprise applications, Properties, an administrator sets \
                 \"Enabled for users to sign in\" to Yes; nothing else is needed"
            }
            Self::PrincipalRecreated => {
                "the application was removed from the tenant and added again, so its roles are gone: send a new invite"
            }
            Self::CredentialRefused => "our own credential is wrong or has expired: renew it",
            Self::ProviderNotRegistered => {
                "ask the customer to run: az provider register --namespace Microsoft.ResourceHealth --subscription <id>"
            }
            Self::Throttled | Self::AzureUnavailable => "usually goes away by itself; look again in some minutes",
            Self::Unreadable => "Azure answered something new: report it with the detail",
            Self::Partial => "a later page failed; what was read is kept",
            Self::PutOff => {
                "nothing to do: Azure wants to be asked slowly, and this is read with one of the next polls"
            }
            Self::NotReadYet => "wait for the first poll",
            Self::Stale => "see that the timer runs",
        }
    }

    /// True when Azure refuses our application this very subscription or tenant: not our own fault, not passing trouble.
    pub fn is_about_access(self) -> bool {
        matches!(
            self,
            Self::AccessDenied
                | Self::SubscriptionNotFound
                | Self::SubscriptionMoved
                | Self::ConsentWithdrawn
                | Self::ApplicationDisabled
                | Self::PrincipalRecreated
        )
    }

    /// True for trouble that usually goes away by itself.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Propagating
                | Self::Throttled
                | Self::AzureUnavailable
                | Self::Unreadable
                | Self::Partial
                | Self::PutOff
        )
    }
}
