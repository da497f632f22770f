//! What may change, and what a change is about.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    EmergingChange, EmergingSeverity, EventChange, EventDelta, GapReason, ResourceId, Severity, Source, SubscriptionId,
    Timestamp, TrackingId,
};

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum TransitionKind {
    /// An event was seen for the first time: an issue or an advisory. Maintenance is announced instead.
    #[serde(rename_all = "camelCase")]
    EventOpened {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
    },
    /// An event changed in a way that matters.
    #[serde(rename_all = "camelCase")]
    EventUpdated {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters now.
        severity: Severity,
        /// What changed.
        changes: BTreeSet<EventChange>,
        /// From what to what, where that can be said in names.
        #[serde(default, skip_serializing_if = "EventDelta::is_empty")]
        delta: EventDelta,
    },
    /// Azure says that the event is over, on every subscription that sees it. Maintenance is completed instead.
    #[serde(rename_all = "camelCase")]
    EventResolved {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
    },
    /// Azure says that an event goes on after it was over.
    #[serde(rename_all = "camelCase")]
    EventReopened {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
    },
    /// Azure announced maintenance.
    #[serde(rename_all = "camelCase")]
    MaintenanceAnnounced {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
        /// When it is to begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<Timestamp>,
        /// When it is to end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
    },
    /// Announced maintenance moved.
    #[serde(rename_all = "camelCase")]
    MaintenanceRescheduled {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters now.
        severity: Severity,
        /// When it was to begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was_to_start_at: Option<Timestamp>,
        /// When it was to end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was_to_end_at: Option<Timestamp>,
        /// When it is to begin now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        starts_at: Option<Timestamp>,
        /// When it is to end now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
    },
    /// Maintenance has begun: its time came, or Azure says so.
    #[serde(rename_all = "camelCase")]
    MaintenanceStarted {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
        /// When it is to end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ends_at: Option<Timestamp>,
    },
    /// Azure says that maintenance is done, maybe before its planned end.
    #[serde(rename_all = "camelCase")]
    MaintenanceCompleted {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
    },
    /// Azure called an event off, such as maintenance that will not take place.
    #[serde(rename_all = "camelCase")]
    EventCancelled {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
    },
    /// Azure says that there was no such problem: what was told about it is taken back.
    #[serde(rename_all = "camelCase")]
    EventRetracted {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
    },
    /// Azure says that the customer has to do something.
    #[serde(rename_all = "camelCase")]
    ActionRequired {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
        /// Until when, where Azure gives a deadline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// Azure published its review of an incident that is over.
    #[serde(rename_all = "camelCase")]
    ReviewPublished {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// Which review.
        stage: ReviewStage,
    },
    /// Azure withholds the text of an event from readers: there is something that we may not read.
    #[serde(rename_all = "camelCase")]
    DetailsWithheld {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
    },
    /// A text that was withheld can be read now.
    #[serde(rename_all = "camelCase")]
    DetailsAvailable {
        /// The event.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How much it matters.
        severity: Severity,
    },
    /// Nothing of a customer was read for several intervals: what we show of it is old.
    #[serde(rename_all = "camelCase")]
    CustomerSilent {
        /// The last time that anything of it was read in full. None: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_read_at: Option<Timestamp>,
    },
    /// A customer that was silent is read again.
    #[serde(rename_all = "camelCase")]
    CustomerHeard {
        /// How it began: the last full reading before the silence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        silent_since: Option<Timestamp>,
    },
    /// The monitor itself did not run for a while: found by its own next run. The partner's, not a customer's.
    #[serde(rename_all = "camelCase")]
    MonitorWasSilent {
        /// The last heartbeat before the silence.
        from: Timestamp,
        /// The first run after it.
        to: Timestamp,
    },
    /// A resource stopped being available.
    #[serde(rename_all = "camelCase")]
    ResourceUnavailable {
        /// The resource.
        resource_id: ResourceId,
    },
    /// A resource works with loss.
    #[serde(rename_all = "camelCase")]
    ResourceDegraded {
        /// The resource.
        resource_id: ResourceId,
    },
    /// Azure has no signal of a resource, which may well have been stopped: neither up nor down.
    #[serde(rename_all = "camelCase")]
    ResourceUnknown {
        /// The resource.
        resource_id: ResourceId,
    },
    /// Azure says that a resource is available again.
    #[serde(rename_all = "camelCase")]
    ResourceRecovered {
        /// The resource.
        resource_id: ResourceId,
    },
    /// Complete listings no longer have a resource that was not available; it was probably deleted. Not a recovery.
    #[serde(rename_all = "camelCase")]
    ResourceNoLongerListed {
        /// The resource.
        resource_id: ResourceId,
    },
    /// A source of a subscription that we used to read cannot be read any more.
    #[serde(rename_all = "camelCase")]
    CoverageLost {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// What cannot be read.
        source: Source,
        /// Why.
        reason: GapReason,
    },
    /// Our own credential ends soon, or has ended. The partner's, not a customer's.
    #[serde(rename_all = "camelCase")]
    CredentialExpiring {
        /// Which one: its kind, and its thumbprint where it has one.
        credential: String,
        /// When it ends.
        expires_at: Timestamp,
        /// It ends within this many days; 0: it has ended.
        within_days: u16,
    },
    /// Something happened to an issue that Azure shows for a whole cloud. The partner's, not a customer's.
    #[serde(rename_all = "camelCase")]
    EmergingIssueChanged {
        /// The issue.
        tracking_id: TrackingId,
        /// Its title now.
        title: String,
        /// How bad it is, as Azure says.
        severity: EmergingSeverity,
        /// What happened.
        change: EmergingChange,
    },
    /// A channel of ours takes nothing any more: notices wait, or went to the dead letters. The partner's, not a customer's.
    #[serde(rename_all = "camelCase")]
    DestinationFailed {
        /// The channel, by name.
        channel: String,
        /// True when it said that it is gone: it was disabled.
        gone: bool,
        /// What it answered, without secrets.
        why: String,
    },
    /// It can be read again.
    #[serde(rename_all = "camelCase")]
    CoverageRestored {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// What can be read again.
        source: Source,
    },
    /// For more than an hour Azure has refused a subscription that we used to read.
    #[serde(rename_all = "camelCase")]
    AccessLost {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Why; [`GapReason::remedy`] says what to do.
        reason: GapReason,
        /// The first refusal.
        since: Timestamp,
    },
    /// It can be read again, without a new grant or after one.
    #[serde(rename_all = "camelCase")]
    AccessRestored {
        /// The subscription.
        subscription_id: SubscriptionId,
    },
    /// A subscription that nobody chose came into our reach, and is watched from now on.
    #[serde(rename_all = "camelCase")]
    SubscriptionAdded {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Its name.
        display_name: String,
    },
    /// A subscription is no longer watched: the customer or the partner ended it.
    #[serde(rename_all = "camelCase")]
    SubscriptionRemoved {
        /// The subscription.
        subscription_id: SubscriptionId,
    },
    /// Azure says that a subscription changed its state, such as from `Enabled` to `Disabled`.
    #[serde(rename_all = "camelCase")]
    SubscriptionStateChanged {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// What it was.
        was: String,
        /// What it is.
        is: String,
    },
}

impl TransitionKind {
    /// The kind and what it is about, as one text: what makes two transitions the same kind of change of the same thing.
    pub fn subject(&self) -> String {
        match self {
            Self::EventOpened { tracking_id, .. } => format!("eventOpened|{}", tracking_id.key()),
            Self::EventUpdated { tracking_id, .. } => format!("eventUpdated|{}", tracking_id.key()),
            Self::EventResolved { tracking_id, .. } => format!("eventResolved|{}", tracking_id.key()),
            Self::EventReopened { tracking_id, .. } => format!("eventReopened|{}", tracking_id.key()),
            Self::MaintenanceAnnounced { tracking_id, .. } => format!("maintenanceAnnounced|{}", tracking_id.key()),
            Self::MaintenanceRescheduled { tracking_id, .. } => format!("maintenanceRescheduled|{}", tracking_id.key()),
            Self::MaintenanceStarted { tracking_id, .. } => format!("maintenanceStarted|{}", tracking_id.key()),
            Self::MaintenanceCompleted { tracking_id, .. } => format!("maintenanceCompleted|{}", tracking_id.key()),
            Self::EventCancelled { tracking_id, .. } => format!("eventCancelled|{}", tracking_id.key()),
            Self::EventRetracted { tracking_id, .. } => format!("eventRetracted|{}", tracking_id.key()),
            Self::ActionRequired { tracking_id, .. } => format!("actionRequired|{}", tracking_id.key()),
            Self::ReviewPublished { tracking_id, stage, .. } => {
                format!("reviewPublished|{}|{stage:?}", tracking_id.key())
            }
            Self::DetailsWithheld { tracking_id, .. } => format!("detailsWithheld|{}", tracking_id.key()),
            Self::DetailsAvailable { tracking_id, .. } => format!("detailsAvailable|{}", tracking_id.key()),
            Self::CustomerSilent { .. } => "customerSilent".to_owned(),
            Self::CustomerHeard { .. } => "customerHeard".to_owned(),
            Self::MonitorWasSilent { .. } => "monitorWasSilent".to_owned(),
            Self::ResourceUnavailable { resource_id } => format!("resourceUnavailable|{resource_id}"),
            Self::ResourceDegraded { resource_id } => format!("resourceDegraded|{resource_id}"),
            Self::ResourceUnknown { resource_id } => format!("resourceUnknown|{resource_id}"),
            Self::ResourceRecovered { resource_id } => format!("resourceRecovered|{resource_id}"),
            Self::ResourceNoLongerListed { resource_id } => format!("resourceNoLongerListed|{resource_id}"),
            Self::CoverageLost { subscription_id, source, .. } => format!("coverageLost|{subscription_id}|{source:?}"),
            Self::CredentialExpiring { credential, .. } => format!("credentialExpiring|{credential}"),
            Self::EmergingIssueChanged { tracking_id, change, .. } => {
                format!("emergingIssueChanged|{}|{change:?}", tracking_id.key())
            }
            Self::DestinationFailed { channel, .. } => format!("destinationFailed|{channel}"),
            Self::CoverageRestored { subscription_id, source } => {
                format!("coverageRestored|{subscription_id}|{source:?}")
            }
            Self::AccessLost { subscription_id, .. } => format!("accessLost|{subscription_id}"),
            Self::AccessRestored { subscription_id } => format!("accessRestored|{subscription_id}"),
            Self::SubscriptionAdded { subscription_id, .. } => format!("subscriptionAdded|{subscription_id}"),
            Self::SubscriptionRemoved { subscription_id } => format!("subscriptionRemoved|{subscription_id}"),
            Self::SubscriptionStateChanged { subscription_id, was, is } => {
                format!("subscriptionStateChanged|{subscription_id}|{was}|{is}")
            }
        }
    }

    /// The kind as documents and the API spell it, such as `eventOpened`: the first part of the subject.
    pub fn word(&self) -> String {
        let subject = self.subject();
        subject.split('|').next().unwrap_or_default().to_owned()
    }

    /// The event that it is about. None: it is about no event.
    pub fn tracking_id(&self) -> Option<&TrackingId> {
        match self {
            Self::EventOpened { tracking_id, .. }
            | Self::EventUpdated { tracking_id, .. }
            | Self::EventResolved { tracking_id, .. }
            | Self::EventReopened { tracking_id, .. }
            | Self::EventCancelled { tracking_id, .. }
            | Self::EventRetracted { tracking_id, .. }
            | Self::MaintenanceAnnounced { tracking_id, .. }
            | Self::MaintenanceRescheduled { tracking_id, .. }
            | Self::MaintenanceStarted { tracking_id, .. }
            | Self::MaintenanceCompleted { tracking_id, .. }
            | Self::ActionRequired { tracking_id, .. }
            | Self::ReviewPublished { tracking_id, .. }
            | Self::DetailsWithheld { tracking_id, .. }
            | Self::DetailsAvailable { tracking_id, .. } => Some(tracking_id),
            _ => None,
        }
    }

    /// The subscription that it is about: the one named, or the one that the resource is in. None: it is about no single one.
    pub fn subscription_id(&self) -> Option<SubscriptionId> {
        match self {
            Self::CoverageLost { subscription_id, .. }
            | Self::CoverageRestored { subscription_id, .. }
            | Self::AccessLost { subscription_id, .. }
            | Self::AccessRestored { subscription_id }
            | Self::SubscriptionAdded { subscription_id, .. }
            | Self::SubscriptionRemoved { subscription_id }
            | Self::SubscriptionStateChanged { subscription_id, .. } => Some(*subscription_id),
            _ => self.resource_id().and_then(ResourceId::subscription),
        }
    }

    /// The resource that it is about. None: it is about no resource.
    pub fn resource_id(&self) -> Option<&ResourceId> {
        match self {
            Self::ResourceUnavailable { resource_id }
            | Self::ResourceDegraded { resource_id }
            | Self::ResourceUnknown { resource_id }
            | Self::ResourceRecovered { resource_id }
            | Self::ResourceNoLongerListed { resource_id } => Some(resource_id),
            _ => None,
        }
    }
}

/// Which of Azure's two reviews of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReviewStage {
    /// About three days after the incident.
    Preliminary,
    /// About two weeks after it.
    Final,
}
