//! Times as people read them: in the customer's time zone, and in UTC.

use crate::model::{Timestamp, Zone};

/// `2026-01-15 13:00 CET (12:00 UTC)`; without a zone, or with one that nobody knows, UTC alone.
pub fn moment(at: Timestamp, zone: Option<&str>) -> String {
    let utc = at.format("%Y-%m-%d %H:%M UTC");
    let Some(zone) = zone.and_then(|name| name.parse::<Zone>().ok()).filter(|zone| *zone != Zone::UTC) else {
        return utc.to_string();
    };
    let local = at.with_timezone(&zone);
    if local.naive_local() == at.naive_utc() {
        return local.format("%Y-%m-%d %H:%M %Z (the same in UTC)").to_string();
    }
    // The date only where it is another.
    let utc = if local.date_naive() == at.date_naive() { at.format("%H:%M UTC") } else { utc };
    format!("{} ({utc})", local.format("%Y-%m-%d %H:%M %Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_the_customers_clock_shows_it() {
        let at = |text: &str| text.parse().expect("a time");
        assert_eq!(moment(at("2026-01-15T12:00:00Z"), Some("Europe/Berlin")), "2026-01-15 13:00 CET (12:00 UTC)");
        assert_eq!(moment(at("2026-07-15T12:00:00Z"), Some("Europe/Berlin")), "2026-07-15 14:00 CEST (12:00 UTC)");
        assert_eq!(
            moment(at("2026-01-15T23:30:00Z"), Some("Asia/Tokyo")),
            "2026-01-16 08:30 JST (2026-01-15 23:30 UTC)"
        );
        assert_eq!(moment(at("2026-01-15T12:00:00Z"), Some("Europe/London")), "2026-01-15 12:00 GMT (the same in UTC)");
        assert_eq!(moment(at("2026-01-15T12:00:00Z"), Some("Mars/Phobos")), "2026-01-15 12:00 UTC");
        assert_eq!(moment(at("2026-01-15T12:00:00Z"), None), "2026-01-15 12:00 UTC");
    }
}
