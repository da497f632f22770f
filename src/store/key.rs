//! Where each kind of document lives. Exhaustive: nothing is stored outside this list.

use std::borrow::Cow;

use crate::model::{NoticeId, TenantId, TextHash, Timestamp, TrackingId};

/// The address of one document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A customer record.
    Customer(TenantId),
    /// An invite, by its id (letters and digits, `-`, `_`).
    Invite(String),
    /// A sealed sign-in session, by its id (letters and digits, `-`, `_`).
    Session(String),
    /// The snapshot of a customer.
    Health(TenantId),
    /// A long event text.
    Text(TextHash),
    /// The transitions of one customer and month.
    Timeline(TenantId, Month),
    /// The transitions of the partner himself in one month, such as of his credential.
    PartnerTimeline(Month),
    /// The transitions of a customer in any span that timelines are kept in.
    TimelinePart(TenantId, Part),
    /// The same of the partner himself.
    PartnerTimelinePart(Part),
    /// The emerging issues of the cloud.
    Emerging,
    /// A notice that is not delivered yet.
    Outbox(NoticeId),
    /// The mark that a notice has ended.
    Told(NoticeId),
    /// What is told one after the other.
    Lane(NoticeId),
    /// How a destination is, by its channel's name.
    Destination(String),
    /// The delivery log: how a notice of that day ended.
    Delivered(Day, NoticeId),
    /// A notice that was given up.
    Dead(NoticeId),
    /// The routes and channels.
    Routes,
    /// The last run of the timer.
    Heartbeat,
    /// What was counted for customers that were erased.
    Counters,
    /// What the partner says about an incident.
    Incident(TrackingId),
}

/// A calendar day, UTC, as `yyyy-mm-dd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

impl Day {
    /// The day of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(at.format("%Y-%m-%d").to_string())
    }

    /// The day of the path of a delivery log's entry, as listed.
    pub fn of_path(path: &str) -> Option<Self> {
        let day = path.strip_prefix("delivered/")?.split_once('/')?.0;
        (segment(day) == day && day.len() == 10).then(|| Self(day.to_owned()))
    }
}

/// A calendar month, UTC, as `yyyy-mm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month(String);

impl Month {
    /// The month of a moment.
    pub fn of(at: Timestamp) -> Self {
        Self(at.format("%Y-%m").to_string())
    }

    /// The month of the path of a timeline, as listed.
    pub fn of_path(path: &str) -> Option<Self> {
        let month = path.strip_prefix("timeline/")?.split_once('/')?.1.strip_suffix(".json")?;
        (segment(month) == month && month.len() == 7).then(|| Self(month.to_owned()))
    }
}

/// The span of one timeline document: a month, a day of a month that has too much for one document, or a year of months that
/// were put together. As `yyyy`, `yyyy-mm` or `yyyy-mm-dd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(String);

impl Part {
    /// The month of a moment.
    pub fn month(at: Timestamp) -> Self {
        Self(at.format("%Y-%m").to_string())
    }

    /// The day of a moment.
    pub fn day(at: Timestamp) -> Self {
        Self(at.format("%Y-%m-%d").to_string())
    }

    /// The year that it is in.
    pub fn year(&self) -> Self {
        Self(self.0.chars().take(4).collect())
    }

    /// True for a year.
    pub fn is_year(&self) -> bool {
        self.0.len() == 4
    }

    /// The span of the path of a timeline, as listed.
    pub fn of_path(path: &str) -> Option<Self> {
        let part = path.strip_prefix("timeline/")?.split_once('/')?.1.strip_suffix(".json")?;
        let digits = part.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
        (digits && matches!(part.len(), 4 | 7 | 10)).then(|| Self(part.to_owned()))
    }

    /// True when a moment of the time between can be in it.
    pub fn overlaps(&self, since: Timestamp, until: Timestamp) -> bool {
        let cut = |at: Timestamp| Part::day(at).0.chars().take(self.0.len()).collect::<String>();
        cut(since) <= self.0 && self.0 <= cut(until)
    }

    /// True when it was over before this month began.
    pub fn ended_before(&self, month: &Month) -> bool {
        let cut: String = month.0.chars().take(self.0.len()).collect();
        self.0.chars().take(cut.len()).collect::<String>() < cut
    }
}

impl From<Month> for Part {
    fn from(month: Month) -> Self {
        Self(month.0)
    }
}

/// A folder of documents, to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// Customer records.
    Customers,
    /// Snapshots.
    Health,
    /// Invites.
    Invites,
    /// Sealed sign-in sessions.
    Sessions,
    /// Long event texts.
    Texts,
    /// Timelines of all customers.
    Timelines,
    /// What concerns a whole cloud.
    Cloud,
    /// Timelines of one customer.
    Timeline(TenantId),
    /// Timelines of the partner himself.
    PartnerTimeline,
    /// Notices that are not delivered yet.
    Outbox,
    /// Marks of notices that have ended.
    Told,
    /// What is told one after the other.
    Lanes,
    /// Destinations that something is known against.
    Destinations,
    /// The delivery log of all days.
    Delivered,
    /// The delivery log of one day, by its number since 1970-01-01.
    DeliveredOn(i32),
    /// Notices that were given up.
    Dead,
    /// The partner's words on incidents.
    Incidents,
    /// Documents of which there is one, such as routes.
    Partner,
}

impl Folder {
    /// The folders at the top: between them they have every document.
    pub const ROOTS: [Self; 15] = [
        Self::Customers,
        Self::Health,
        Self::Invites,
        Self::Sessions,
        Self::Texts,
        Self::Timelines,
        Self::Cloud,
        Self::Outbox,
        Self::Told,
        Self::Lanes,
        Self::Destinations,
        Self::Delivered,
        Self::Dead,
        Self::Incidents,
        Self::Partner,
    ];
}

impl Key {
    /// The path below the store's root: segments of harmless characters, separated by slashes.
    pub fn path(&self) -> String {
        match self {
            Self::Customer(tenant) => format!("customers/{tenant}.json"),
            Self::Invite(id) => format!("invites/{}.json", segment(id)),
            Self::Session(id) => format!("sessions/{}.bin", segment(id)),
            Self::Health(tenant) => format!("health/{tenant}.json"),
            Self::Text(hash) => format!("texts/{hash}.html"),
            Self::Emerging => "cloud/emerging.json".to_owned(),
            Self::PartnerTimeline(month) => format!("timeline/partner/{}.json", month.0),
            Self::Timeline(tenant, month) => format!("timeline/{tenant}/{}.json", month.0),
            Self::PartnerTimelinePart(part) => format!("timeline/partner/{}.json", part.0),
            Self::TimelinePart(tenant, part) => format!("timeline/{tenant}/{}.json", part.0),
            Self::Outbox(id) => format!("outbox/{id}.json"),
            Self::Told(id) => format!("told/{id}.json"),
            Self::Lane(id) => format!("lanes/{id}.json"),
            Self::Destination(channel) => format!("destinations/{}.json", segment(channel)),
            Self::Delivered(day, id) => format!("delivered/{}/{id}.json", day.0),
            Self::Dead(id) => format!("dead/{id}.json"),
            Self::Routes => "partner/routes.json".to_owned(),
            Self::Heartbeat => "partner/heartbeat.json".to_owned(),
            Self::Counters => "partner/counters.json".to_owned(),
            Self::Incident(id) => format!("incidents/{}.json", segment(&id.key())),
        }
    }
}

impl Folder {
    /// The prefix of every path in the folder, with its slash.
    pub fn prefix(self) -> Cow<'static, str> {
        let fixed = match self {
            Self::Customers => "customers/",
            Self::Health => "health/",
            Self::Invites => "invites/",
            Self::Sessions => "sessions/",
            Self::Texts => "texts/",
            Self::Timelines => "timeline/",
            Self::Cloud => "cloud/",
            Self::Timeline(tenant) => return format!("timeline/{tenant}/").into(),
            Self::PartnerTimeline => "timeline/partner/",
            Self::Outbox => "outbox/",
            Self::Told => "told/",
            Self::Lanes => "lanes/",
            Self::Destinations => "destinations/",
            Self::Delivered => "delivered/",
            Self::DeliveredOn(day) => {
                let date = chrono::NaiveDate::from_epoch_days(day).unwrap_or_default();
                return format!("delivered/{}/", date.format("%Y-%m-%d")).into();
            }
            Self::Dead => "dead/",
            Self::Incidents => "incidents/",
            Self::Partner => "partner/",
        };
        fixed.into()
    }
}

/// A path segment of harmless characters only: whatever an id holds, it never leaves its folder.
fn segment(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').take(128).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_below_one_of_the_roots() {
        let (tenant, now) = (TenantId::from(uuid::Uuid::nil()), Timestamp::UNIX_EPOCH);
        let keys = [
            Key::Customer(tenant),
            Key::Invite("i".to_owned()),
            Key::Session("s".to_owned()),
            Key::Health(tenant),
            Key::Text(TextHash::of("t")),
            Key::Timeline(tenant, Month::of(now)),
            Key::PartnerTimeline(Month::of(now)),
            Key::TimelinePart(tenant, Part::day(now)),
            Key::PartnerTimelinePart(Part::month(now).year()),
            Key::Outbox(NoticeId::from(uuid::Uuid::nil())),
            Key::Told(NoticeId::from(uuid::Uuid::nil())),
            Key::Lane(NoticeId::from(uuid::Uuid::nil())),
            Key::Destination("ops".to_owned()),
            Key::Delivered(Day::of(now), NoticeId::from(uuid::Uuid::nil())),
            Key::Dead(NoticeId::from(uuid::Uuid::nil())),
            Key::Routes,
            Key::Emerging,
            Key::Heartbeat,
            Key::Counters,
            Key::Incident("ABCD-123".parse().expect("a tracking id")),
        ];
        for key in keys {
            // A new kind of document belongs into the list above, and its folder into the roots.
            match &key {
                Key::Customer(_) | Key::Invite(_) | Key::Session(_) | Key::Health(_) | Key::Text(_) => {}
                Key::Timeline(..) | Key::PartnerTimeline(_) | Key::Emerging => {}
                Key::TimelinePart(..) | Key::PartnerTimelinePart(_) => {}
                Key::Outbox(_) | Key::Told(_) | Key::Delivered(..) | Key::Dead(_) => {}
                Key::Lane(_) | Key::Destination(_) => {}
                Key::Routes | Key::Heartbeat | Key::Counters | Key::Incident(_) => {}
            }
            let below = Folder::ROOTS.iter().filter(|root| key.path().starts_with(root.prefix().as_ref())).count();
            assert_eq!(below, 1, "{}", key.path());
        }
        let month = Month::of(now);
        assert_eq!(Month::of_path(&Key::Timeline(tenant, month.clone()).path()), Some(month));
        assert_eq!(Month::of_path("timeline/x/../2026.json"), None);
    }

    #[test]
    fn a_timeline_is_a_year_a_month_or_a_day() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let part = |text: &str| Part::of_path(&format!("timeline/partner/{text}.json"));
        for text in ["2026", "2026-03", "2026-03-07"] {
            let part = part(text).expect("a part");
            assert!(part.overlaps(at("2026-03-07T12:00:00Z"), at("2026-03-07T13:00:00Z")), "{text}");
            assert!(part.overlaps(at("2025-03-07T12:00:00Z"), at("2027-03-07T13:00:00Z")), "{text}");
            assert!(!part.overlaps(at("2027-01-01T00:00:00Z"), at("2027-03-07T13:00:00Z")), "{text}");
            assert!(part.ended_before(&Month::of(at("2027-01-01T00:00:00Z"))), "{text}");
            assert!(!part.ended_before(&Month::of(at("2026-03-31T00:00:00Z"))), "{text}");
            assert_eq!((part.year().is_year(), part.is_year()), (true, text.len() == 4));
        }
        assert!(part("2026-03").expect("a part").ended_before(&Month::of(at("2026-04-01T00:00:00Z"))));
        for wrong in ["", "26", "2026-3", "2026-03-", "../2026", "2026_03", "2026-03-07T"] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }
}
