//! A notice: one message to one destination, and what became of it. Rendering and delivery are functions of these.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    EventChange, EventStatus, EventType, NoticeId, ResourceId, ServiceImpact, Severity, SubscriptionId, TenantId,
    TextHash, Timestamp, TrackingId, TransitionId,
};

/// The namespace of notice ids: any fixed GUID of our own.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f0c_81d7_64b3_4f5a_8e19_7d3a_90c6_b1e2);

/// Whom a notice speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum NoticeScope {
    /// About one customer.
    #[serde(rename_all = "camelCase")]
    Customer {
        /// The customer.
        tenant_id: TenantId,
    },
    /// The partner: of all customers that see an incident exactly one notice comes of it.
    Partner,
}

/// What a notice is about: what is told in order, a later state instead of an earlier one that was not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Subject {
    /// An incident, advisory or maintenance.
    #[serde(rename_all = "camelCase")]
    Event {
        /// Azure's id.
        tracking_id: TrackingId,
    },
    /// One resource.
    #[serde(rename_all = "camelCase")]
    Resource {
        /// The resource.
        resource_id: ResourceId,
    },
    /// Our access to a subscription, or how well it is read.
    #[serde(rename_all = "camelCase")]
    Subscription {
        /// The subscription.
        subscription_id: SubscriptionId,
        /// Which side of it, such as `access`: of each the newest is told.
        #[serde(default)]
        aspect: String,
    },
    /// The customer as a whole.
    Customer,
    /// The monitor itself: its credential, its silence, a destination that is dead.
    Monitor {
        /// Which side of it, such as `credential`: of each the newest is told.
        #[serde(default)]
        aspect: String,
    },
    /// A test that somebody asked for.
    Test,
}

/// Where the story stands: colours, PagerDuty's trigger and resolve, and "resolved only to those who were told" follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Something began or was announced.
    Began,
    /// It goes on, and something about it changed.
    Changed,
    /// It is over.
    Ended,
    /// It never was: what was told is taken back.
    Retracted,
    /// Nothing goes on: something to know, such as a published review.
    Remark,
}

/// What a notice tells: everything that rendering needs, without IO. Texts of Azure are named by hash and loaded when sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// The transition's kind such as `eventOpened`, or `reminder`, `test`.
    pub word: String,
    /// Where it stands.
    pub phase: Phase,
    /// One line, plain text: Azure's title of the event, or our own words.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// When the transition was found.
    pub at: Timestamp,
    /// The customer. None: the partner's notice, whose customers are in `affected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<StoryCustomer>,
    /// The event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<StoryEvent>,
    /// The resources it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceId>,
    /// The subscriptions it is about, with their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subscriptions: BTreeMap<SubscriptionId, String>,
    /// What changed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub changes: BTreeSet<EventChange>,
    /// Why, and what can be done about it: our own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Further facts as name and value, plain text, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
    /// The customers affected so far: of a partner's notice, filled when it is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected: Vec<AffectedCustomer>,
}

/// The customer of a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryCustomer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub display_name: String,
    /// Its time zone, by its IANA name: times are written in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Its contacts, by mail address: for channels that write to contacts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
}

/// The event of a story, merged over what is spoken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryEvent {
    /// Azure's id.
    pub tracking_id: TrackingId,
    /// What kind of event it is.
    pub event_type: EventType,
    /// Whether it goes on.
    pub status: EventStatus,
    /// Services, each with the regions hit.
    #[serde(default)]
    pub impact: Vec<ServiceImpact>,
    /// When the impact began or will begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_start: Option<Timestamp>,
    /// When it ended or will end, as Azure says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_mitigation: Option<Timestamp>,
    /// The newest text: sanitised HTML.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextHash>,
    /// True when Azure withholds the text from us.
    #[serde(default)]
    pub text_withheld: bool,
    /// Azure's version stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update: Option<Timestamp>,
    /// The event in the Azure portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// One customer of a partner's notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AffectedCustomer {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its name.
    pub display_name: String,
    /// How many of its subscriptions see the event.
    pub subscriptions: usize,
    /// Whether it goes on for this customer.
    pub active: bool,
}

/// A notice in the outbox, `outbox/{noticeId}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Deterministic: finding the same change again gives the same id. The idempotency key at the destination.
    pub id: NoticeId,
    /// Whom it speaks to.
    pub scope: NoticeScope,
    /// The route that asked for it, by id.
    pub route: String,
    /// The channel it goes to, by name.
    pub channel: String,
    /// What it is about.
    pub subject: Subject,
    /// How often the subject began: of an event its episode, else 1.
    pub episode: u32,
    /// What it tells.
    pub story: Story,
    /// The transitions behind it.
    #[serde(default)]
    pub transitions: BTreeSet<TransitionId>,
    /// When it was put into the outbox.
    pub created_at: Timestamp,
    /// Not to be sent earlier: group time, business hours, a snooze.
    pub not_before: Timestamp,
    /// Told in one message with the others of the same channel and bundle, such as a digest's window. None: told alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Only told to those who were told of the start: when the notice's [`Lane`](super::Lane) says so, or an earlier notice of
    /// the thread still waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_after_start: bool,
    /// What became of it so far.
    #[serde(default)]
    pub delivery: Delivery,
}

/// What became of a notice so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// How often it was sent.
    #[serde(default)]
    pub attempts: u32,
    /// When it was sent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt_at: Option<Timestamp>,
    /// When it is to be sent next. None: at `not_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was sent last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<Timestamp>,
    /// What the destination last answered, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// How often somebody had it sent anew after it was given up.
    #[serde(default)]
    pub replays: u32,
}

/// The end of a notice: in the delivery log (`delivered/{date}/{noticeId}.json`) or among the dead (`dead/{noticeId}.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The notice as it was.
    pub notice: Notice,
    /// What became of it.
    pub end: NoticeEnd,
    /// When.
    pub at: Timestamp,
    /// What the destination answered, or why it was not sent; without secrets.
    pub detail: String,
}

/// How a notice ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum NoticeEnd {
    /// The destination took it.
    Delivered,
    /// A later state of the same subject was told instead.
    #[serde(rename_all = "camelCase")]
    Superseded {
        /// By this notice.
        by: NoticeId,
    },
    /// Told in one message with others.
    #[serde(rename_all = "camelCase")]
    Bundled {
        /// In this message.
        under: NoticeId,
    },
    /// There was no reason to tell it any more: a snooze, a route that is gone, the end of what nobody was told of.
    Withheld,
    /// Given up; it can be replayed.
    Dead,
}

/// The mark that a notice has ended, `told/{noticeId}.json`: it is never put into the outbox again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// True when the destination was told (or told a later state): not for what was withheld or died.
    pub told: bool,
}

impl NoticeId {
    /// The id that follows from whom it speaks to, through which route and channel, and `occurrence`: what tells this change
    /// from others. For the partner the occurrence must be the same whichever customer sees the change first.
    pub fn of(scope: NoticeScope, route: &str, channel: &str, occurrence: &str) -> Self {
        let scope = match scope {
            NoticeScope::Customer { tenant_id } => tenant_id.to_string(),
            NoticeScope::Partner => "partner".to_owned(),
        };
        let name = format!("{scope}|{route}|{channel}|{occurrence}");
        Uuid::new_v5(&NAMESPACE, name.as_bytes()).into()
    }
}

impl Notice {
    /// What is told in order and superseded: scope, route, channel and subject as one text. Of one thread the newest is the
    /// one with the greatest time of creation, and within one time the greatest phase.
    pub fn thread(&self) -> String {
        match self.story.phase {
            // A review is no later state of the incident: neither takes the other's place.
            Phase::Remark => format!("{}|{}", self.matter(), self.story.word),
            _ => self.matter(),
        }
    }

    fn matter(&self) -> String {
        let scope = match self.scope {
            NoticeScope::Customer { tenant_id } => tenant_id.to_string(),
            NoticeScope::Partner => "partner".to_owned(),
        };
        let subject = match &self.subject {
            Subject::Event { tracking_id } => format!("event|{}", tracking_id.key()),
            Subject::Resource { resource_id } => format!("resource|{resource_id}"),
            Subject::Subscription { subscription_id, aspect } => format!("subscription|{subscription_id}|{aspect}"),
            // The partner hears of every customer.
            Subject::Customer => match &self.story.customer {
                Some(customer) => format!("customer|{}", customer.tenant_id),
                None => "customer".to_owned(),
            },
            Subject::Monitor { aspect } => format!("monitor|{aspect}"),
            // Every test is told.
            Subject::Test => format!("test|{}", self.id),
        };
        format!("{scope}|{}|{}|{subject}", self.route, self.channel)
    }

    /// The id of its matter's [`Lane`](super::Lane): who was told of what, and in which order.
    pub fn thread_lane(&self) -> NoticeId {
        NoticeId::of(self.scope, &self.route, &self.channel, &format!("lane|{}", self.matter()))
    }

    /// The id of the [`Lane`](super::Lane) that it is sent in: its bundle's, else its thread's.
    pub fn lane(&self) -> NoticeId {
        match &self.bundle {
            Some(bundle) => NoticeId::of(NoticeScope::Partner, "", &self.channel, &format!("bundle|{bundle}")),
            None => self.thread_lane(),
        }
    }

    /// When it may be sent.
    pub fn due_at(&self) -> Timestamp {
        self.delivery.next_attempt_at.map_or(self.not_before, |at| at.max(self.not_before))
    }

    /// True when it is a state that a later one takes the place of. A remark, such as a published review, stands by itself.
    pub fn is_state(&self) -> bool {
        self.story.phase != Phase::Remark && self.subject != Subject::Test
    }
}
