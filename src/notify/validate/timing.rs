//! When a route tells: durations, digests, business hours.

use serde_json::{Map, Value};

use super::SEVERITIES;
use super::reader::{Place, Reader};
use crate::model::Zone;
use crate::notify::hours;

const DAY_SECONDS: u64 = 24 * 60 * 60;
const YEAR_HOURS: u64 = 366 * 24;
const WEEK_MINUTES: u64 = 7 * 24 * 60;
const MOST_REMINDERS: usize = 10;

pub(super) fn timing(reader: &mut Reader, place: &Place<'_>) {
    const MEMBERS: [&str; 6] =
        ["groupSeconds", "stormAbove", "digest", "businessHours", "remindBeforeHours", "remindUnacknowledgedMinutes"];
    let Some(object) = reader.object(place, &MEMBERS) else { return };
    if let Some(place) = reader.given(place, object, "groupSeconds") {
        reader.number(&place, 0, DAY_SECONDS, "seconds");
    }
    let digest = reader.given(place, object, "digest");
    if let Some(place) = reader.given(place, object, "stormAbove") {
        reader.number(&place, 1, 10_000, "notices");
        if object.get("groupSeconds").and_then(Value::as_u64) == Some(0) {
            reader.fault(&place, "a groupSeconds of more than 0 beside stormAbove: nothing comes together in no time");
        }
        if digest.is_some() {
            reader.fault(&place, "no stormAbove beside digest: a digest is one message already");
        }
    }
    if let Some(place) = digest {
        self::digest(reader, &place);
    }
    if let Some(place) = reader.given(place, object, "businessHours") {
        business_hours(reader, &place);
    }
    if let Some(place) = reader.given(place, object, "remindBeforeHours") {
        for place in reader.list(&place, MOST_REMINDERS) {
            reader.number(&place, 1, YEAR_HOURS, "hours");
        }
    }
    if let Some(place) = reader.given(place, object, "remindUnacknowledgedMinutes") {
        reader.number(&place, 5, WEEK_MINUTES, "minutes");
    }
}

fn digest(reader: &mut Reader, place: &Place<'_>) {
    let Some(object) = reader.object(place, &["every", "atHour", "timeZone"]) else { return };
    let every = reader.needed(place, object, "every", "hourly, daily or weekly");
    let every = every.and_then(|place| reader.word(&place, &["hourly", "daily", "weekly"], false));
    if let Some(place) = reader.given(place, object, "atHour") {
        reader.number(&place, 0, 23, "hours");
        if every == Some("hourly") {
            reader.fault(&place, "no atHour: an hourly digest is told at each full hour");
        }
    }
    time_zone(reader, place, object);
}

fn business_hours(reader: &mut Reader, place: &Place<'_>) {
    let Some(object) = reader.object(place, &["days", "from", "to", "timeZone", "bypass"]) else { return };
    if let Some(place) = reader.needed(place, object, "days", "a list of days such as [\"mon\", \"tue\"]") {
        let days = reader.list(&place, hours::DAYS.len());
        if days.is_empty() && place.value.is_array() {
            let right = "at least one day: hours without a day never open";
            reader.fault_at(place.pointer.clone(), "an empty list".to_owned(), right, Vec::new());
        }
        for place in days {
            reader.word(&place, &hours::DAYS, false);
        }
    }
    let time = |reader: &mut Reader, name: &str, or_midnight: bool| {
        let right = if or_midnight { "a time such as 18:00, up to 24:00" } else { "a time such as 08:00" };
        let place = reader.needed(place, object, name, right)?;
        let text = place.value.as_str().filter(|text| hours::time(text).is_some() || (or_midnight && *text == "24:00"));
        if text.is_none() {
            reader.fault(&place, right);
        }
        text.map(|text| (place.clone(), text))
    };
    let from = time(reader, "from", false);
    let to = time(reader, "to", true);
    if let (Some((_, from)), Some((place, to))) = (from, to)
        && from == to
    {
        reader.fault(&place, "another time than `from`; for a whole day from 00:00 to 24:00");
    }
    time_zone(reader, place, object);
    if let Some(place) = reader.given(place, object, "bypass") {
        reader.word(&place, &SEVERITIES, false);
    }
}

fn time_zone<'a>(reader: &mut Reader, place: &Place<'a>, object: &'a Map<String, Value>) {
    if let Some(place) = reader.given(place, object, "timeZone")
        && place.value.as_str().and_then(hours::zone).is_none()
    {
        reader.unknown(&place, "the IANA name of a time zone, such as Europe/Berlin", Zone::names());
    }
}
