//! The laws of the comparison, for any readings.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use health_monitor::azure::reading::{
    EventsReading, ObservedEvent, Reading, ResourcesReading, SubscriptionReading, Trouble,
};
use health_monitor::model::{
    AvailabilityState, Customer, EventContent, EventStatus, EventType, EventUpdate, GapReason, RegionImpact,
    ResourceId, ResourceState, ServiceImpact, Snapshot, SubscriptionId, TenantId, TextHash, Timestamp, TrackingId,
    TransitionKind,
};
use health_monitor::poll::diff::diff;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

fn tenant() -> TenantId {
    Uuid::from_u128(0xaaaa).into()
}

fn subscription(number: u128) -> SubscriptionId {
    Uuid::from_u128(0x1000 + number).into()
}

fn minute(number: i64) -> Timestamp {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a moment") + TimeDelta::minutes(number)
}

fn watched() -> Customer {
    let one = |n: u128| (subscription(n).to_string(), json!({"displayName": format!("{n}"), "access": "active"}));
    let subscriptions: serde_json::Map<_, _> = (0..3).map(one).collect();
    serde_json::from_value(json!({
        "tenantId": tenant(), "displayName": "Contoso", "onboardedAt": minute(0), "subscriptions": subscriptions,
        "accessMode": {"kind": "appInCustomerTenant", "servicePrincipalId": Uuid::from_u128(0xbbbb)},
    }))
    .expect("a record as an older version wrote it")
}

fn observed() -> impl Strategy<Value = ObservedEvent> {
    let status =
        prop_oneof![Just(EventStatus::Active), Just(EventStatus::Resolved), Just(EventStatus::Other("Odd".into()))];
    let level = prop_oneof![Just(None), Just(Some("Critical")), Just(Some("Informational"))];
    (status, level, 0_i64..20, 0_usize..3, 0_usize..3, any::<bool>(), any::<bool>()).prop_map(
        |(status, level, stamp, regions, updates, index_only, stamped)| {
            let region = |n: usize| RegionImpact { region: format!("Region {n}"), status: None };
            let update =
                |n: usize| EventUpdate { at: Some(minute(n as i64)), text: TextHash::of(&format!("text {n}")) };
            let content = EventContent {
                event_type: EventType::ServiceIssue,
                event_sub_type: None,
                status,
                title: format!("Issue, version {stamp}"),
                event_level: level.map(|word| word.to_owned().into()),
                impact_start: Some(minute(0)),
                impact_mitigation: None,
                impact: vec![ServiceImpact {
                    service: "Virtual Machines".into(),
                    service_guid: None,
                    regions: (0..=regions).map(region).collect(),
                }],
                summary: None,
                description: Some(TextHash::of(&format!("description {stamp}"))),
                updates: (0..updates).rev().map(update).collect(),
                tags: BTreeSet::new(),
                high_impact: false,
                text_withheld: false,
            };
            ObservedEvent { content, last_update: stamped.then(|| minute(stamp)), index_only }
        },
    )
}

fn events_reading() -> impl Strategy<Value = EventsReading> {
    (proptest::collection::btree_map(0_u8..4, observed(), 0..4), any::<bool>(), any::<bool>()).prop_map(
        |(rows, wide, troubled)| EventsReading {
            rows: rows.into_iter().map(|(n, event)| (tracking(n), event)).collect(),
            wide,
            trouble: troubled.then(|| Trouble { reason: GapReason::AccessDenied, detail: "403".into() }),
        },
    )
}

fn resources_reading(subscription: SubscriptionId) -> impl Strategy<Value = ResourcesReading> {
    let state = prop_oneof![
        Just(AvailabilityState::Available),
        Just(AvailabilityState::Unavailable),
        Just(AvailabilityState::Degraded),
        Just(AvailabilityState::Unknown),
    ];
    proptest::collection::btree_map(0_u8..4, (state, 0_i64..20), 0..4).prop_map(move |rows| ResourcesReading {
        rows: rows
            .into_iter()
            .map(|(n, (state, since))| {
                let id =
                    ResourceId::parse(&format!("/subscriptions/{subscription}/resourceGroups/g/providers/p/t/{n}"));
                let state = ResourceState {
                    state,
                    resource_type: None,
                    location: None,
                    since: Some(minute(since)),
                    reason: None,
                    summary: None,
                    missed_listings: 0,
                };
                (id.expect("a resource id"), state)
            })
            .collect(),
        trouble: None,
    })
}

fn tracking(number: u8) -> TrackingId {
    format!("TRK{number}-ABC").parse().expect("a tracking id")
}

fn reading() -> impl Strategy<Value = Reading> {
    let one = |n: u128| {
        (proptest::option::of(events_reading()), proptest::option::of(resources_reading(subscription(n)))).prop_map(
            move |(events, resources)| {
                (subscription(n), SubscriptionReading { events, resources, ..SubscriptionReading::default() })
            },
        )
    };
    (one(0), one(1), one(2), 30_i64..60).prop_map(|(a, b, c, at)| Reading {
        started_at: minute(at),
        subscriptions: BTreeMap::from([a, b, c]),
        ..Reading::default()
    })
}

/// A snapshot as some readings left it.
fn after(readings: &[Reading]) -> Snapshot {
    readings.iter().fold(Snapshot::empty(tenant(), minute(0)), |snapshot, reading| {
        diff(&snapshot, &watched(), reading, reading.started_at).after
    })
}

fn event_states(snapshot: &Snapshot) -> BTreeMap<TrackingId, (EventStatus, String)> {
    let state =
        |id: &TrackingId| snapshot.events[id].merged(id).map(|event| (event.content.status, event.content.title));
    snapshot.events.keys().filter_map(|id| Some((id.clone(), state(id)?))).collect()
}

proptest! {
    #[test]
    fn reading_the_same_twice_gives_no_transition(history in proptest::collection::vec(reading(), 0..4), again in reading()) {
        let mut last = again;
        // A resource that a complete listing misses is forgotten at the second miss: that is news, by design.
        for read in last.subscriptions.values_mut() { read.resources = None; }
        let once = diff(&after(&history), &watched(), &last, minute(100));
        let twice = diff(&once.after, &watched(), &last, minute(101));
        prop_assert_eq!(twice.transitions, vec![]);
        prop_assert_eq!(event_states(&once.after), event_states(&twice.after));
    }

    #[test]
    fn the_same_in_gives_the_same_ids(history in proptest::collection::vec(reading(), 0..3), next in reading()) {
        let before = after(&history);
        let (a, b) = (diff(&before, &watched(), &next, minute(100)), diff(&before, &watched(), &next, minute(200)));
        let ids = |transitions: &[health_monitor::model::Transition]| transitions.iter().map(|t| t.id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&a.transitions), ids(&b.transitions));
        let unique: BTreeSet<_> = ids(&a.transitions).into_iter().collect();
        prop_assert_eq!(unique.len(), a.transitions.len(), "two transitions of one reading share an id");
    }

    #[test]
    fn what_is_missing_or_could_not_be_read_never_becomes_resolved(
        history in proptest::collection::vec(reading(), 1..4), wide in any::<bool>(), troubled in any::<bool>(), times in 1_i64..5,
    ) {
        let mut snapshot = after(&history);
        let states = event_states(&snapshot);
        for time in 0..times {
            let silent = || SubscriptionReading {
                events: Some(EventsReading {
                    rows: BTreeMap::new(),
                    wide,
                    trouble: troubled.then(|| Trouble { reason: GapReason::AzureUnavailable, detail: "503".into() }),
                }),
                resources: troubled.then(|| ResourcesReading {
                    rows: Vec::new(),
                    trouble: Some(Trouble { reason: GapReason::Partial, detail: "page 2".into() }),
                }),
                ..SubscriptionReading::default()
            };
            let reading = Reading {
                started_at: minute(100 + time),
                subscriptions: watched().subscriptions.into_keys().map(|id| (id, silent())).collect(),
                ..Reading::default()
            };
            let resources = snapshot.resources.clone();
            let next = diff(&snapshot, &watched(), &reading, minute(100 + time));
            for transition in &next.transitions {
                let fine = matches!(transition.kind, TransitionKind::CoverageLost { .. } | TransitionKind::CoverageRestored { .. });
                prop_assert!(fine, "silence became {:?}", transition.kind);
            }
            prop_assert_eq!(&next.after.resources, &resources);
            snapshot = next.after;
        }
        prop_assert_eq!(event_states(&snapshot), states);
    }

    #[test]
    fn the_order_in_which_subscriptions_are_read_does_not_matter(first in reading()) {
        let part = |n: u128, at: i64| Reading {
            started_at: minute(at),
            subscriptions: first.subscriptions.iter().filter(|(id, _)| **id == subscription(n)).map(|(id, r)| (*id, r.clone())).collect(),
            ..Reading::default()
        };
        let forward = after(&[part(0, 30), part(1, 30), part(2, 30)]);
        let backward = after(&[part(2, 30), part(1, 30), part(0, 30)]);
        prop_assert_eq!(event_states(&forward), event_states(&backward));
        prop_assert_eq!(forward.resources, backward.resources);
    }

    #[test]
    fn an_older_observation_never_changes_what_is_known(known in observed(), older in observed(), back in 1_i64..1000) {
        let mut known = known;
        let stamp = minute(50);
        known.last_update = Some(stamp);
        let mut older = older;
        older.last_update = Some(stamp - TimeDelta::seconds(back));
        let reading = |event: ObservedEvent, at: i64| Reading {
            started_at: minute(at),
            subscriptions: BTreeMap::from([(subscription(0), SubscriptionReading {
                events: Some(EventsReading { rows: BTreeMap::from([(tracking(0), event)]), wide: false, trouble: None }),
                ..SubscriptionReading::default()
            })]),
            ..Reading::default()
        };
        let before = after(&[reading(known, 60)]);
        let next = diff(&before, &watched(), &reading(older, 61), minute(61));
        prop_assert_eq!(next.transitions, vec![]);
        prop_assert_eq!(event_states(&next.after), event_states(&before));
    }
}
