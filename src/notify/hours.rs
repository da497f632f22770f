//! Hours in which somebody listens, and times at which digests are told, in a time zone with its summer time. Pure.

use std::ops::Range;

use chrono::{DateTime, Weekday};
use chrono::{
    Datelike as _, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Timelike as _,
};

use crate::model::{BusinessHours, Digest, DigestEvery, Severity, Timestamp, Zone};

/// The words of the days, from Monday on.
pub const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// At which hour a digest is told that names none.
const USUAL_HOUR: u8 = 8;

/// A time zone by its IANA name. None: there is no such zone.
pub fn zone(name: &str) -> Option<Zone> {
    name.parse().ok()
}

/// Hours that were understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    days: Vec<Weekday>,
    from: NaiveTime,
    /// None: midnight, the end of the day.
    to: Option<NaiveTime>,
    zone: Zone,
    bypass: Option<Severity>,
}

impl Hours {
    /// Reads the hours of a route; `usual` is the zone of those that name none. None: they cannot be understood, or open never.
    pub fn of(hours: &BusinessHours, usual: Zone) -> Option<Self> {
        let days: Option<Vec<_>> = hours.days.iter().map(|day| weekday(day)).collect();
        let days = days.filter(|days| !days.is_empty())?;
        let from = time(&hours.from)?;
        let to = if hours.to == "24:00" { None } else { Some(time(&hours.to)?) };
        let zone = match &hours.time_zone {
            Some(name) => zone(name)?,
            None => usual,
        };
        (Some(from) != to).then_some(Self { days, from, to, zone, bypass: hours.bypass })
    }

    /// The moment itself when somebody listens then, else the next opening.
    pub fn next(&self, at: Timestamp) -> Timestamp {
        let local = at.with_timezone(&self.zone).date_naive();
        // Yesterday's may last past midnight. Two weeks, since the clocks may leap over the hours of the first.
        let yesterday = local.checked_sub_days(Days::new(1)).unwrap_or(local);
        let days = std::iter::successors(Some(yesterday), |day| day.succ_opt()).take(17);
        let mut openings = days.filter_map(|day| self.opening(day)).filter(|open| open.end > at);
        openings.next().map_or(at, |open| open.start.max(at))
    }

    /// The same, but for what matters so much that it is told at any hour.
    pub fn next_for(&self, severity: Severity, at: Timestamp) -> Timestamp {
        if self.bypass.is_some_and(|bypass| severity >= bypass) { at } else { self.next(at) }
    }

    /// From when to when somebody listens on the hours that begin on this day.
    fn opening(&self, day: NaiveDate) -> Option<Range<Timestamp>> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let next = day.succ_opt()?;
        let end = match self.to {
            None => next.and_time(NaiveTime::MIN),
            Some(to) if to > self.from => day.and_time(to),
            Some(to) => next.and_time(to),
        };
        let open = first(self.zone, day.and_time(self.from))..last(self.zone, end);
        (open.start < open.end).then_some(open)
    }
}

/// When the digest that `at` belongs to is told: the first time of the digest after it.
pub fn next_digest(digest: &Digest, usual: Zone, at: Timestamp) -> Timestamp {
    let zone = digest.time_zone.as_deref().and_then(zone).unwrap_or(usual);
    let local = at.with_timezone(&zone);
    if digest.every == DigestEvery::Hourly {
        let into = TimeDelta::minutes(local.minute().into()) + TimeDelta::seconds(local.second().into());
        let whole = at - into - TimeDelta::nanoseconds(local.nanosecond().into());
        return whole + TimeDelta::hours(1);
    }
    let hour = u32::from(digest.at_hour.unwrap_or(USUAL_HOUR).min(23));
    let time = NaiveTime::from_hms_opt(hour, 0, 0).unwrap_or_default();
    let days = std::iter::successors(Some(local.date_naive()), |day| day.succ_opt()).take(9);
    let told = days.filter(|day| digest.every == DigestEvery::Daily || day.weekday() == Weekday::Mon);
    let mut times = told.map(|day| first(zone, day.and_time(time))).filter(|told| *told > at);
    times.next().unwrap_or(at)
}

/// A moment as people of a zone write it.
pub fn local(at: Timestamp, zone: Zone) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

/// A time of the day such as `08:00`. None: it is none.
pub fn time(text: &str) -> Option<NaiveTime> {
    (text.len() == 5).then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
}

fn weekday(word: &str) -> Option<Weekday> {
    let index = DAYS.iter().position(|day| *day == word)?;
    Weekday::try_from(u8::try_from(index).ok()?).ok()
}

/// The first moment at which clocks show this or, where they leap over it, something later.
fn first(zone: Zone, local: NaiveDateTime) -> Timestamp {
    resolved(zone, local, |earliest, _| earliest)
}

/// The last moment at which they do.
fn last(zone: Zone, local: NaiveDateTime) -> Timestamp {
    resolved(zone, local, |_, latest| latest)
}

fn resolved(
    zone: Zone,
    local: NaiveDateTime,
    pick: impl Fn(DateTime<Zone>, DateTime<Zone>) -> DateTime<Zone>,
) -> Timestamp {
    // Leaps are of minutes up to a day; each full minute is tried.
    for minutes in 0..=24 * 60 {
        match zone.from_local_datetime(&(local + TimeDelta::minutes(minutes))) {
            LocalResult::Single(at) => return at.to_utc(),
            LocalResult::Ambiguous(earliest, latest) => return pick(earliest, latest).to_utc(),
            LocalResult::None => {}
        }
    }
    local.and_utc()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(days: &[&str], from: &str, to: &str, zone: &str) -> Hours {
        let hours = BusinessHours {
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            from: from.to_owned(),
            to: to.to_owned(),
            time_zone: Some(zone.to_owned()),
            bypass: Some(Severity::High),
        };
        Hours::of(&hours, Zone::UTC).expect("hours")
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    const WORK: [&str; 5] = ["mon", "tue", "wed", "thu", "fri"];

    #[test]
    fn within_the_hours_it_is_told_at_once_and_outside_at_the_next_opening() {
        let berlin = hours(&WORK, "08:00", "18:00", "Europe/Berlin");
        for (now, wanted) in [
            // Thursday in winter: 08:00 is 07:00 UTC.
            ("2026-01-15T06:59:59Z", "2026-01-15T07:00:00Z"),
            ("2026-01-15T12:00:00Z", "2026-01-15T12:00:00Z"),
            ("2026-01-15T17:00:00Z", "2026-01-16T07:00:00Z"),
            // Friday evening waits for Monday.
            ("2026-01-16T17:00:00Z", "2026-01-19T07:00:00Z"),
            // Over the beginning of summer time: Monday's 08:00 is 06:00 UTC.
            ("2026-03-27T17:30:00Z", "2026-03-30T06:00:00Z"),
            ("2026-10-23T16:30:00Z", "2026-10-26T07:00:00Z"),
        ] {
            assert_eq!(berlin.next(at(now)), at(wanted), "{now}");
        }
        let night = at("2026-01-15T02:00:00Z");
        assert_eq!(berlin.next_for(Severity::High, night), night, "what is critical is told at any hour");
        assert_eq!(berlin.next_for(Severity::Medium, night), at("2026-01-15T07:00:00Z"));
    }

    #[test]
    fn hours_past_midnight_belong_to_the_day_they_begin_on() {
        let night = hours(&["fri"], "22:00", "06:00", "America/New_York");
        // Saturday 05:59 in New York.
        assert_eq!(night.next(at("2026-01-17T10:59:00Z")), at("2026-01-17T10:59:00Z"));
        assert_eq!(night.next(at("2026-01-17T11:00:00Z")), at("2026-01-24T03:00:00Z"));
        let all_day = hours(&["sun"], "00:00", "24:00", "Asia/Kathmandu");
        assert_eq!(all_day.next(at("2026-01-17T12:00:00Z")), at("2026-01-17T18:15:00Z"));
    }

    #[test]
    fn an_opening_that_clocks_leap_over_is_right_after_the_leap_and_hours_shown_twice_count_whole() {
        // Berlin leaps from 02:00 to 03:00 on 2026-03-29, and back from 03:00 to 02:00 on 2026-10-25.
        let early = hours(&["sun"], "02:30", "05:00", "Europe/Berlin");
        assert_eq!(early.next(at("2026-03-28T12:00:00Z")), at("2026-03-29T01:00:00Z"));
        assert_eq!(early.next(at("2026-10-24T12:00:00Z")), at("2026-10-25T00:30:00Z"));
        let late = hours(&["sun"], "01:00", "02:30", "Europe/Berlin");
        assert_eq!(late.next(at("2026-10-25T01:29:00Z")), at("2026-10-25T01:29:00Z"), "the second 02:29");
        // Hours that lie wholly in the leap do not exist that day.
        let gone = hours(&["sun"], "02:00", "03:00", "Europe/Berlin");
        assert_eq!(gone.next(at("2026-03-28T12:00:00Z")), at("2026-04-05T00:00:00Z"));
    }

    #[test]
    fn digests_are_told_at_their_local_hour() {
        let digest = |every, at_hour| Digest { every, at_hour, time_zone: None };
        let berlin = zone("Europe/Berlin").expect("a zone");
        let now = at("2026-03-28T12:34:56Z");
        let next = |every, hour| next_digest(&digest(every, hour), berlin, now);
        assert_eq!(next(DigestEvery::Hourly, None), at("2026-03-28T13:00:00Z"));
        assert_eq!(next(DigestEvery::Daily, None), at("2026-03-29T06:00:00Z"), "08:00, in summer time by then");
        assert_eq!(next(DigestEvery::Daily, Some(14)), at("2026-03-28T13:00:00Z"));
        assert_eq!(next(DigestEvery::Weekly, Some(9)), at("2026-03-30T07:00:00Z"));
        let kolkata = zone("Asia/Kolkata").expect("a zone");
        assert_eq!(next_digest(&digest(DigestEvery::Hourly, None), kolkata, now), at("2026-03-28T13:30:00Z"));
    }

    proptest! {
        #[test]
        fn nothing_is_told_outside_the_hours_and_nothing_later_than_the_next_opening(
            minute in 0_i64..60 * 24 * 730,
            from in 0_u32..24 * 4,
            to in 0_u32..24 * 4,
            mask in 1_u8..128,
            place in prop::sample::select(vec![
                "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca",
            ]),
        ) {
            prop_assume!(from != to);
            let text = |quarter: u32| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
            let days: Vec<_> = DAYS.iter().enumerate().filter(|(n, _)| mask & (1 << n) != 0).map(|(_, day)| *day).collect();
            let hours = hours(&days, &text(from), &text(to), place);
            let tz = zone(place).expect("a zone");
            // What the hours say in words: the local day is one of them and the local time is between the two.
            let listens = |at: Timestamp| {
                let local = at.with_timezone(&tz);
                let (time, day) = (local.time(), local.weekday());
                let on = |day: Weekday| days.contains(&DAYS[usize::from(day.num_days_from_monday() as u8)]);
                if hours.from < hours.to.expect("not 24:00") {
                    on(day) && time >= hours.from && time < hours.to.expect("not 24:00")
                } else {
                    (on(day) && time >= hours.from) || (on(day.pred()) && time < hours.to.expect("not 24:00"))
                }
            };
            let now = at("2025-06-01T00:00:00Z") + TimeDelta::minutes(minute);
            let told = hours.next(now);
            prop_assert!(told >= now);
            prop_assert!(told - now <= TimeDelta::days(15));
            // At a leap of the clocks, hours shown twice are taken as one stretch.
            let leaps = tz.offset_from_utc_datetime(&(told - TimeDelta::hours(3)).naive_utc())
                != tz.offset_from_utc_datetime(&(told + TimeDelta::hours(3)).naive_utc());
            prop_assert!(listens(told) || leaps);
            let mut earlier = now;
            while earlier < told {
                prop_assert!(!listens(earlier), "{earlier} was open, told at {told}");
                earlier += TimeDelta::minutes(15);
            }
        }
    }
}
