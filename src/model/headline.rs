//! Each transition in one line of plain words.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{EmergingChange, EventChange, EventDelta, Timestamp, TransitionKind};

impl TransitionKind {
    /// What happened, in one line of plain text; foreign titles are as Azure gave them.
    pub fn headline(&self) -> String {
        match self {
            Self::EventOpened { tracking_id, title, severity } => {
                format!("{tracking_id} opened ({}): {title}", word(severity))
            }
            Self::EventUpdated { tracking_id, title, changes, delta, .. } => {
                let changes: Vec<_> = changes.iter().map(|change| changed(*change, delta)).collect();
                format!("{tracking_id} updated ({}): {title}", changes.join(", "))
            }
            Self::EventResolved { tracking_id, title } => format!("{tracking_id} resolved: {title}"),
            Self::EventReopened { tracking_id, title, .. } => format!("{tracking_id} reopened: {title}"),
            Self::ResourceUnavailable { resource_id } => format!("{} is unavailable", resource_id.name()),
            Self::ResourceDegraded { resource_id } => format!("{} is degraded", resource_id.name()),
            Self::ResourceUnknown { resource_id } => format!("{}: no signal", resource_id.name()),
            Self::ResourceRecovered { resource_id } => format!("{} is available again", resource_id.name()),
            Self::ResourceNoLongerListed { resource_id } => {
                format!("{} is no longer listed", resource_id.name())
            }
            Self::CoverageLost { subscription_id, reason, .. } => {
                format!("{subscription_id} cannot be read any more ({})", word(reason))
            }
            Self::CoverageRestored { subscription_id, .. } => format!("{subscription_id} can be read again"),
            Self::AccessLost { subscription_id, reason, .. } => {
                format!("{subscription_id} is lost ({}): {}", word(reason), reason.remedy())
            }
            Self::AccessRestored { subscription_id } => format!("{subscription_id} is back"),
            Self::SubscriptionAdded { subscription_id, display_name } => {
                format!("{display_name} ({subscription_id}) is new and watched")
            }
            Self::SubscriptionRemoved { subscription_id } => format!("{subscription_id} is no longer watched"),
            Self::SubscriptionStateChanged { subscription_id, was, is } => {
                format!("{subscription_id} was {was} and is {is}")
            }
            Self::CredentialExpiring { credential, expires_at, .. } => {
                format!("our {credential} ends at {expires_at}")
            }
            Self::MaintenanceAnnounced { tracking_id, title, starts_at, .. } => {
                format!("{tracking_id} maintenance announced{}: {title}", moment(" for ", starts_at))
            }
            Self::MaintenanceRescheduled { tracking_id, title, was_to_start_at, starts_at, ends_at, .. } => {
                let now = match was_to_start_at == starts_at {
                    true => moment(", ends now ", ends_at),
                    false => moment(" to ", starts_at),
                };
                format!("{tracking_id} maintenance moved{now}: {title}")
            }
            Self::MaintenanceStarted { tracking_id, title, ends_at, .. } => {
                format!("{tracking_id} maintenance started{}: {title}", moment(", planned to end ", ends_at))
            }
            Self::MaintenanceCompleted { tracking_id, title } => {
                format!("{tracking_id} maintenance completed: {title}")
            }
            Self::EventCancelled { tracking_id, title } => format!("{tracking_id} cancelled: {title}"),
            Self::EventRetracted { tracking_id, title } => format!("{tracking_id} was a false alarm: {title}"),
            Self::ActionRequired { tracking_id, title, until, .. } => {
                format!("{tracking_id} needs action{}: {title}", moment(" until ", until))
            }
            Self::ReviewPublished { tracking_id, title, stage } => {
                format!("{tracking_id} has a {} review: {title}", word(stage))
            }
            Self::DetailsWithheld { tracking_id, title, .. } => {
                format!("{tracking_id} has a text that Azure withholds from us: {title}")
            }
            Self::DetailsAvailable { tracking_id, title, .. } => {
                format!("{tracking_id} can be read in full now: {title}")
            }
            Self::EmergingIssueChanged { tracking_id, title, change, .. } => {
                let what = match change {
                    EmergingChange::Opened => "on Azure's status page",
                    EmergingChange::Updated => "updated on Azure's status page",
                    EmergingChange::Resolved => "resolved, says Azure's status page",
                    EmergingChange::NoLongerListed => "no longer on Azure's status page",
                };
                format!("{tracking_id} {what}: {title}")
            }
            Self::CustomerSilent { last_read_at } => match last_read_at {
                Some(at) => format!("nothing could be read since {}", at.format("%Y-%m-%d %H:%M UTC")),
                None => "nothing could ever be read".to_owned(),
            },
            Self::CustomerHeard { .. } => "can be read again".to_owned(),
            Self::DestinationFailed { channel, gone: true, why } => format!("the channel {channel} is gone: {why}"),
            Self::DestinationFailed { channel, why, .. } => format!("the channel {channel} takes nothing: {why}"),
            Self::MonitorWasSilent { from, to } => format!(
                "the monitor did not run from {} to {}",
                from.format("%Y-%m-%d %H:%M UTC"),
                to.format("%Y-%m-%d %H:%M UTC")
            ),
        }
    }
}

/// What changed, with names where there are some.
fn changed(change: EventChange, delta: &EventDelta) -> String {
    let names = |verb: &str, names: &BTreeSet<String>| match names.is_empty() {
        true => None,
        false => Some(format!("{verb}{}", names.iter().map(String::as_str).collect::<Vec<_>>().join(", "))),
    };
    let told = match change {
        EventChange::ServicesAdded => names("now also ", &delta.services_added),
        EventChange::ServicesRemoved => names("no longer ", &delta.services_removed),
        EventChange::RegionsAdded => names("now also ", &delta.regions_added),
        EventChange::RegionsRemoved => names("no longer ", &delta.regions_removed),
        EventChange::RegionStatus => {
            let both = [names("over in ", &delta.regions_over), names("again in ", &delta.regions_back)];
            let both: Vec<_> = both.into_iter().flatten().collect();
            (!both.is_empty()).then(|| both.join(", "))
        }
        _ => None,
    };
    told.unwrap_or_else(|| word(&change))
}

fn moment(before: &str, at: &Option<Timestamp>) -> String {
    at.map(|at| format!("{before}{}", at.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default()
}

/// The word of a value as documents spell it.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
