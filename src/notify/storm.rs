//! Storms: when many notices reach one channel within the group time, they are told in one message. The plan lets what comes
//! within one window wait for its end, so that all of it is due together; what is due together and is more than the route
//! allows goes out as one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use crate::model::{Notice, NoticeId, NoticeScope, Routes, Timestamp};

/// The end of the window that a moment lies in.
pub fn window_end(at: Timestamp, seconds: u32) -> Timestamp {
    let seconds = i64::from(seconds.max(1));
    let into = at.timestamp().rem_euclid(seconds);
    let whole = at - TimeDelta::nanoseconds(at.timestamp_subsec_nanos().into());
    whole + TimeDelta::seconds(seconds - into)
}

/// Which of some notices are told in one message with others, if all of them are told in time; with what tells the messages
/// apart.
pub fn together<'a>(routes: &Routes, notices: impl IntoIterator<Item = &'a Notice>) -> BTreeMap<NoticeId, String> {
    let mut windows: BTreeMap<(&str, &str, NoticeScope, Timestamp), BTreeSet<NoticeId>> = BTreeMap::new();
    for notice in notices.into_iter().filter(|notice| notice.bundle.is_none()) {
        let window = (notice.route.as_str(), notice.channel.as_str(), notice.scope, notice.not_before);
        windows.entry(window).or_default().insert(notice.id);
    }
    let above = |id: &str| routes.routes.iter().find(|route| route.id == id)?.timing.storm_above;
    let storms =
        windows.into_iter().filter(|((route, ..), ids)| above(route).is_some_and(|most| ids.len() > most as usize));
    storms
        .flat_map(|(_, ids)| {
            let name = ids.first().map(|id| format!("storm|{id}")).unwrap_or_default();
            ids.into_iter().map(move |id| (id, name.clone())).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_within_one_window_waits_for_its_end() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        assert_eq!(window_end(at("2026-01-15T12:00:00Z"), 300), at("2026-01-15T12:05:00Z"));
        assert_eq!(window_end(at("2026-01-15T12:04:59.5Z"), 300), at("2026-01-15T12:05:00Z"));
        assert_eq!(window_end(at("2026-01-15T12:05:00Z"), 300), at("2026-01-15T12:10:00Z"));
    }
}
