//! What a transition tells: from the transition, the event or resource behind it, and the customer. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::hours;
use crate::model::{
    Customer, EmergingChange, EmergingSeverity, EventChange, EventContent, MergedEvent, Phase, ResourceState,
    ReviewStage, Severity, Snapshot, Source, Story, StoryCustomer, StoryEvent, Subject, SubscriptionId, TextHash,
    TrackingId, Transition, TransitionKind, Zone,
};
use crate::poll::diff_tenant;

/// The word of a story that says that somebody looks after an incident.
pub const ACKNOWLEDGED: &str = "acknowledged";
/// The word of a story that is told again.
pub const REMINDER: &str = "reminder";
/// The word of a story that somebody asked for, to try a channel.
pub const TEST: &str = "test";

/// A transition with what it is about, found in the snapshots around it.
#[derive(Debug, Clone)]
pub struct Matter<'a> {
    /// What changed.
    pub transition: &'a Transition,
    /// The customer. None: it is the partner's own.
    pub customer: Option<&'a Customer>,
    /// The event as it is now, over all subscriptions.
    pub event: Option<MergedEvent>,
    /// How bad the event was before.
    pub was: Option<Severity>,
    /// How often the event began.
    pub episode: u32,
    /// The resource as it is, or as it was before it was forgotten.
    pub resource: Option<&'a ResourceState>,
}

/// The event of a customer as all its subscriptions see it, or the tenant itself; and how often it began.
pub fn event_in(snapshot: &Snapshot, id: &TrackingId) -> Option<(MergedEvent, u32)> {
    if let Some(record) = snapshot.events.get(id) {
        return Some((record.merged(id)?, record.episode));
    }
    snapshot.tenant_events.get(id).map(|event| (diff_tenant::merged(id, event), event.episode))
}

impl<'a> Matter<'a> {
    /// Finds what a transition is about.
    pub fn of(
        transition: &'a Transition,
        customer: Option<&'a Customer>,
        before: Option<&'a Snapshot>,
        after: Option<&'a Snapshot>,
    ) -> Self {
        let event_of = |snapshot: Option<&Snapshot>| event_in(snapshot?, transition.kind.tracking_id()?);
        let resource_of = |snapshot: Option<&'a Snapshot>| snapshot?.resources.get(transition.kind.resource_id()?);
        let (was, is) = (event_of(before), event_of(after));
        let severity = was.as_ref().map(|(event, _)| event.severity);
        let (event, episode) = is.or(was).map_or((None, 1), |(event, episode)| (Some(event), episode.max(1)));
        let resource = resource_of(after).or_else(|| resource_of(before));
        Self { transition, customer, event, was: severity, episode, resource }
    }

    /// The same, spoken of some subscriptions only. None: none of them sees the event.
    pub fn within(&self, only: &BTreeSet<SubscriptionId>, after: Option<&Snapshot>) -> Option<Self> {
        let Some(event) = &self.event else { return Some(self.clone()) };
        let record = after.and_then(|after| after.events.get(&event.tracking_id));
        let event = record.and_then(|record| record.merged_for(&event.tracking_id, only))?;
        Some(Self { event: Some(event), ..self.clone() })
    }

    /// Where the story stands.
    pub fn phase(&self) -> Phase {
        use TransitionKind as Kind;
        match &self.transition.kind {
            Kind::EventOpened { .. } | Kind::EventReopened { .. } | Kind::MaintenanceAnnounced { .. } => Phase::Began,
            Kind::EventUpdated { .. }
            | Kind::MaintenanceRescheduled { .. }
            | Kind::MaintenanceStarted { .. }
            | Kind::ActionRequired { .. }
            | Kind::DetailsAvailable { .. } => Phase::Changed,
            Kind::EventResolved { .. } | Kind::MaintenanceCompleted { .. } | Kind::EventCancelled { .. } => {
                Phase::Ended
            }
            Kind::EventRetracted { .. } => Phase::Retracted,
            Kind::ReviewPublished { .. } | Kind::DetailsWithheld { .. } => Phase::Remark,
            Kind::ResourceUnavailable { .. } | Kind::ResourceDegraded { .. } | Kind::ResourceUnknown { .. } => {
                Phase::Began
            }
            Kind::ResourceRecovered { .. } => Phase::Ended,
            // Nobody knows whether it recovered: no colour of a good end.
            Kind::ResourceNoLongerListed { .. } => Phase::Remark,
            Kind::CoverageLost { .. } | Kind::AccessLost { .. } | Kind::CustomerSilent { .. } => Phase::Began,
            Kind::CoverageRestored { .. } | Kind::AccessRestored { .. } | Kind::CustomerHeard { .. } => Phase::Ended,
            Kind::CredentialExpiring { .. } | Kind::DestinationFailed { .. } => Phase::Began,
            Kind::EmergingIssueChanged { change, .. } => match change {
                EmergingChange::Opened => Phase::Began,
                EmergingChange::Updated => Phase::Changed,
                EmergingChange::Resolved => Phase::Ended,
                // Nobody said that it is over.
                EmergingChange::NoLongerListed => Phase::Remark,
            },
            Kind::MonitorWasSilent { .. }
            | Kind::SubscriptionAdded { .. }
            | Kind::SubscriptionRemoved { .. }
            | Kind::SubscriptionStateChanged { .. } => Phase::Remark,
        }
    }

    /// How much it matters. The end of something matters as much as it did before.
    pub fn severity(&self) -> Severity {
        use TransitionKind as Kind;
        let of_event = self.event.as_ref().map(|event| event.severity);
        match &self.transition.kind {
            Kind::EventOpened { severity, .. }
            | Kind::EventUpdated { severity, .. }
            | Kind::EventReopened { severity, .. }
            | Kind::MaintenanceAnnounced { severity, .. }
            | Kind::MaintenanceRescheduled { severity, .. }
            | Kind::MaintenanceStarted { severity, .. }
            | Kind::ActionRequired { severity, .. }
            | Kind::DetailsWithheld { severity, .. }
            | Kind::DetailsAvailable { severity, .. } => of_event.unwrap_or(*severity),
            Kind::EventResolved { .. }
            | Kind::EventCancelled { .. }
            | Kind::EventRetracted { .. }
            | Kind::MaintenanceCompleted { .. } => of_event.max(self.was).unwrap_or(Severity::Low),
            Kind::ReviewPublished { .. } => of_event.unwrap_or(Severity::Low),
            Kind::ResourceUnavailable { .. } | Kind::ResourceDegraded { .. } | Kind::ResourceRecovered { .. } => {
                Severity::Medium
            }
            Kind::ResourceUnknown { .. } | Kind::ResourceNoLongerListed { .. } => Severity::Low,
            // We are blind: what happens there, nobody is told.
            Kind::AccessLost { .. } | Kind::CustomerSilent { .. } => Severity::High,
            Kind::AccessRestored { .. } | Kind::CustomerHeard { .. } => Severity::High,
            Kind::CoverageLost { .. } | Kind::CoverageRestored { .. } | Kind::MonitorWasSilent { .. } => {
                Severity::Medium
            }
            Kind::CredentialExpiring { within_days: 0..=1, .. } | Kind::DestinationFailed { .. } => Severity::High,
            Kind::CredentialExpiring { within_days: 2..=7, .. } => Severity::Medium,
            Kind::CredentialExpiring { .. } => Severity::Low,
            // The status page says what is wrong with the cloud, not with any customer.
            Kind::EmergingIssueChanged { severity, .. } => match severity {
                EmergingSeverity::Error => Severity::High,
                EmergingSeverity::Information => Severity::Low,
                EmergingSeverity::Warning | EmergingSeverity::Other(_) => Severity::Medium,
            },
            Kind::SubscriptionStateChanged { .. } => Severity::Medium,
            Kind::SubscriptionAdded { .. } | Kind::SubscriptionRemoved { .. } => Severity::Low,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        use TransitionKind as Kind;
        let kind = &self.transition.kind;
        if let Some(tracking_id) = kind.tracking_id() {
            return Subject::Event { tracking_id: tracking_id.clone() };
        }
        if let Some(resource_id) = kind.resource_id() {
            return Subject::Resource { resource_id: resource_id.clone() };
        }
        let aspect = match kind {
            Kind::CoverageLost { source, .. } | Kind::CoverageRestored { source, .. } => match source {
                Source::Events => "events",
                Source::Resources => "resources",
                Source::ActivityLog => "activity log",
            },
            Kind::SubscriptionStateChanged { .. } => "state",
            Kind::SubscriptionAdded { .. } | Kind::SubscriptionRemoved { .. } => "watched",
            _ => "access",
        };
        match (kind.subscription_id(), kind) {
            (Some(subscription_id), _) => Subject::Subscription { subscription_id, aspect: aspect.to_owned() },
            (None, Kind::CredentialExpiring { .. }) => Subject::Monitor { aspect: "credential".to_owned() },
            (None, Kind::DestinationFailed { channel, .. }) => {
                Subject::Monitor { aspect: format!("destination {channel}") }
            }
            // The status page has incidents of its own, which customers may see under the same id.
            (None, Kind::EmergingIssueChanged { tracking_id, .. }) => {
                Subject::Monitor { aspect: format!("status page {}", tracking_id.key()) }
            }
            (None, Kind::MonitorWasSilent { .. }) => Subject::Monitor { aspect: "silence".to_owned() },
            (None, _) => Subject::Customer,
        }
    }

    /// The story as it is told to one customer, or to the partner, who sees an incident over all customers.
    pub fn story(&self, over_all_customers: bool) -> Story {
        let customer = self.customer.filter(|_| !over_all_customers);
        let subscriptions: BTreeSet<_> = match (&self.event, self.transition.kind.subscription_id()) {
            (Some(event), _) => event.subscriptions.clone(),
            (None, one) => one.into_iter().collect(),
        };
        let changes = match &self.transition.kind {
            TransitionKind::EventUpdated { changes, .. } => changes.clone(),
            _ => BTreeSet::new(),
        };
        Story {
            word: self.transition.kind.word(),
            phase: self.phase(),
            title: self.title(),
            severity: self.severity(),
            at: self.transition.at,
            customer: customer.map(story_customer),
            event: self.event.as_ref().map(|event| story_event(event, customer.is_some())),
            resources: self.transition.kind.resource_id().cloned().into_iter().collect(),
            subscriptions: customer.map(|customer| names(customer, &subscriptions)).unwrap_or_default(),
            changes: over_all(changes, over_all_customers),
            remedy: self.remedy(),
            facts: self.facts(),
            affected: Vec::new(),
        }
    }

    /// One line: Azure's title, or our own words.
    fn title(&self) -> String {
        use TransitionKind as Kind;
        let kind = &self.transition.kind;
        let name = |id: &SubscriptionId| match self.customer.and_then(|customer| customer.subscriptions.get(id)) {
            Some(subscription) => subscription.display_name.clone(),
            None => id.to_string(),
        };
        match kind {
            Kind::EventOpened { title, .. }
            | Kind::EventUpdated { title, .. }
            | Kind::EventResolved { title, .. }
            | Kind::EventReopened { title, .. }
            | Kind::MaintenanceAnnounced { title, .. }
            | Kind::MaintenanceRescheduled { title, .. }
            | Kind::MaintenanceStarted { title, .. }
            | Kind::MaintenanceCompleted { title, .. }
            | Kind::EventCancelled { title, .. }
            | Kind::EventRetracted { title, .. }
            | Kind::ActionRequired { title, .. }
            | Kind::ReviewPublished { title, .. }
            | Kind::DetailsWithheld { title, .. }
            | Kind::EmergingIssueChanged { title, .. }
            | Kind::DetailsAvailable { title, .. } => title.clone(),
            Kind::AccessLost { subscription_id, .. } => {
                format!("{} cannot be read any more", name(subscription_id))
            }
            Kind::AccessRestored { subscription_id } => format!("{} can be read again", name(subscription_id)),
            Kind::CoverageLost { subscription_id, source, .. } => {
                format!("{} of {} cannot be read", what(*source), name(subscription_id))
            }
            Kind::CoverageRestored { subscription_id, source } => {
                format!("{} of {} can be read again", what(*source), name(subscription_id))
            }
            Kind::SubscriptionAdded { display_name, .. } => format!("{display_name} is new and watched"),
            Kind::SubscriptionRemoved { subscription_id } => {
                format!("{} is no longer watched", name(subscription_id))
            }
            Kind::SubscriptionStateChanged { subscription_id, was, is } => {
                format!("{} was {was} and is {is}", name(subscription_id))
            }
            Kind::CustomerSilent { .. } => "Nothing of this customer could be read for a while".to_owned(),
            Kind::CustomerHeard { .. } => "This customer is read again".to_owned(),
            Kind::CredentialExpiring { credential, within_days: 0, .. } => format!("Our {credential} has ended"),
            Kind::CredentialExpiring { credential, .. } => format!("Our {credential} ends soon"),
            Kind::MonitorWasSilent { .. } => "The monitor did not run for a while".to_owned(),
            Kind::DestinationFailed { channel, gone: true, .. } => format!("The channel {channel} is gone"),
            Kind::DestinationFailed { channel, .. } => format!("The channel {channel} takes nothing"),
            Kind::ResourceUnavailable { .. }
            | Kind::ResourceDegraded { .. }
            | Kind::ResourceUnknown { .. }
            | Kind::ResourceRecovered { .. }
            | Kind::ResourceNoLongerListed { .. } => kind.headline(),
        }
    }

    /// What can be done about it, in our own words.
    fn remedy(&self) -> Option<String> {
        use TransitionKind as Kind;
        let text = match &self.transition.kind {
            Kind::AccessLost { reason, .. } | Kind::CoverageLost { reason, .. } => reason.remedy(),
            Kind::DetailsWithheld { .. } => {
                "ask the customer to grant the tier securityAdvisories, which lets us read what Azure withholds from readers"
            }
            Kind::CustomerSilent { .. } => "run `doctor`, and look at the customer's gaps in `health`",
            Kind::MonitorWasSilent { .. } => {
                "what changed meanwhile has been read now; see in the host's log why the timer did not run"
            }
            Kind::DestinationFailed { gone: true, .. } => {
                "it is disabled: mend it, remove `disabled` from the routes, and run `notices replay --all`"
            }
            Kind::DestinationFailed { .. } => {
                "its notices wait and are sent when it takes them again, for more than three days"
            }
            Kind::CredentialExpiring { .. } => "add a new credential with `register`, set it, and restart",
            Kind::ResourceNoLongerListed { .. } => {
                "it was probably deleted; nobody knows whether it had recovered before"
            }
            Kind::EventRetracted { .. } => "Azure says that there was no such problem: nothing needs to be done",
            _ => return None,
        };
        Some(text.to_owned())
    }

    /// Further facts, in order.
    fn facts(&self) -> Vec<(String, String)> {
        use TransitionKind as Kind;
        let zone = zone_of(self.customer);
        let time = |name: &str, at: Option<crate::model::Timestamp>| {
            at.map(|at| (name.to_owned(), hours::local(at, zone))).into_iter().collect::<Vec<_>>()
        };
        match &self.transition.kind {
            Kind::MaintenanceRescheduled { was_to_start_at, .. } => time("Was to begin", *was_to_start_at),
            Kind::ActionRequired { until, .. } => time("Until", *until),
            Kind::ReviewPublished { stage, .. } => {
                let stage = match stage {
                    ReviewStage::Preliminary => "preliminary",
                    ReviewStage::Final => "final",
                };
                vec![("Review".to_owned(), stage.to_owned())]
            }
            Kind::AccessLost { since, .. } => time("Since", Some(*since)),
            Kind::CredentialExpiring { expires_at, .. } => time("Ends", Some(*expires_at)),
            Kind::DestinationFailed { channel, why, .. } => {
                vec![("Channel".to_owned(), channel.clone()), ("Answer".to_owned(), why.clone())]
            }
            Kind::CustomerSilent { last_read_at } => match last_read_at {
                Some(at) => time("Last read", Some(*at)),
                None => vec![("Last read".to_owned(), "never".to_owned())],
            },
            Kind::CustomerHeard { silent_since } => time("Silent since", *silent_since),
            Kind::MonitorWasSilent { from, to } => [time("From", Some(*from)), time("To", Some(*to))].concat(),
            kind if kind.resource_id().is_some() => self.resource_facts(zone),
            _ => Vec::new(),
        }
    }

    fn resource_facts(&self, zone: Zone) -> Vec<(String, String)> {
        let Some(resource) = self.resource else { return Vec::new() };
        let facts = [
            ("Type", resource.resource_type.clone()),
            ("Region", resource.location.clone()),
            ("Since", resource.since.map(|at| hours::local(at, zone))),
            ("Cause", resource.reason.clone()),
            ("Azure says", resource.summary.clone()),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The time zone of a customer; UTC where none is known.
pub fn zone_of(customer: Option<&Customer>) -> Zone {
    customer.and_then(|customer| hours::zone(customer.time_zone.as_deref()?)).unwrap_or(Zone::UTC)
}

/// The customer of a story.
pub fn story_customer(customer: &Customer) -> StoryCustomer {
    StoryCustomer {
        tenant_id: customer.tenant_id,
        display_name: customer.display_name.clone(),
        time_zone: customer.time_zone.clone(),
        contacts: customer.contacts.clone(),
    }
}

/// The event of a story; with the link that opens it in the portal, for one customer's subscription.
pub fn story_event(event: &MergedEvent, with_link: bool) -> StoryEvent {
    let content = &event.content;
    let link = event.subscriptions.first().filter(|_| with_link).map(|id| link(&event.tracking_id, *id));
    StoryEvent {
        tracking_id: event.tracking_id.clone(),
        event_type: content.event_type.clone(),
        status: content.status.clone(),
        impact: content.impact.clone(),
        impact_start: content.impact_start,
        impact_mitigation: content.impact_mitigation,
        text: newest_text(content).cloned(),
        text_withheld: content.text_withheld,
        last_update: event.last_update,
        link,
    }
}

/// The text that Azure published last.
pub fn newest_text(content: &EventContent) -> Option<&TextHash> {
    let update = content.updates.first().map(|update| &update.text);
    update.or(content.description.as_ref()).or(content.summary.as_ref())
}

/// The event in the portal ("Azure health data APIs", 6.4): the subscription is named by its first and last three characters.
fn link(tracking_id: &TrackingId, subscription: SubscriptionId) -> String {
    let id = subscription.to_string();
    format!("https://app.azure.com/h/{tracking_id}/{}{}", &id[..3], &id[id.len() - 3..])
}

/// The names of subscriptions, as the record has them.
pub fn names(customer: &Customer, ids: &BTreeSet<SubscriptionId>) -> BTreeMap<SubscriptionId, String> {
    let name = |id: &SubscriptionId| match customer.subscriptions.get(id) {
        Some(subscription) => subscription.display_name.clone(),
        None => id.to_string(),
    };
    ids.iter().map(|id| (*id, name(id))).collect()
}

/// Which subscriptions of a single customer see it is nothing about the incident.
fn over_all(mut changes: BTreeSet<EventChange>, over_all_customers: bool) -> BTreeSet<EventChange> {
    if over_all_customers {
        changes.remove(&EventChange::Subscriptions);
    }
    changes
}

fn what(source: Source) -> &'static str {
    match source {
        Source::Events => "Events",
        Source::Resources => "The availability of resources",
        Source::ActivityLog => "The activity log",
    }
}
