//! The time that a query of logs covers, as ISO 8601 writes it.

use std::fmt;
use std::str::FromStr;

use crate::model::Timestamp;

/// A duration up to now (`P1D`), or an interval (`start/end`, `start/duration`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timespan(String);

/// Text that is no time span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time span is an ISO 8601 duration such as P1D or PT4H (30m, 4h and 7d are understood), or start/end")]
pub struct InvalidTimespan;

impl FromStr for Timespan {
    type Err = InvalidTimespan;

    fn from_str(text: &str) -> Result<Self, InvalidTimespan> {
        let text = text.trim();
        if let Some(short) = short(text) {
            return Ok(Self(short));
        }
        let moment = |text: &str| text.parse::<Timestamp>().ok();
        let valid = match text.split_once('/') {
            None => is_duration(text),
            Some((start, end)) => match (moment(start), moment(end)) {
                (Some(start), Some(end)) => start < end,
                (Some(_), None) => is_duration(end),
                (None, Some(_)) => is_duration(start),
                (None, None) => false,
            },
        };
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTimespan) }
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `30m`, `4h`, `7d` as people type it.
fn short(text: &str) -> Option<String> {
    let unit = text.chars().next_back()?;
    let number: u32 = text[..text.len() - unit.len_utf8()].parse().ok().filter(|number| *number > 0)?;
    match unit {
        'm' => Some(format!("PT{number}M")),
        'h' => Some(format!("PT{number}H")),
        'd' => Some(format!("P{number}D")),
        _ => None,
    }
}

/// True for `P[nY][nM][nW][nD][T[nH][nM][nS]]` with something in it.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let numbers_with = |text: &str, units: &str| {
        let (mut units, mut number) = (units.chars(), String::new());
        for c in text.chars() {
            if c.is_ascii_digit() || (c == '.' && !number.is_empty() && !number.contains('.')) {
                number.push(c);
            } else if number.is_empty() || !units.any(|unit| unit == c) {
                return false;
            } else {
                number.clear();
            }
        }
        number.is_empty()
    };
    let not_empty = match time {
        Some(time) => !time.is_empty(),
        None => !days.is_empty(),
    };
    not_empty && numbers_with(days, "YMWD") && time.is_none_or(|time| numbers_with(time, "HMS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_intervals_are_understood_and_nothing_else() {
        for (text, wanted) in [
            ("P1D", "P1D"),
            ("PT4H", "PT4H"),
            ("P1Y2M3W4DT5H6M7.5S", "P1Y2M3W4DT5H6M7.5S"),
            ("30m", "PT30M"),
            ("4h", "PT4H"),
            (" 7d ", "P7D"),
            ("2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"),
            ("2026-01-01T00:00:00Z/P1D", "2026-01-01T00:00:00Z/P1D"),
        ] {
            assert_eq!(text.parse::<Timespan>().expect(text).to_string(), wanted);
        }
        for text in [
            "",
            "P",
            "PT",
            "P1",
            "1D",
            "0d",
            "d",
            "P1DT",
            "P1H",
            "P1D1D",
            "PT1M1H",
            "yesterday",
            "P1D/P1D",
            "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z",
            "2026-01-02/x",
            "P.5D",
            "é",
        ] {
            assert!(text.parse::<Timespan>().is_err(), "{text}");
        }
    }
}
