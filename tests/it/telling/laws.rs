//! The laws of planning, for any transitions.

use std::collections::BTreeSet;

use health_monitor::model::{NoticeId, Routes, Snapshot, Transition};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::facts::{
    customer, minute, opened, outage, plan, plan_at, resolved, routes, snapshot, subscription, transition, with,
};

const EVENTS: [&str; 3] = ["AAAA-111", "BBBB-222", "CCCC-333"];

fn kinds() -> impl Strategy<Value = Vec<Value>> {
    let event = prop::sample::select(EVENTS.to_vec());
    let one = (event, 0_usize..9, 0_u128..2).prop_map(|(id, which, n)| {
        let subscription = subscription(1, n);
        let resource = format!("/subscriptions/{subscription}/resourcegroups/g/providers/microsoft.compute/virtualmachines/vm{n}");
        let of = |kind: &str, more: Value| with(json!({"kind": kind, "trackingId": id, "title": "T", "severity": "high"}), more);
        match which {
            0 => of("eventOpened", json!({})),
            1 => of("eventUpdated", json!({"changes": ["text", "subscriptions"]})),
            2 => of("eventUpdated", json!({"changes": ["subscriptions"]})),
            3 => of("eventResolved", json!({})),
            4 => of("reviewPublished", json!({"stage": "final"})),
            5 => of("actionRequired", json!({"until": minute(900)})),
            6 => json!({"kind": "resourceUnavailable", "resourceId": resource}),
            7 => json!({"kind": "accessLost", "subscriptionId": subscription, "reason": "accessDenied", "since": minute(0)}),
            _ => json!({"kind": "customerSilent", "lastReadAt": minute(0)}),
        }
    });
    prop::collection::vec(one, 0..12)
}

fn known(number: u128) -> Snapshot {
    let events: Vec<_> = EVENTS.iter().map(|id| (*id, 1, outage())).collect();
    snapshot(number, &events)
}

fn everything() -> Routes {
    routes(json!([
        {"id": "all", "audience": "partner", "channels": ["ops", "page"]},
        {"id": "each", "audience": "customer", "channels": ["ops"], "timing": {"digest": {"every": "daily"}}},
        {"id": "some", "audience": "partner", "channels": ["page"], "match": {"severity": "high", "regions": ["westeurope"]}},
    ]))
}

fn found(number: u128, kinds: &[Value]) -> Vec<Transition> {
    kinds.iter().map(|kind| transition(number, kind.clone())).collect()
}

fn ids(notices: &[health_monitor::model::Notice]) -> Vec<NoticeId> {
    notices.iter().map(|notice| notice.id).collect()
}

proptest! {
    #[test]
    fn the_order_of_transitions_does_not_matter(kinds in kinds(), turn in 0_usize..12) {
        let transitions = found(1, &kinds);
        let mut turned = transitions.clone();
        turned.rotate_left(turn.min(kinds.len()));
        turned.reverse();
        let (routes, customer, known) = (everything(), customer(1), known(1));
        prop_assert_eq!(plan(&routes, &customer, &known, &transitions), plan(&routes, &customer, &known, &turned));
    }

    #[test]
    fn planned_again_at_another_time_the_ids_are_the_same_and_each_is_there_once(kinds in kinds(), later in 1_i64..10_000) {
        let (routes, customer, known, transitions) = (everything(), customer(1), known(1), found(1, &kinds));
        let first = plan(&routes, &customer, &known, &transitions);
        let again = plan_at(&routes, &customer, &known, &transitions, &Default::default(), minute(later));
        prop_assert_eq!(ids(&first), ids(&again));
        prop_assert_eq!(ids(&first).into_iter().collect::<BTreeSet<_>>().len(), first.len());
        for notice in &first {
            prop_assert!(notice.not_before >= notice.created_at);
            prop_assert!(!notice.transitions.is_empty());
        }
    }

    #[test]
    fn without_a_route_nobody_is_told_and_what_is_history_is_no_news(kinds in kinds()) {
        let (customer, known, mut transitions) = (customer(1), known(1), found(1, &kinds));
        prop_assert_eq!(plan(&Routes::default(), &customer, &known, &transitions), Vec::new());
        let elsewhere = json!({"customers": [super::facts::tenant(7)]});
        let other = super::facts::route("partner", json!({"match": elsewhere}));
        prop_assert_eq!(plan(&other, &customer, &known, &transitions), Vec::new());
        transitions.iter_mut().for_each(|transition| transition.backfill = true);
        prop_assert_eq!(plan(&everything(), &customer, &known, &transitions), Vec::new());
    }

    #[test]
    fn the_partners_notices_of_incidents_have_the_same_ids_whichever_customer_is_first(kinds in kinds()) {
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| kind.get("trackingId").is_some()).collect();
        let all = super::facts::route("partner", json!({}));
        let each = super::facts::route("customer", json!({}));
        let of = |routes: &Routes, number| ids(&plan(routes, &customer(number), &known(number), &found(number, &kinds)));
        prop_assert_eq!(of(&all, 1), of(&all, 2));
        let (one, two): (BTreeSet<_>, BTreeSet<_>) =
            (of(&each, 1).into_iter().collect(), of(&each, 2).into_iter().collect());
        prop_assert!(one.is_disjoint(&two), "customers' notices are their own");
    }
}

#[test]
fn five_hundred_customers_and_four_subscriptions_are_one_notice_for_the_partner() {
    let all = super::facts::route("partner", json!({}));
    let each = super::facts::route("customer", json!({}));
    let (mut partners, mut customers) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..500 {
        let (customer, known) = (customer(number), known(number));
        for transition in [opened(number, EVENTS[0]), resolved(number, EVENTS[0])] {
            partners.extend(ids(&plan(&all, &customer, &known, std::slice::from_ref(&transition))));
            customers.extend(ids(&plan(&each, &customer, &known, std::slice::from_ref(&transition))));
        }
    }
    assert_eq!((partners.len(), customers.len()), (2, 1000), "its beginning and its end");
}
