//! Where an event stands, as far as it was told. Transitions are the steps from one standing to the next, and nothing else:
//! whoever replays them has the standing that the snapshot has.

use serde::{Deserialize, Serialize};

use super::{EventContent, MergedEvent, ReviewStage, Timestamp};

/// Where an event stands, as far as it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStanding {
    /// How far it is.
    pub stage: EventStage,
    /// The review that was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewStage>,
    /// True while Azure withholds its text from us.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// What it asks of the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionAsked>,
    /// How often something was told besides its start and end: tells one occurrence of a change from the next.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub revision: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Something that the customer has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionAsked {
    /// Until when, where there is a deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How far an event is. Of the ends the greater is the later word: what is over may turn out a false alarm, never the reverse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventStage {
    /// It goes on.
    #[default]
    Open,
    /// Maintenance that is still to come.
    Planned,
    /// Maintenance that has begun.
    InProgress,
    /// Azure says that it is over.
    Over,
    /// Azure called it off.
    Cancelled,
    /// Azure says that it never was.
    Retracted,
}

impl EventStage {
    /// True when nothing goes on any more.
    pub fn is_end(self) -> bool {
        self >= Self::Over
    }
}

impl EventStanding {
    /// The standing of an event that an older version of this program knew: as if it had told what it saw then.
    pub fn assumed(event: &MergedEvent, then: Timestamp) -> Self {
        let content = &event.content;
        let stage = EventStage::of(content, None, |content| content.begun(then));
        let action = content.action().filter(|_| !stage.is_end()).map(|until| ActionAsked { until });
        Self { stage, review: content.review(), withheld: content.text_withheld, action, revision: 0 }
    }
}

impl EventStage {
    /// How far a merged event is, given how far it was. `begun`: whether maintenance has begun.
    pub fn of(content: &EventContent, was: Option<Self>, begun: impl Fn(&EventContent) -> bool) -> Self {
        if !content.is_active() {
            let end = if content.is_retracted() {
                Self::Retracted
            } else if content.is_cancelled() {
                Self::Cancelled
            } else {
                Self::Over
            };
            return was.filter(|was| was.is_end()).map_or(end, |was| was.max(end));
        }
        match content.is_maintenance() {
            false => Self::Open,
            true if begun(content) || was == Some(Self::InProgress) => Self::InProgress,
            true => Self::Planned,
        }
    }
}

impl EventContent {
    /// True for maintenance whose time has come, or of which Azure says so.
    pub fn begun(&self, now: Timestamp) -> bool {
        self.says_started() || self.impact_start.is_some_and(|start| start <= now)
    }
}
