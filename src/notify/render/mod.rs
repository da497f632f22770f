//! The words of a message, pure: one model of it from a [`Parcel`], and from the model text, HTML, markdown, Adaptive Cards and
//! Slack's blocks. Foreign text stays text in each of them.

pub mod blocks;
pub mod card;
pub mod event;
pub mod html;
pub mod markdown;
mod plain;
pub mod text;
mod when;
mod words;

use crate::model::{Notice, Phase, Severity};
use crate::notify::channel::Parcel;

pub use self::plain::{plain, sanitised};
pub use self::when::moment;
pub use self::words::{kind_of, label, line};

/// How much of a message is told. What is left out is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Characters of Azure's texts, all notices together.
    pub text: usize,
    /// Customers, resources, subscriptions of one notice.
    pub list: usize,
    /// Notices of a bundle.
    pub notices: usize,
    /// Characters of a line.
    pub line: usize,
}

/// From plenty to hardly anything: the last is below every limit.
const LADDER: [Caps; 8] = [
    Caps { text: 20_000, list: 50, notices: 50, line: 500 },
    Caps { text: 6_000, list: 50, notices: 50, line: 400 },
    Caps { text: 2_500, list: 25, notices: 30, line: 300 },
    Caps { text: 1_000, list: 15, notices: 20, line: 300 },
    Caps { text: 400, list: 8, notices: 12, line: 250 },
    Caps { text: 150, list: 4, notices: 6, line: 200 },
    Caps { text: 0, list: 2, notices: 3, line: 120 },
    Caps { text: 0, list: 0, notices: 1, line: 80 },
];

/// The first of what `make` makes, with ever less in it, that fits.
pub fn fit<T>(make: impl Fn(Caps) -> T, fits: impl Fn(&T) -> bool) -> T {
    let [generous @ .., least] = LADDER;
    generous.into_iter().map(&make).find(|made| fits(made)).unwrap_or_else(|| make(least))
}

/// How it looks: colours and PagerDuty's severities follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// It is over, or never was.
    Good,
    /// Good to know.
    Note,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

impl Tone {
    /// The tone of a notice.
    pub fn of(notice: &Notice) -> Self {
        match (notice.story.phase, notice.story.severity) {
            (Phase::Ended | Phase::Retracted, _) => Self::Good,
            (Phase::Remark, Severity::High) => Self::Warning,
            (Phase::Remark, _) => Self::Note,
            (_, Severity::High) => Self::Critical,
            (_, Severity::Medium) => Self::Warning,
            (_, Severity::Low) => Self::Note,
        }
    }

    /// The severity as a word and a number, as OpenTelemetry counts.
    pub fn severity(self) -> (&'static str, u8) {
        match self {
            Self::Critical => ("critical", 21),
            Self::Warning => ("warning", 13),
            Self::Note => ("info", 9),
            Self::Good => ("ok", 9),
        }
    }
}

/// A message as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// One line that says it all: the subject of a mail, the headline of a card.
    pub subject: String,
    /// The worst of its sections.
    pub tone: Tone,
    /// One for each notice.
    pub sections: Vec<Section>,
    /// How many further notices of a bundle are not told.
    pub left_out: usize,
    /// The id of the message.
    pub id: String,
}

/// What one notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What happened, in our words, such as `Service issue began`.
    pub label: String,
    /// Azure's title, or ours.
    pub title: String,
    /// How it looks.
    pub tone: Tone,
    /// Names and values, each one line.
    pub facts: Vec<(String, String)>,
    /// The customers affected, each one line.
    pub affected: Vec<String>,
    /// The resources, each one line.
    pub resources: Vec<String>,
    /// What can be done about it.
    pub remedy: Option<String>,
    /// Azure's text.
    pub text: Option<Text>,
    /// The event in the Azure portal, over https.
    pub link: Option<String>,
}

/// A text of Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// As HTML, sanitised.
    pub html: String,
    /// As paragraphs of plain text.
    pub paragraphs: Vec<String>,
    /// True when the rest was left out.
    pub cut: bool,
}

impl Text {
    /// What is said where the rest was left out.
    pub const REST: &'static str = "The text goes on: the Azure portal has all of it.";
}

impl Message {
    /// The message of a parcel, within `caps`.
    pub fn of(parcel: &Parcel, caps: Caps) -> Self {
        let told = parcel.notices.iter().take(caps.notices);
        let sections: Vec<_> = told.map(|notice| words::section(notice, parcel, caps)).collect();
        Self {
            subject: words::subject(&parcel.notices),
            tone: parcel.notices.iter().map(Tone::of).max().unwrap_or(Tone::Note),
            left_out: parcel.notices.len() - sections.len(),
            sections,
            id: parcel.id.to_string(),
        }
    }

    /// What is said of notices that are not told. None: all are.
    pub fn rest(&self) -> Option<String> {
        (self.left_out > 0)
            .then(|| format!("And {} more, which have no room here: the timeline has them.", self.left_out))
    }
}
