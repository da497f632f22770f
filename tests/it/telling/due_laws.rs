//! The laws of what is due, for any outbox.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use health_monitor::model::{Destination, Notice, NoticeId, NoticeScope, Routes};
use health_monitor::notify::due::{Facts, IN_ONE_MESSAGE, due};
use proptest::prelude::*;
use serde_json::json;

use super::facts::{minute, routes, tenant, tracking};

const NOW: i64 = 100;

/// Channels, customers, incidents, phases, times and bundles in every mixture.
fn outbox() -> impl Strategy<Value = Vec<Notice>> {
    let one = (
        0_usize..2,
        0_u128..3,
        0_usize..3,
        0_usize..4,
        60_i64..140,
        0_i64..60,
        prop::option::of(60_i64..140),
        0_u32..4,
    );
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let notice = |(number, (channel, customer, event, phase, at, wait, again, kind))| {
            let scope = match customer {
                0 => NoticeScope::Partner,
                number => NoticeScope::Customer { tenant_id: tenant(number) },
            };
            let (channel, phase) = (["ops", "page"][channel], ["began", "changed", "ended", "remark"][phase]);
            let again: Option<i64> = again;
            let whom = serde_json::to_string(&scope).expect("JSON");
            let notice = json!({
                "id": NoticeId::of(scope, "r", channel, &format!("{number}")),
                "scope": scope, "route": "r", "channel": channel, "episode": 1,
                "subject": {"kind": "event", "trackingId": tracking(["AAAA-111", "BBBB-222", "CCCC-333"][event])},
                "story": {"word": "eventOpened", "phase": phase, "title": "T", "severity": "high", "at": minute(at)},
                "createdAt": minute(at), "notBefore": minute(at + wait),
                "bundle": (kind == 0).then(|| format!("digest|r|{whom}")),
                "onlyAfterStart": phase == "ended",
                "delivery": {"attempts": u32::from(again.is_some()), "nextAttemptAt": again.map(minute),
                    "lastAttemptAt": again.map(|at| minute(at - 5))},
            });
            serde_json::from_value::<Notice>(notice).expect("a notice")
        };
        all.into_iter().enumerate().map(notice).collect()
    })
}

fn known(storm_above: Option<u32>) -> Routes {
    let timing = storm_above.map_or(json!({}), |above| json!({"stormAbove": above}));
    routes(json!([{"id": "r", "audience": "partner", "channels": ["ops", "page"], "timing": timing}]))
}

/// A later state of the same matter, of which this is true.
fn later<'a>(all: &'a [Notice], of: &Notice, holds: impl Fn(&Notice) -> bool) -> Option<&'a Notice> {
    let newer = |other: &&Notice| {
        other.is_state() && other.created_at > of.created_at && other.thread_lane() == of.thread_lane()
    };
    all.iter().find(|other| of.is_state() && newer(other) && holds(other))
}

proptest! {
    #[test]
    fn what_is_due_is_planned_and_nothing_before_its_time(all in outbox(), storm in prop::option::of(0_u32..4)) {
        let (routes, now) = (known(storm), minute(NOW));
        let (destinations, per_minute) = (BTreeMap::new(), BTreeMap::new());
        let facts = Facts { routes: Some(&routes), destinations: &destinations, per_minute: &per_minute, now };
        let messages = due(all.iter(), &facts);
        let by_id: BTreeMap<_, _> = all.iter().map(|notice| (notice.id, notice)).collect();
        let planned: Vec<_> = messages.iter().flat_map(|message| &message.notices).copied().collect();
        let unique: BTreeSet<_> = planned.iter().copied().collect();
        prop_assert_eq!(unique.len(), planned.len(), "nothing is planned twice");
        for message in &messages {
            let told: Vec<_> = message.notices.iter().map(|id| by_id[id]).collect();
            prop_assert!(!told.is_empty() && told.len() <= IN_ONE_MESSAGE);
            prop_assert!(told.iter().all(|one| (&one.channel, one.scope) == (&told[0].channel, told[0].scope)));
            prop_assert!(told.iter().any(|one| one.due_at() <= now), "something in it is due");
            prop_assert!(told.is_sorted_by_key(|one| one.created_at), "oldest first");
            for one in &told {
                let in_it = |other: &Notice| message.notices.contains(&other.id) && other.not_before <= now;
                prop_assert!(
                    one.not_before <= now || later(&all, one, in_it).is_some(),
                    "before its time comes only what a later state in the message takes the place of"
                );
            }
            // An end whose start waits in another message is not taken for one whose start nobody was told of.
            let starts_elsewhere = told.iter().filter(|end| end.only_after_start).any(|end| {
                let before = |start: &&Notice| start.is_state() && start.created_at < end.created_at
                    && start.thread_lane() == end.thread_lane() && start.lane() != end.lane() && start.bundle.is_some();
                all.iter().filter(before).any(|start| !message.notices.contains(&start.id))
            });
            prop_assert!(!(message.whole && starts_elsewhere));
        }
        for notice in all.iter().filter(|notice| notice.due_at() <= now && !unique.contains(&notice.id)) {
            // A newer state that may be told by now but waits for its next try holds the older ones back; nothing else does.
            let waits = |other: &Notice| other.not_before <= now && other.due_at() > now;
            prop_assert!(later(&all, notice, waits).is_some(), "forgotten: {notice:?}");
        }
    }

    #[test]
    fn in_time_everything_is_planned_and_the_order_of_the_outbox_does_not_matter(all in outbox(), storm in prop::option::of(0_u32..4)) {
        let routes = known(storm);
        let (destinations, per_minute) = (BTreeMap::new(), BTreeMap::new());
        let at = |now| Facts { routes: Some(&routes), destinations: &destinations, per_minute: &per_minute, now };
        let messages = due(all.iter(), &at(minute(1_000)));
        prop_assert_eq!(messages.iter().map(|message| message.notices.len()).sum::<usize>(), all.len());
        prop_assert_eq!(due(all.iter().rev(), &at(minute(1_000))), messages);
    }

    #[test]
    fn a_destination_that_rests_gets_nothing_one_that_fails_gets_one_and_neither_hinders_the_other(all in outbox(), rests in any::<bool>()) {
        let (routes, now) = (known(None), minute(1_000));
        let failing = Destination {
            failing_since: Some(minute(990)),
            rests_until: rests.then(|| now + TimeDelta::minutes(1)),
            ..Destination::new("ops")
        };
        let destinations = BTreeMap::from([("ops".to_owned(), failing)]);
        let per_minute = BTreeMap::new();
        let facts = Facts { routes: Some(&routes), destinations: &destinations, per_minute: &per_minute, now };
        let messages = due(all.iter(), &facts);
        let of = |channel: &str| all.iter().filter(|one| one.channel == channel).map(|one| one.id).collect::<BTreeSet<_>>();
        let (ops, page) = (of("ops"), of("page"));
        let to_ops = messages.iter().filter(|message| ops.contains(&message.notices[0])).count();
        prop_assert_eq!(to_ops, usize::from(!rests && !ops.is_empty()));
        let told: BTreeSet<_> = messages.iter().flat_map(|message| &message.notices).copied().collect();
        prop_assert!(page.is_subset(&told));
    }
}
