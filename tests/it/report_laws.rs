//! What every report keeps to, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{TimeDelta, TimeZone as _, Utc};
use health_monitor::history::fold;
use health_monitor::history::report::{Input, Report, report};
use health_monitor::model::{
    EventChange, EventFacts, EventStatus, EventType, EventView, RegionImpact, ServiceImpact, Severity, SubscriptionId,
    TenantId, Timeline, Timestamp, TrackingId, Transition, TransitionKind,
};
use proptest::prelude::*;
use proptest::sample::subsequence;
use uuid::Uuid;

fn start() -> Timestamp {
    Utc.with_ymd_and_hms(2026, 1, 10, 0, 0, 0).single().expect("a date")
}

fn tenant() -> TenantId {
    TenantId::from(Uuid::from_u128(1))
}

fn tracking_id(number: usize) -> TrackingId {
    format!("LAW{number}-XYZ").parse().expect("a tracking id")
}

/// One thing that Azure said about an event: after how many minutes, and what.
#[derive(Debug, Clone)]
struct Saying {
    event: usize,
    after: i64,
    facts: EventFacts,
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    // Sometimes none, sometimes one that lies: long before the start or in the future.
    proptest::option::of((-10_000_i64..150_000).prop_map(|minutes| start() + TimeDelta::minutes(minutes)))
}

fn view() -> impl Strategy<Value = EventView> {
    let places =
        subsequence(vec![("Compute", "West Europe"), ("Compute", "North Europe"), ("SQL", "West Europe")], 0..=3);
    let subscriptions = subsequence(vec![7_u128, 8], 0..=2);
    (any::<bool>(), moment(), moment(), places, subscriptions, any::<bool>()).prop_map(
        |(active, impact_start, impact_mitigation, places, subscriptions, region_over)| {
            let mut impact: BTreeMap<&str, Vec<RegionImpact>> = BTreeMap::new();
            for (index, (service, region)) in places.into_iter().enumerate() {
                let status = (region_over && index == 0).then_some(EventStatus::Resolved);
                impact.entry(service).or_default().push(RegionImpact { region: region.to_owned(), status });
            }
            let impact = impact.into_iter().map(|(service, regions)| ServiceImpact {
                service: service.to_owned(),
                service_guid: None,
                regions,
            });
            EventView {
                subscriptions: subscriptions.into_iter().map(|id| SubscriptionId::from(Uuid::from_u128(id))).collect(),
                status: if active { EventStatus::Active } else { EventStatus::Resolved },
                impact_start,
                impact_mitigation,
                impact: impact.collect(),
            }
        },
    )
}

fn sayings() -> impl Strategy<Value = Vec<Saying>> {
    let saying = (0_usize..3, 0_i64..130_000, view(), any::<bool>()).prop_map(|(event, after, view, twice)| {
        let saying =
            Saying { event, after, facts: EventFacts { event_type: EventType::ServiceIssue, views: vec![view] } };
        // Now and then only the text changed.
        let again = twice.then(|| Saying { after: saying.after + 5, ..saying.clone() });
        [Some(saying), again].into_iter().flatten().collect::<Vec<_>>()
    });
    proptest::collection::vec(saying, 1..12).prop_map(|all| all.into_iter().flatten().collect())
}

/// The transitions that the sayings would have been.
fn transitions(sayings: &[Saying]) -> Vec<Transition> {
    let mut order = sayings.to_vec();
    order.sort_by_key(|saying| saying.after);
    let mut was: BTreeMap<usize, bool> = BTreeMap::new();
    let mut all = Vec::new();
    for (number, saying) in order.iter().enumerate() {
        let (id, title) = (tracking_id(saying.event), "An outage".to_owned());
        let active = saying.facts.views.iter().any(|view| view.status == EventStatus::Active);
        let severity = Severity::High;
        let kind = match (was.insert(saying.event, active), active) {
            (None, _) => TransitionKind::EventOpened { tracking_id: id, title, severity },
            (Some(true), false) => TransitionKind::EventResolved { tracking_id: id, title },
            (Some(false), true) => TransitionKind::EventReopened { tracking_id: id, title, severity },
            _ => {
                let changes = BTreeSet::from([EventChange::Text]);
                TransitionKind::EventUpdated { tracking_id: id, title, severity, changes, delta: Default::default() }
            }
        };
        let at = start() + TimeDelta::minutes(saying.after);
        let transition = Transition::new(tenant(), kind, &number.to_string(), at, false);
        all.push(Transition { event: Some(saying.facts.clone()), ..transition });
    }
    all
}

fn of(transitions: &[Transition], from: Timestamp, to: Timestamp) -> Report {
    report(&Input {
        tenant_id: tenant(),
        watched_since: start(),
        transitions,
        snapshot: None,
        from,
        to,
        now: start() + TimeDelta::days(95),
        event_type: &EventType::ServiceIssue,
    })
}

/// Seconds by month, subscription, service and region.
fn seconds(report: &Report) -> BTreeMap<(String, Option<SubscriptionId>, String, String), i64> {
    let mut sums = BTreeMap::new();
    for row in &report.rows {
        let key = (row.month.clone(), row.subscription_id, row.service.clone(), row.region.clone());
        *sums.entry(key).or_insert(0) += row.impact_seconds;
    }
    sums
}

fn length_of(month: &str) -> i64 {
    let first = |at: &str| format!("{at}-01T00:00:00Z").parse::<Timestamp>().expect("a month");
    (first(month) + chrono::Months::new(1) - first(month)).num_seconds()
}

proptest! {
    #[test]
    fn no_row_has_more_than_its_month_and_the_total_lies_between_the_most_and_the_sum(sayings in sayings()) {
        let report = of(&transitions(&sayings), start() - TimeDelta::days(30), start() + TimeDelta::days(90));
        for row in &report.rows {
            prop_assert!(0 < row.impact_seconds && row.impact_seconds <= length_of(&row.month), "{row:?}");
            prop_assert!(!row.incidents.is_empty());
        }
        for total in &report.subscriptions {
            let same = |month: &str, id| month == total.month && id == total.subscription_id;
            let rows: Vec<_> = report.rows.iter().filter(|row| same(&row.month, row.subscription_id)).collect();
            let most = rows.iter().map(|row| row.impact_seconds).max().unwrap_or_default();
            let sum = rows.iter().map(|row| row.impact_seconds).sum();
            prop_assert!(most <= total.impact_seconds && total.impact_seconds <= sum, "{total:?}");
            prop_assert!(total.impact_seconds <= length_of(&total.month));
        }
    }

    #[test]
    fn the_order_and_repetitions_do_not_matter(sayings in sayings(), seed in any::<u64>()) {
        let all = transitions(&sayings);
        let mut mixed = [all.clone(), all.clone()].concat();
        mixed.sort_by_key(|transition| Uuid::new_v5(&Uuid::from_u128(seed.into()), transition.id.to_string().as_bytes()));
        let (from, to) = (start(), start() + TimeDelta::days(90));
        prop_assert_eq!(of(&all, from, to), of(&mixed, from, to));
    }

    #[test]
    fn two_reports_side_by_side_add_up_to_the_one_over_both(sayings in sayings(), cut in 0_i64..130_000) {
        let all = transitions(&sayings);
        let (from, to) = (start() - TimeDelta::days(9), start() + TimeDelta::days(92));
        let middle = start() + TimeDelta::minutes(cut);
        let mut parts = seconds(&of(&all, from, middle));
        for (key, more) in seconds(&of(&all, middle, to)) {
            *parts.entry(key).or_insert(0) += more;
        }
        prop_assert_eq!(parts, seconds(&of(&all, from, to)));
    }

    #[test]
    fn a_compacted_timeline_gives_the_same_report_and_loses_no_start_no_end(sayings in sayings()) {
        let all = transitions(&sayings);
        let timeline = Timeline {
            transitions: all.iter().map(|transition| (transition.id, transition.clone())).collect(),
            ..Timeline::default()
        };
        let folded = fold(timeline);
        let kept: Vec<_> = folded.transitions.values().cloned().collect();
        let (from, to) = (start() - TimeDelta::days(9), start() + TimeDelta::days(92));
        let (mut before, mut after) = (of(&all, from, to), of(&kept, from, to));
        prop_assert_eq!(seconds(&before), seconds(&after));
        before.rows.clear();
        after.rows.clear();
        prop_assert_eq!(before, after);
        let is_update = |one: &&Transition| matches!(one.kind, TransitionKind::EventUpdated { .. });
        prop_assert_eq!(all.iter().filter(|one| !is_update(one)).count(), kept.iter().filter(|one| !is_update(one)).count());
        prop_assert_eq!(kept.iter().map(|one| 1 + one.stands_for as usize).sum::<usize>(), all.len());
        prop_assert_eq!(folded.transitions.len() + folded.folded.len(), all.len());
        prop_assert_eq!(fold(folded.clone()), folded, "once is enough");
    }
}
