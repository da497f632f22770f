//! Metrics, computed from what is kept: every instance tells the same, whoever did the work. What is counted for each customer is
//! in its snapshot, written together with what the counting is about.

mod encode;
mod notices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use encode::CONTENT_TYPE;
use encode::{Family, exposition};
use notices::Notices;
pub use notices::Seen;

use super::coverage::Known;
use super::{Error, Everything, everything};
use crate::app::App;
use crate::model::{Counters, Customer, Heartbeat, Snapshot, Source, Timestamp};
use crate::settings::Expiry;
use crate::store::Key;

/// The customers named by tenant: those that were polled longest ago. All others are in the summary only.
const WORST: usize = 10;
const SOURCES: [Source; 3] = [Source::Events, Source::Resources, Source::ActivityLog];

/// The exposition: OpenMetrics text.
///
/// # Errors
/// [`Error::Store`].
pub async fn metrics(app: &Arc<App>) -> Result<String, Error> {
    let now = app.clock.now();
    let all = everything(app).await?;
    let erased = app.store.read::<Counters>(&Key::Counters).await?.map(|read| read.value).unwrap_or_default();
    let notices = notices::read(app, now).await?;
    // Who left is counted on: a counter never goes back.
    let everybody = app.snapshots.all(&app.store).await?;
    let counters = everybody.values().fold(erased, |sum, snapshot| sum.and(&snapshot.counters()));
    let mut families = vec![
        Family::info("health_monitor_build", "This program.")
            .sample(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0),
        Family::gauge("health_monitor_customers", "Customers that are watched.").sample(Vec::new(), all.len() as f64),
    ];
    families.extend(reading(&all, now));
    families.extend(azure(&all, &counters));
    families.extend(found(&all, &counters));
    families.extend(delivering(&notices));
    if let Some(heartbeat) = app.store.read::<Heartbeat>(&Key::Heartbeat).await? {
        let name = "health_monitor_heartbeat_timestamp_seconds";
        let family = Family::gauge(name, "When the timer last ran well.").seconds();
        families.push(family.sample(Vec::new(), heartbeat.value.at.timestamp() as f64));
        let family =
            Family::gauge("health_monitor_silent_customers", "Customers of whom nothing could be read for long.");
        families.push(family.sample(Vec::new(), heartbeat.value.silent.len() as f64));
    }
    if let Expiry::At(at) = app.settings.identity.credential.expiry() {
        let name = "health_monitor_credential_expiry_timestamp_seconds";
        let family = Family::gauge(name, "When our own credential ends.").seconds();
        families.push(family.sample(Vec::new(), at.timestamp() as f64));
    }
    Ok(exposition(&families))
}

/// How far behind the polls are, and how completely everything is known.
fn reading(all: &Everything, now: Timestamp) -> Vec<Family> {
    let lag = |customer: &Customer, snapshot: Option<&Snapshot>| {
        let since = snapshot.map_or(customer.onboarded_at, |snapshot| snapshot.polled_at);
        seconds(now - since)
    };
    let mut lags: Vec<_> =
        all.iter().map(|(customer, snapshot)| (lag(customer, snapshot.as_deref()), customer.tenant_id)).collect();
    lags.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let worst = lags.iter().take(WORST).map(|(lag, tenant)| (vec![("tenant_id", tenant.to_string())], *lag));

    let mut states: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut gaps: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut read_lags: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (customer, snapshot) in all {
        for source in SOURCES {
            for id in customer.subscriptions.keys() {
                let coverage = snapshot.as_deref().and_then(|snapshot| snapshot.coverage.get(id));
                let read_at = coverage.and_then(|coverage| coverage.of(source).read_at);
                // One by one: together, an answer names the first 200 gaps only. The activity log fills what the others miss:
                // unread, it is no gap of its own.
                let known = (source != Source::ActivityLog)
                    .then(|| Known::of(customer, snapshot.as_deref(), Some(*id), &[source], now));
                let gap = known.as_ref().and_then(|known| known.coverage.gaps.first());
                let state = match (gap, read_at) {
                    (Some(gap), _) => {
                        *gaps.entry((word(source), reason(gap.reason))).or_default() += 1;
                        "gap"
                    }
                    (None, None) => "never",
                    (None, Some(_)) => "current",
                };
                *states.entry((word(source), state)).or_default() += 1;
                read_lags.entry(word(source)).or_default().extend(read_at.map(|at| seconds(now - at)));
            }
        }
    }
    let states = states.into_iter().map(|((source, state), count)| {
        (vec![("source", source.to_owned()), ("state", state.to_owned())], count as f64)
    });
    let gaps = gaps
        .into_iter()
        .map(|((source, reason), count)| (vec![("source", source.to_owned()), ("reason", reason)], count as f64));
    let oldest = read_lags.into_iter().filter_map(|(source, lags)| {
        let most = lags.into_iter().max_by(f64::total_cmp)?;
        Some((vec![("source", source.to_owned())], most))
    });
    vec![
        Family::summary("health_monitor_poll_lag_seconds", "Time since each watched customer was polled.")
            .seconds()
            .quantiles(lags.iter().map(|(lag, _)| *lag).collect()),
        Family::gauge(
            "health_monitor_customer_poll_lag_seconds",
            "The same of the ten customers that were polled longest ago.",
        )
        .seconds()
        .samples(worst),
        Family::gauge(
            "health_monitor_read_lag_seconds",
            "Time since the subscription that was read in full longest ago.",
        )
        .seconds()
        .samples(oldest),
        Family::gauge("health_monitor_subscriptions", "Subscriptions by how well each source of them is known.")
            .samples(states),
        Family::gauge("health_monitor_gaps", "What cannot be read, by source and reason.").samples(gaps),
    ]
}

/// What was asked of Azure, and what it still lets us ask.
fn azure(all: &Everything, counters: &Counters) -> Vec<Family> {
    let requests = counters.requests.iter().flat_map(|(source, statuses)| {
        statuses.iter().map(move |(status, count)| {
            let status = if *status == 0 { "none".to_owned() } else { status.to_string() };
            (vec![("source", source.clone()), ("status", status)], *count as f64)
        })
    });
    let paces: Vec<_> = all.iter().filter_map(|(_, snapshot)| Some(&snapshot.as_ref()?.pace)).collect();
    let fewest = |name: &str, left: &dyn Fn(&crate::model::Pace) -> Option<u32>| {
        let fewest = paces.iter().filter_map(|pace| left(pace)).min()?;
        Some((vec![("quota", name.to_owned())], f64::from(fewest)))
    };
    let left = [fewest("reads", &|pace| pace.reads_left), fewest("queries", &|pace| pace.queries_left)];
    vec![
        Family::counter(
            "health_monitor_azure_requests",
            "Requests to Azure of the polls that were kept, by source and HTTP status; none: no answer came.",
        )
        .samples(requests),
        Family::gauge(
            "health_monitor_azure_quota_left",
            "The fewest that Azure had left for us at any customer, in the last poll in which it said so.",
        )
        .samples(left.into_iter().flatten()),
        Family::gauge(
            "health_monitor_readings_put_off",
            "Due readings that the last polls left to the next, for want of budget.",
        )
        .sample(Vec::new(), paces.iter().map(|pace| f64::from(pace.put_off)).sum()),
    ]
}

/// What was found.
fn found(all: &Everything, counters: &Counters) -> Vec<Family> {
    let transitions = counters.transitions.iter().map(|(kind, count)| (vec![("kind", kind.clone())], *count as f64));
    let mut active: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut resources: BTreeMap<String, u64> = BTreeMap::new();
    for snapshot in all.iter().filter_map(|(_, snapshot)| snapshot.as_deref()) {
        for (id, record) in &snapshot.events {
            if let Some(content) = record.contents.values().find(|content| content.is_active()) {
                // Words of Azure that we do not know are one label value: nobody fills this up.
                let kind = match &content.event_type {
                    crate::model::EventType::Other(_) => "other".to_owned(),
                    known => known.to_string(),
                };
                active.entry(kind).or_default().insert(id.key());
            }
        }
        for state in snapshot.resources.values() {
            let state = match &state.state {
                crate::model::AvailabilityState::Other(_) => "other".to_owned(),
                known => known.to_string(),
            };
            *resources.entry(state).or_default() += 1;
        }
    }
    vec![
        Family::counter("health_monitor_transitions", "Transitions found, by kind.").samples(transitions),
        Family::gauge("health_monitor_active_incidents", "Incidents that go on for any customer, by type.")
            .samples(active.into_iter().map(|(kind, ids)| (vec![("event_type", kind)], ids.len() as f64))),
        Family::gauge("health_monitor_resources", "Resources that are not available, by state.")
            .samples(resources.into_iter().map(|(state, count)| (vec![("state", state)], count as f64))),
    ]
}

/// How delivery goes.
fn delivering(notices: &Notices) -> Vec<Family> {
    let states = [("waiting", notices.waiting), ("due", notices.due)];
    let states = states.map(|(state, count)| (vec![("state", state.to_owned())], count as f64));
    vec![
        Family::gauge("health_monitor_outbox_notices", "Notices that are not delivered yet, by what they wait for.")
            .samples(states),
        Family::gauge("health_monitor_outbox_oldest_due_seconds", "For how long the oldest due notice has been due.")
            .seconds()
            .sample(Vec::new(), notices.oldest_due),
        Family::summary(
            "health_monitor_delivery_lag_seconds",
            "From when a notice might be sent until its destination took it, of those delivered in the last hour.",
        )
        .seconds()
        .quantiles(notices.lags.clone()),
        Family::gauge("health_monitor_ended_notices", "Notices that ended in the last hour, by how.")
            .samples(notices.ended.iter().map(|(end, count)| (vec![("end", (*end).to_owned())], *count as f64))),
        Family::gauge("health_monitor_dead_letters", "Notices that were given up and may be replayed.")
            .sample(Vec::new(), notices.dead as f64),
        Family::gauge(
            "health_monitor_unread_notices",
            "Documents of notices that this scrape left to the next one: above 0 the figures about notices are too low.",
        )
        .sample(Vec::new(), notices.unread as f64),
    ]
}

fn seconds(delta: chrono::TimeDelta) -> f64 {
    (delta.num_milliseconds() as f64 / 1000.0).max(0.0)
}

fn word(source: Source) -> &'static str {
    match source {
        Source::Events => "events",
        Source::Resources => "resources",
        Source::ActivityLog => "activityLog",
    }
}

fn reason(reason: crate::model::GapReason) -> String {
    serde_json::to_value(reason).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}
