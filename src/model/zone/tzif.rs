//! A zone's changes as IANA's compiler writes them (RFC 9636): those of the past one by one, those to come as a rule. Read in
//! place, nothing is copied.

use chrono::{DateTime, Datelike as _, NaiveDate, Weekday};

const DAY: i64 = 24 * 60 * 60;
const HOUR: i64 = 60 * 60;

/// One zone's file.
#[derive(Clone, Copy)]
pub(super) struct Tzif {
    /// The seconds since 1970 at which something changes, eight bytes each.
    times: &'static [[u8; 8]],
    /// What holds from each of them on: an index into `kinds`.
    from_then: &'static [u8],
    /// Seconds ahead of UTC, four bytes; whether it is summer time; where its letters begin.
    kinds: &'static [[u8; 6]],
    letters: &'static [u8],
    /// What holds after the last change.
    rule: Rule,
}

/// Seconds ahead of UTC, and what that is called.
type Kind = (i32, &'static str);

#[derive(Clone, Copy)]
struct Rule {
    standard: Kind,
    summer: Option<Summer>,
}

#[derive(Clone, Copy)]
struct Summer {
    kind: Kind,
    begins: Yearly,
    ends: Yearly,
}

/// A time of each year: the last (5) or an earlier such weekday of a month, and seconds after its midnight.
#[derive(Clone, Copy)]
struct Yearly {
    month: u32,
    week: u8,
    weekday: Weekday,
    seconds: i64,
}

impl Tzif {
    /// None: it is none.
    pub(super) fn read(file: &'static [u8]) -> Option<Self> {
        // First all with four bytes for each time, then the same with eight.
        let (counts, rest) = header(file)?;
        let [utc, std, leaps, times, kinds, letters] = counts;
        let (counts, rest) = header(rest.get(times * 5 + kinds * 6 + letters + leaps * 8 + std + utc..)?)?;
        let [utc, std, leaps, times, kinds, letters] = counts;
        let (all_times, rest) = rest.split_at_checked(times * 8)?;
        let (from_then, rest) = rest.split_at_checked(times)?;
        let (all_kinds, rest) = rest.split_at_checked(kinds * 6)?;
        let (letters, rest) = rest.split_at_checked(letters)?;
        let footer = rest.get(leaps * 12 + std + utc..)?.strip_prefix(b"\n")?.strip_suffix(b"\n")?;
        let read = Self {
            times: all_times.as_chunks().0,
            from_then,
            kinds: all_kinds.as_chunks().0,
            letters,
            rule: Rule::read(str::from_utf8(footer).ok()?)?,
        };
        // Each kind once, so that none can be amiss later.
        (0..kinds).all(|kind| read.kind(kind).is_some()).then_some(read)
    }

    /// What holds at this second since 1970.
    pub(super) fn at(&self, second: i64) -> Kind {
        let changes = self.times.partition_point(|time| i64::from_be_bytes(*time) <= second);
        if changes == self.times.len() {
            return self.rule.at(second);
        }
        // Before the first change, the first kind.
        let kind = changes.checked_sub(1).and_then(|last| self.from_then.get(last)).copied().unwrap_or_default();
        self.kind(usize::from(kind)).unwrap_or(self.rule.standard)
    }

    fn kind(&self, index: usize) -> Option<Kind> {
        let [a, b, c, d, _, letters] = *self.kinds.get(index)?;
        let letters = self.letters.get(usize::from(letters)..)?.split(|byte| *byte == 0).next()?;
        Some((offset(i32::from_be_bytes([a, b, c, d]).into())?, str::from_utf8(letters).ok()?))
    }
}

/// The six counts of a header, and what follows it.
fn header(file: &'static [u8]) -> Option<([usize; 6], &'static [u8])> {
    let (header, rest) = file.split_at_checked(44)?;
    let counts = header.strip_prefix(b"TZif")?.get(16..)?.as_chunks::<4>().0;
    let counts: [[u8; 4]; 6] = counts.try_into().ok()?;
    Some((counts.map(|count| u32::from_be_bytes(count) as usize), rest))
}

/// Less than a day, which chrono asks for.
fn offset(seconds: i64) -> Option<i32> {
    i32::try_from(seconds).ok().filter(|_| seconds.abs() < DAY)
}

impl Rule {
    /// Reads `CET-1CEST,M3.5.0,M10.5.0/3` or `<+0330>-3:30`.
    fn read(text: &'static str) -> Option<Self> {
        let mut parts = text.split(',');
        let (name, rest) = name(parts.next()?)?;
        let (west, rest) = time(rest)?;
        let standard = (offset(-west)?, name);
        if rest.is_empty() {
            return Some(Self { standard, summer: None });
        }
        let (name, rest) = self::name(rest)?;
        // An hour more than in winter where nothing is said.
        let west = if rest.is_empty() { west - HOUR } else { time(rest).filter(|(_, rest)| rest.is_empty())?.0 };
        let (begins, ends) = (Yearly::read(parts.next()?)?, Yearly::read(parts.next()?)?);
        let summer = Summer { kind: (offset(-west)?, name), begins, ends };
        parts.next().is_none().then_some(Self { standard, summer: Some(summer) })
    }

    fn at(&self, second: i64) -> Kind {
        self.summer
            .filter(|summer| summer.holds(second, self.standard).unwrap_or_default())
            .map_or(self.standard, |summer| summer.kind)
    }
}

impl Summer {
    /// None: beyond all years that chrono knows.
    fn holds(&self, second: i64, standard: Kind) -> Option<bool> {
        let year = DateTime::from_timestamp(second + i64::from(standard.0), 0)?.year();
        let begin = self.begins.local(year)? - i64::from(standard.0);
        let end = self.ends.local(year)? - i64::from(self.kind.0);
        // South of the equator it lasts over the new year.
        Some(if begin < end { (begin..end).contains(&second) } else { !(end..begin).contains(&second) })
    }
}

impl Yearly {
    /// Reads `M10.5.0/3`.
    fn read(text: &str) -> Option<Self> {
        let (day, at) = text.strip_prefix('M')?.split_once('/').unwrap_or((text.strip_prefix('M')?, "2"));
        let mut numbers = day.split('.').map(|number| number.parse::<u8>().ok());
        let (month, week, weekday) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let sound = (1..=12).contains(&month) && (1..=5).contains(&week) && numbers.next().is_none();
        // Sunday is the first, chrono's is Monday.
        let weekday = Weekday::try_from(weekday.checked_sub(1).unwrap_or(6)).ok()?;
        let (seconds, rest) = time(at)?;
        (sound && rest.is_empty()).then_some(Self { month: month.into(), week, weekday, seconds })
    }

    /// The seconds from 1970 on that a clock counts which was never put forward or back.
    fn local(&self, year: i32) -> Option<i64> {
        let nth = |week| NaiveDate::from_weekday_of_month_opt(year, self.month, self.weekday, week);
        // The fifth is the last, be it the fourth.
        let day = nth(self.week).or_else(|| nth(4))?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp() + self.seconds)
    }
}

/// `CET` or `<+0330>`, and what follows it.
fn name(text: &'static str) -> Option<(&'static str, &'static str)> {
    if let Some(text) = text.strip_prefix('<') {
        return text.split_once('>');
    }
    let end = text.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `2`, `-1` or `-5:30` as seconds, and what follows it.
fn time(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic() || letter == '<').unwrap_or(text.len());
    let (time, rest) = text.split_at(end);
    let (sign, time) = time.strip_prefix('-').map_or((1, time), |time| (-1, time));
    let mut seconds = 0;
    for (part, unit) in time.splitn(3, ':').zip([HOUR, 60, 1]) {
        seconds += i64::from(part.parse::<u16>().ok()?) * unit;
    }
    Some((sign * seconds, rest))
}
