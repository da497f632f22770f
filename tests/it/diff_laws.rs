//! The laws of the comparison, for any readings.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta};
use health_monitor::azure::reading::{
    EventsReading, ObservedEvent, Reading, ResourcesReading, SubscriptionReading, Trouble,
};
use health_monitor::model::{
    ActionAsked, AvailabilityState, Customer, EventContent, EventStage, EventStanding, EventStatus, EventType,
    EventUpdate, GapReason, RegionImpact, ResourceId, ResourceState, ServiceImpact, Snapshot, Source, SubscriptionId,
    TenantId, TextHash, Timestamp, TrackingId, Transition, TransitionKind,
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

/// Any event, plausible or not: every type, title, tag and time that means something, in any combination.
fn observed() -> impl Strategy<Value = ObservedEvent> {
    let kind = prop_oneof![
        3 => Just(EventType::ServiceIssue),
        3 => Just(EventType::PlannedMaintenance),
        1 => Just(EventType::HealthAdvisory),
        1 => Just(EventType::SecurityAdvisory),
        1 => Just(EventType::Rca),
    ];
    let status =
        prop_oneof![Just(EventStatus::Active), Just(EventStatus::Resolved), Just(EventStatus::Other("Odd".into()))];
    let level = prop_oneof![Just(None), Just(Some("Critical")), Just(Some("Informational"))];
    let tag = prop_oneof![
        6 => Just(None),
        1 => Just(Some("False Positive")),
        1 => Just(Some("Preliminary PIR")),
        1 => Just(Some("Final PIR")),
        1 => Just(Some("Action Recommended")),
        1 => Just(Some("Novelty")),
    ];
    let title = prop_oneof![
        8 => Just(""),
        1 => Just("No Impact - "),
        1 => Just("Canceled - "),
        1 => Just("End of "),
        1 => Just("Planned Maintenance in Progress "),
        1 => Just("Post Incident Review (PIR) - "),
    ];
    // Before, among and after the times at which anything is read.
    let time = || prop_oneof![Just(None), Just(Some(0)), Just(Some(45)), Just(Some(500)), Just(Some(600))];
    let says = (kind, status, level, tag, title, time(), time(), any::<bool>());
    let seen = (0_i64..20, 0_usize..3, 0_usize..3, any::<bool>(), any::<bool>(), 0_usize..3);
    (says, seen).prop_map(|(says, (stamp, regions, updates, index_only, stamped, over))| {
        let (event_type, status, level, tag, title, start, end, withheld) = says;
        let region = |n: usize| RegionImpact {
            region: format!("Region {n}"),
            status: (over > 0).then_some(if n < over { EventStatus::Resolved } else { EventStatus::Active }),
        };
        let update = |n: usize| EventUpdate { at: Some(minute(n as i64)), text: TextHash::of(&format!("text {n}")) };
        let content = EventContent {
            event_type,
            event_sub_type: None,
            status,
            title: format!("{title}Issue, version {stamp}"),
            event_level: level.map(|word| word.to_owned().into()),
            impact_start: start.map(minute),
            impact_mitigation: end.map(minute),
            impact: vec![ServiceImpact {
                service: "Virtual Machines".into(),
                service_guid: None,
                regions: (0..=regions).map(region).collect(),
            }],
            summary: None,
            description: (!withheld).then(|| TextHash::of(&format!("description {stamp}"))),
            updates: (0..updates).rev().map(update).collect(),
            tags: tag.into_iter().map(str::to_owned).collect(),
            high_impact: false,
            text_withheld: withheld,
            stage: None,
        };
        ObservedEvent { content: content.into(), last_update: stamped.then(|| minute(stamp)), index_only }
    })
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

/// A reading of one event on one subscription.
fn one_event(event: ObservedEvent, at: i64) -> Reading {
    Reading {
        started_at: minute(at),
        subscriptions: BTreeMap::from([(
            subscription(0),
            SubscriptionReading {
                events: Some(EventsReading {
                    rows: BTreeMap::from([(tracking(0), event)]),
                    wide: false,
                    trouble: None,
                }),
                ..SubscriptionReading::default()
            },
        )]),
        ..Reading::default()
    }
}

fn event_states(snapshot: &Snapshot) -> BTreeMap<TrackingId, (EventStatus, String)> {
    let state =
        |id: &TrackingId| snapshot.events[id].merged(id).map(|event| (event.content.status, event.content.title));
    snapshot.events.keys().filter_map(|id| Some((id.clone(), state(id)?))).collect()
}

/// What somebody knows who only hears transitions.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    events: BTreeMap<TrackingId, EventStanding>,
    resources: BTreeMap<ResourceId, &'static str>,
    gaps: BTreeSet<(SubscriptionId, Source)>,
    lost: BTreeSet<SubscriptionId>,
}

impl Heard {
    fn hear(&mut self, transition: &Transition) {
        use TransitionKind as Kind;
        if let Some(id) = transition.kind.tracking_id() {
            let known = self.events.contains_key(id);
            let event = self.events.entry(id.clone()).or_default();
            match &transition.kind {
                Kind::EventOpened { .. } | Kind::EventReopened { .. } => event.stage = EventStage::Open,
                Kind::MaintenanceAnnounced { .. } => event.stage = EventStage::Planned,
                Kind::MaintenanceStarted { .. } => event.stage = EventStage::InProgress,
                Kind::MaintenanceRescheduled { starts_at, .. } if *starts_at > Some(transition.at) => {
                    event.stage = EventStage::Planned;
                }
                Kind::EventResolved { .. } | Kind::MaintenanceCompleted { .. } => event.stage = EventStage::Over,
                Kind::EventCancelled { .. } => event.stage = EventStage::Cancelled,
                Kind::EventRetracted { .. } => event.stage = EventStage::Retracted,
                Kind::ReviewPublished { stage, .. } => {
                    event.review = Some(*stage);
                    if !known {
                        event.stage = EventStage::Over;
                    }
                }
                Kind::DetailsWithheld { .. } => event.withheld = true,
                Kind::DetailsAvailable { .. } => event.withheld = false,
                Kind::ActionRequired { until, .. } => event.action = Some(ActionAsked { until: *until }),
                _ => {}
            }
            if event.stage.is_end() {
                event.action = None;
            }
            return;
        }
        match &transition.kind {
            Kind::ResourceUnavailable { resource_id } => {
                self.resources.insert(resource_id.clone(), "Unavailable");
            }
            Kind::ResourceDegraded { resource_id } => {
                self.resources.insert(resource_id.clone(), "Degraded");
            }
            Kind::ResourceUnknown { resource_id } => {
                self.resources.insert(resource_id.clone(), "Unknown");
            }
            Kind::ResourceRecovered { resource_id } | Kind::ResourceNoLongerListed { resource_id } => {
                self.resources.remove(resource_id);
            }
            Kind::CoverageLost { subscription_id, source, .. } => {
                self.gaps.insert((*subscription_id, *source));
            }
            Kind::CoverageRestored { subscription_id, source } => {
                self.gaps.remove(&(*subscription_id, *source));
            }
            Kind::AccessLost { subscription_id, .. } => {
                self.lost.insert(*subscription_id);
            }
            Kind::AccessRestored { subscription_id } => {
                self.lost.remove(subscription_id);
            }
            other => panic!("nobody said {other:?}"),
        }
    }

    /// What the snapshot knows, in the same words.
    fn of(snapshot: &Snapshot) -> Self {
        let told = |id: &SubscriptionId, source: Source| {
            let gap = snapshot.coverage[id].of(source).gap.as_ref();
            gap.is_some_and(|gap| gap.told).then_some((*id, source))
        };
        let word = |state: &AvailabilityState| match state {
            AvailabilityState::Unavailable => "Unavailable",
            AvailabilityState::Degraded => "Degraded",
            _ => "Unknown",
        };
        let standing = |record: &health_monitor::model::EventRecord| EventStanding {
            revision: 0,
            ..record.standing.clone().expect("each has one")
        };
        let suspended = |known: &health_monitor::model::SubscriptionCoverage| {
            known.access.as_ref().is_some_and(|access| access.suspended_at.is_some())
        };
        Self {
            events: snapshot.events.iter().map(|(id, record)| (id.clone(), standing(record))).collect(),
            resources: snapshot.resources.iter().map(|(id, state)| (id.clone(), word(&state.state))).collect(),
            gaps: snapshot
                .coverage
                .keys()
                .flat_map(|id| [told(id, Source::Events), told(id, Source::Resources)])
                .flatten()
                .collect(),
            lost: snapshot.coverage.iter().filter(|(_, known)| suspended(known)).map(|(id, _)| *id).collect(),
        }
    }
}

proptest! {
    #[test]
    fn whoever_hears_every_transition_knows_what_the_snapshot_knows(
        history in proptest::collection::vec((reading(), 1_i64..120), 1..8),
    ) {
        let (mut snapshot, mut heard, mut now) = (Snapshot::empty(tenant(), minute(0)), Heard::default(), 30);
        let mut ids = BTreeSet::new();
        for (mut reading, pause) in history {
            now += pause;
            reading.started_at = minute(now);
            let next = diff(&snapshot, &watched(), &reading, minute(now));
            for transition in &next.transitions {
                heard.hear(transition);
                if transition.kind.tracking_id().is_some() {
                    prop_assert!(ids.insert(transition.id), "the id of another change: {:?}", transition.kind);
                }
            }
            prop_assert_eq!(&heard, &Heard::of(&next.after));
            snapshot = next.after;
        }
    }

    #[test]
    fn versions_may_arrive_in_any_order(
        versions in proptest::collection::vec(observed(), 2..6), order in any::<proptest::sample::Index>(), seed in any::<u64>(),
    ) {
        // Each version has a stamp of its own, as Azure gives them.
        let mut versions: Vec<_> = versions.into_iter().enumerate().map(|(n, version)| {
            ObservedEvent { last_update: Some(minute(n as i64)), ..version }
        }).collect();
        let read = |versions: &[ObservedEvent]| {
            let readings: Vec<_> = versions.iter().enumerate().map(|(n, version)| one_event(version.clone(), 40 + n as i64)).collect();
            let snapshot = after(&readings);
            let merged = snapshot.events[&tracking(0)].merged(&tracking(0)).expect("seen");
            (merged.content.status, merged.content.title, merged.severity, merged.last_update, merged.content.impact_start)
        };
        let forward = read(&versions);
        let rounds = order.index(versions.len());
        versions.rotate_left(rounds);
        if seed % 2 == 0 { versions.reverse(); }
        prop_assert_eq!(read(&versions), forward);
    }

    #[test]
    fn occurrences_of_a_resource_may_arrive_in_any_order_from_any_source(
        states in proptest::collection::vec(0_usize..4, 1..6), reversed in any::<bool>(), rounds in 0_usize..6, machines in any::<bool>(),
    ) {
        let words = ["Available", "Unavailable", "Degraded", "Unknown"];
        let id = ResourceId::parse(&format!("/subscriptions/{}/resourceGroups/g/providers/p/t/1", subscription(0))).expect("an id");
        let mut rows: Vec<_> = states.into_iter().enumerate().map(|(n, state)| {
            let state: ResourceState = serde_json::from_value(json!({"state": words[state], "since": minute(30 + n as i64)})).expect("a state");
            (id.clone(), state)
        }).collect();
        let last = rows.last().map(|(_, state)| state.state.clone()).expect("one");
        let rounds = rounds % rows.len();
        rows.rotate_left(rounds);
        if reversed { rows.reverse(); }
        let (listed, graph) = if machines { (Vec::new(), rows.clone()) } else { (rows.clone(), Vec::new()) };
        let reading = |listed: Vec<_>, machines: Vec<_>, at: i64| Reading {
            started_at: minute(at),
            subscriptions: BTreeMap::from([(subscription(0), SubscriptionReading {
                resources: Some(ResourcesReading { rows: listed, trouble: None }),
                machines,
                ..SubscriptionReading::default()
            })]),
            ..Reading::default()
        };
        // We saw it fail: a recovery is remembered of what had failed.
        let failed: ResourceState = serde_json::from_value(json!({"state": "Unavailable", "since": minute(29)})).expect("a state");
        let failed = reading(vec![(id.clone(), failed)], Vec::new(), 39);
        let at_once = after(&[failed.clone(), reading(listed, graph, 40)]);
        let one_by_one = rows.iter().enumerate().map(|(n, row)| reading(vec![row.clone()], Vec::new(), 40 + n as i64));
        let one_by_one: Vec<_> = std::iter::once(failed).chain(one_by_one).collect();
        for snapshot in [at_once, after(&one_by_one)] {
            let known = snapshot.resources.get(&id).map(|state| state.state.clone());
            prop_assert_eq!(known, Some(last.clone()).filter(|state| *state != AvailabilityState::Available));
        }
    }

    #[test]
    fn a_second_between_two_subscriptions_is_no_change(event in observed(), skew in 1_i64..3, first in any::<bool>()) {
        let event = ObservedEvent { last_update: Some(minute(10)), index_only: false, ..event };
        let mut late = event.clone();
        late.last_update = late.last_update.map(|at| at + TimeDelta::seconds(skew));
        let content = std::sync::Arc::make_mut(&mut late.content);
        content.impact_start = content.impact_start.map(|at| at + TimeDelta::seconds(skew));
        let both = |a: &ObservedEvent, b: &ObservedEvent, at: i64| Reading {
            subscriptions: [(0, a), (1, b)].into_iter().map(|(n, event)| {
                let mut read = one_event(event.clone(), at);
                (subscription(n), read.subscriptions.remove(&subscription(0)).expect("made"))
            }).collect(),
            ..one_event(event.clone(), at)
        };
        let before = after(&[both(&event, &event, 60)]);
        let (a, b) = if first { (&late, &event) } else { (&event, &late) };
        prop_assert_eq!(diff(&before, &watched(), &both(a, b, 61), minute(61)).transitions, vec![]);
    }

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
                // That the time of maintenance came is no silence.
                let fine = matches!(
                    transition.kind,
                    TransitionKind::CoverageLost { .. }
                        | TransitionKind::CoverageRestored { .. }
                        | TransitionKind::MaintenanceStarted { .. }
                );
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
        let reading = one_event;
        let before = after(&[reading(known, 60)]);
        let next = diff(&before, &watched(), &reading(older, 61), minute(61));
        prop_assert_eq!(next.transitions, vec![]);
        prop_assert_eq!(event_states(&next.after), event_states(&before));
    }
}
