//! Service Health events: what one subscription sees, and the merged view of one customer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{EventStanding, ImpactedResources, SubscriptionId, TextHash, Timestamp, TrackingId};

/// An open enumeration: known words as variants, unknown words kept as they came.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A word that Azure has and we do not know yet.
            Other(String),
        }

        impl $name {
            /// The word as Azure spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                $(if word.eq_ignore_ascii_case($word) { return Self::$variant; })+
                Self::Other(word)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use open_enum;

open_enum!(
    /// What kind of event it is (`properties.eventType`).
    EventType {
        /// An outage or degradation of an Azure service.
        ServiceIssue = "ServiceIssue",
        /// Maintenance that Azure announced.
        PlannedMaintenance = "PlannedMaintenance",
        /// Advice: retirements, breaking changes, quota.
        HealthAdvisory = "HealthAdvisory",
        /// A security notice; its text may be withheld from readers.
        SecurityAdvisory = "SecurityAdvisory",
        /// A root cause analysis as an event of its own.
        Rca = "RCA",
        /// An issue under investigation, cloud-wide.
        EmergingIssues = "EmergingIssues",
        /// A notice about prices or invoices.
        Billing = "Billing",
    }
);

open_enum!(
    /// Whether the event goes on (`properties.status`).
    EventStatus {
        /// The event goes on.
        Active = "Active",
        /// Azure says it is over.
        Resolved = "Resolved",
    }
);

open_enum!(
    /// How bad Azure says it is (`properties.eventLevel`).
    EventLevel {
        /// Many services or regions.
        Critical = "Critical",
        /// Many services or regions.
        Error = "Error",
        /// Some services or regions.
        Warning = "Warning",
        /// Management operations, latency, or standard maintenance.
        Informational = "Informational",
    }
);

/// How much an event matters to the customer; ours, computed from type and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
}

/// What an event says, without who sees it and when: equal for every subscription that sees the same publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventContent {
    /// What kind of event it is.
    pub event_type: EventType,
    /// A finer kind, such as `Retirement`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_sub_type: Option<String>,
    /// Whether it goes on.
    pub status: EventStatus,
    /// One line.
    pub title: String,
    /// How bad Azure says it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_level: Option<EventLevel>,
    /// When the impact began or will begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_start: Option<Timestamp>,
    /// When the impact ended or will end, as Azure says; it may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_mitigation: Option<Timestamp>,
    /// Services, each with the regions hit.
    #[serde(default)]
    pub impact: Vec<ServiceImpact>,
    /// The short text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<TextHash>,
    /// The long text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<TextHash>,
    /// What Azure published over time, newest first, each text once however many regions repeat it.
    #[serde(default)]
    pub updates: Vec<EventUpdate>,
    /// Azure's tags, such as `Final PIR`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// True when Azure calls it a high-impact incident.
    #[serde(default)]
    pub high_impact: bool,
    /// True when Azure withholds the text from readers.
    #[serde(default)]
    pub text_withheld: bool,
    /// The stage of the publication, such as `Canceled` or `InProgress`: only the activity log has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
}

/// One Azure service that an event hits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceImpact {
    /// The service's name; Azure renames services.
    pub service: String,
    /// The service's GUID, which stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_guid: Option<String>,
    /// The regions, by display name.
    pub regions: Vec<RegionImpact>,
}

/// One region of a service that an event hits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionImpact {
    /// The display name, or `Global`.
    pub region: String,
    /// The region's own status, if Azure gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EventStatus>,
}

/// One publication about an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventUpdate {
    /// When Azure published it.
    pub at: Option<Timestamp>,
    /// The text.
    pub text: TextHash,
}

impl EventContent {
    /// The hash that is equal for equal content.
    pub fn hash(&self) -> TextHash {
        // Serialising a struct of plain values cannot fail; an empty text would only cost a needless update.
        TextHash::of(&serde_json::to_string(self).unwrap_or_default())
    }

    /// How much it matters: by type and level, raised for high-impact incidents ("health-apis", 6.4).
    pub fn severity(&self) -> Severity {
        let by_level = match &self.event_type {
            EventType::ServiceIssue => match &self.event_level {
                Some(EventLevel::Critical | EventLevel::Error) => Severity::High,
                Some(EventLevel::Informational) => Severity::Low,
                // No or an unknown level of an outage is not a reason to look away.
                _ => Severity::Medium,
            },
            EventType::SecurityAdvisory => Severity::High,
            EventType::PlannedMaintenance => match &self.event_level {
                Some(EventLevel::Informational) | None => Severity::Low,
                _ => Severity::Medium,
            },
            EventType::EmergingIssues => Severity::Medium,
            _ => Severity::Low,
        };
        if self.high_impact { Severity::High } else { by_level }
    }

    /// Every text the content refers to.
    pub fn texts(&self) -> impl Iterator<Item = &TextHash> {
        self.summary.iter().chain(&self.description).chain(self.updates.iter().map(|update| &update.text))
    }
}

/// What one subscription was seen to say about one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// The content, by hash, in [`EventRecord::contents`].
    pub content: TextHash,
    /// Azure's version stamp of this publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// When we first saw the event on this subscription.
    pub first_seen: Timestamp,
    /// When we last saw it listed.
    pub last_seen: Timestamp,
    /// Complete listings in a row that did not have it.
    #[serde(default)]
    pub missed_listings: u32,
    /// True while the newest version is known from Resource Graph alone: its texts are still to be read.
    #[serde(default)]
    pub index_only: bool,
}

impl Observation {
    /// True when two complete listings in a row did not have it. Never means resolved.
    pub fn no_longer_listed(&self) -> bool {
        self.missed_listings >= 2
    }
}

/// One tracking id of one customer: what each subscription sees, each distinct content once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Distinct contents by hash.
    pub contents: BTreeMap<TextHash, EventContent>,
    /// What each subscription sees.
    pub observations: BTreeMap<SubscriptionId, Observation>,
    /// How often the event was opened: 1, and one more for each time Azure reopened it.
    pub episode: u32,
    /// The resources that Azure names as hit, by subscription.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub impacted: BTreeMap<SubscriptionId, ImpactedResources>,
    /// Where it stands, as far as it was told. None: an older version of this program wrote the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<EventStanding>,
}

/// The merged view of one event for one customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedEvent {
    /// The tracking id.
    pub tracking_id: TrackingId,
    /// The newest content, with status, impact and tags merged over all subscriptions. Its status is `Resolved` as soon as it
    /// goes on for none of them, in whatever words Azure says so.
    pub content: EventContent,
    /// How much it matters: the worst over all subscriptions.
    pub severity: Severity,
    /// The newest version stamp.
    pub last_update: Option<Timestamp>,
    /// The subscriptions that see it.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// When we first saw it on any of them.
    pub first_seen: Option<Timestamp>,
    /// True when no subscription lists it any longer.
    pub no_longer_listed: bool,
}

impl EventRecord {
    /// The merged view: newest text, active if any subscription says active, services, regions and tags united, worst severity.
    /// None when there is no observation.
    pub fn merged(&self, tracking_id: &TrackingId) -> Option<MergedEvent> {
        merge(
            tracking_id,
            self.observations.iter().filter_map(|(id, seen)| Some((*id, seen, self.contents.get(&seen.content)?))),
        )
    }

    /// The merged view over some of the subscriptions. None when none of them sees the event.
    pub fn merged_for(&self, tracking_id: &TrackingId, only: &BTreeSet<SubscriptionId>) -> Option<MergedEvent> {
        let seen = self.observations.iter().filter(|(id, _)| only.contains(id));
        merge(tracking_id, seen.filter_map(|(id, seen)| Some((*id, seen, self.contents.get(&seen.content)?))))
    }
}

fn merge<'a>(
    tracking_id: &TrackingId,
    observations: impl Iterator<Item = (SubscriptionId, &'a Observation, &'a EventContent)>,
) -> Option<MergedEvent> {
    let mut all: Vec<_> = observations.collect();
    // Newest first; equal stamps by content, so that the order of subscriptions does not matter.
    all.sort_by(|a, b| b.1.last_update.cmp(&a.1.last_update).then_with(|| a.1.content.cmp(&b.1.content)));
    // Who is told of a false alarm, or that something was called off, does not speak for those who are hit.
    let called_off = |content: &EventContent| content.is_retracted() || content.is_cancelled();
    let hit = all.iter().find(|(_, _, content)| !called_off(content));
    let (_, _, newest) = hit.or(all.first())?;
    let mut content = (*newest).clone();
    content.status = match all.iter().find(|(_, _, content)| content.is_active()) {
        Some((_, _, active)) => active.status.clone(),
        None => EventStatus::Resolved,
    };
    // Hundreds of subscriptions see the same few contents: each of these is united once.
    let distinct: BTreeMap<_, _> = all.iter().map(|(_, seen, content)| (&seen.content, *content)).collect();
    content.impact = unite_impact(distinct.values().flat_map(|content| &content.impact));
    let speaking = distinct.values().filter(|content| hit.is_none() || !called_off(content));
    content.tags = speaking.flat_map(|content| content.tags.iter().cloned()).collect();
    // What one of them lets us read is read.
    if content.text_withheld
        && let Some((_, _, open)) = all.iter().find(|(_, _, content)| !content.text_withheld)
    {
        content.text_withheld = false;
        content.summary.clone_from(&open.summary);
        content.description.clone_from(&open.description);
    }
    content.high_impact = distinct.values().any(|content| content.high_impact);
    content.updates = {
        let united: BTreeSet<_> = distinct.values().flat_map(|content| content.updates.iter().cloned()).collect();
        united.into_iter().rev().collect()
    };
    Some(MergedEvent {
        tracking_id: tracking_id.clone(),
        severity: distinct.values().map(|content| content.severity()).max()?,
        last_update: all.iter().filter_map(|(_, seen, _)| seen.last_update).max(),
        subscriptions: all.iter().map(|(id, _, _)| *id).collect(),
        first_seen: all.iter().map(|(_, seen, _)| seen.first_seen).min(),
        no_longer_listed: all.iter().all(|(_, seen, _)| seen.no_longer_listed()),
        content,
    })
}

/// Services by GUID where there is one, else by name; their regions united; sorted. A region is active if any source says so.
pub fn unite_impact<'a>(impacts: impl Iterator<Item = &'a ServiceImpact>) -> Vec<ServiceImpact> {
    let mut services: BTreeMap<String, (ServiceImpact, BTreeMap<String, RegionImpact>)> = BTreeMap::new();
    for impact in impacts {
        let key = impact.service_guid.as_ref().unwrap_or(&impact.service).to_ascii_lowercase();
        let (service, regions) = services.entry(key).or_insert_with(|| (impact.clone(), BTreeMap::new()));
        // Names get renamed: of two names for one GUID the smaller is taken, whatever the order.
        if impact.service < service.service {
            service.service.clone_from(&impact.service);
        }
        for region in &impact.regions {
            let known = regions.entry(region.region.to_ascii_lowercase()).or_insert_with(|| region.clone());
            if region.region < known.region {
                known.region.clone_from(&region.region);
            }
            known.status = match (known.status.take(), region.status.clone()) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
    }
    let mut united: Vec<_> = services
        .into_values()
        .map(|(mut service, regions)| {
            service.regions = regions.into_values().collect();
            service
        })
        .collect();
    united.sort();
    united
}
