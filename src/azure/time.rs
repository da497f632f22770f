//! Times as Azure writes them, in all its spellings ("Azure health data APIs", 1.11).

use chrono::{DateTime, Datelike as _, NaiveDateTime};
use serde_json::Value;

use crate::model::Timestamp;

/// .NET ticks (100 ns since year 1) at the Unix epoch.
const TICKS_AT_EPOCH: i128 = 621_355_968_000_000_000;

/// A moment, or None when there is none: absent, empty, unreadable, or one of the placeholders of year 1 and 9999.
pub(crate) fn parse_time(value: &Value) -> Option<Timestamp> {
    let moment = match value {
        Value::String(text) => parse_text(text.trim())?,
        Value::Number(number) => from_count(number.as_i64()?.into())?,
        _ => return None,
    };
    (2..9999).contains(&moment.year()).then_some(moment)
}

fn parse_text(text: &str) -> Option<Timestamp> {
    if text.len() > 40 {
        return None;
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return from_count(text.parse().ok()?);
    }
    let joined = text.replacen(' ', "T", 1);
    if let Ok(moment) = DateTime::parse_from_rfc3339(&joined) {
        return Some(moment.to_utc());
    }
    NaiveDateTime::parse_from_str(&joined, "%Y-%m-%dT%H:%M:%S%.f").ok().map(|moment| moment.and_utc())
}

/// Ticks, milliseconds or seconds, told apart by size.
fn from_count(count: i128) -> Option<Timestamp> {
    match count {
        100_000_000_000_000_000.. => {
            let nanos = (count - TICKS_AT_EPOCH).checked_mul(100)?;
            let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
            DateTime::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?)
        }
        100_000_000_000..=100_000_000_000_000 => DateTime::from_timestamp_millis(i64::try_from(count).ok()?),
        100_000_000..=99_999_999_999 => DateTime::from_timestamp(i64::try_from(count).ok()?, 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_spelling_of_one_moment_is_that_moment() {
        let expected = parse_time(&json!("2024-07-13T18:23:06Z"));
        assert!(expected.is_some());
        for spelling in [
            json!("2024-07-13 18:23:06Z"),
            json!("2024-07-13T18:23:06"),
            json!("2024-07-13T18:23:06.0000000Z"),
            json!("2024-07-13T20:23:06+02:00"),
            json!(1_720_894_986),
            json!("1720894986"),
            json!(1_720_894_986_000_i64),
            json!("638564917860000000"),
        ] {
            assert_eq!(parse_time(&spelling), expected, "{spelling}");
        }
    }

    #[test]
    fn placeholders_and_nonsense_are_no_time() {
        for spelling in [
            json!("0001-01-01T00:00:00"),
            json!("0001-01-01T00:00:00Z"),
            json!("9999-12-31T23:59:59Z"),
            json!(""),
            json!(null),
            json!("soon"),
            json!(0),
            json!({"a": 1}),
        ] {
            assert_eq!(parse_time(&spelling), None, "{spelling}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse_time(&json!(text));
        }

        #[test]
        fn no_number_makes_it_panic(number in proptest::num::i64::ANY) {
            let _ = parse_time(&json!(number));
        }
    }
}
