//! The pulse: customers of whom nothing is read any more, and the monitor's own silence. Found by the timer, over all customers,
//! from what is kept: a poll that never ran cannot tell that it did not.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::diff_access::PROPAGATION;
use super::keep;
use crate::app::App;
use crate::functions::parse_schedule;
use crate::model::{
    Customer, Heartbeat, Silence, Snapshot, SubscriptionCoverage, SubscriptionId, TenantId, Timestamp, Transition,
    TransitionKind,
};
use crate::notify;
use crate::store::{self, Key, Versioned};

/// Runs of the timer in which nothing of a customer was read, after which he is silent.
const SILENT_AFTER_RUNS: usize = 5;
/// And not before this much time: passing trouble is no news.
const SILENT_AFTER: TimeDelta = TimeDelta::minutes(15);
/// Runs of the timer that did not come, after which the monitor itself was silent.
const OVERDUE_AFTER_RUNS: usize = 3;
/// And how late they may be: a deployment restarts everything.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(5);
/// Snapshots read at once.
const IN_FLIGHT: usize = 8;
/// From this many customers on each run looks at a fifth of them: reading every snapshot each minute costs more than knowing
/// of a silence four minutes earlier is worth.
const LOOK_AT_ALL_UP_TO: usize = 100;
const SHARES: i64 = 5;

/// Ends a run of the timer that did its work: finds who is silent and who is heard again, notes the heartbeat, and calls the
/// dead-man switch. Gives what was told. Done twice, it gives the same.
///
/// # Errors
/// When the documents cannot be read or written: then there is no heartbeat.
pub async fn beat(app: &Arc<App>) -> Result<Vec<Transition>, store::Error> {
    let now = app.clock.now();
    let before: Option<Versioned<Heartbeat>> = app.store.read(&Key::Heartbeat).await?;
    let known = before.as_ref().map(|before| &before.value);
    let customers = app.customers.all(&app.store).await?;
    let watched: BTreeMap<TenantId, &Customer> = customers
        .iter()
        .filter(|(_, customer)| customer.offboarded_at.is_none() && !customer.subscriptions.is_empty())
        .map(|(id, customer)| (*id, customer.as_ref()))
        .collect();

    let was_silent = known.filter(|known| is_overdue(&app.settings.poll_schedule, known.at, now));
    let running_since = match known {
        Some(known) if was_silent.is_none() => known.running_since,
        _ => now,
    };
    let mut silent = known.map(|known| known.silent.clone()).unwrap_or_default();
    silent.retain(|id, _| watched.contains_key(id));
    let mut told = Vec::new();
    let looked_at = watched.iter().filter(|(id, _)| is_due(**id, watched.len(), now));
    let read = looked_at.map(|(id, customer)| {
        let id = *id;
        async move { (id, heard(app, id, customer).await) }
    });
    // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
    let read: Vec<_> = read.collect();
    let mut read: Vec<_> = futures_util::stream::iter(read).buffer_unordered(IN_FLIGHT).collect().await;
    read.sort_by_key(|(id, _)| *id);
    for (id, heard) in read {
        let heard = heard?;
        match silent.get(&id) {
            None if heard.is_silent(&app.settings.poll_schedule, running_since, now) => {
                let kind = TransitionKind::CustomerSilent { last_read_at: heard.last_read_at };
                told.push(Transition::new(id, kind, &occurrence(heard.last_read_at), now, false));
                silent.insert(id, Silence { last_read_at: heard.last_read_at, told_at: now });
            }
            Some(since) if heard.last_read_at > since.last_read_at => {
                let kind = TransitionKind::CustomerHeard { silent_since: since.last_read_at };
                told.push(Transition::new(id, kind, &occurrence(since.last_read_at), now, false));
                silent.remove(&id);
            }
            _ => {}
        }
    }
    if let Some(last) = was_silent {
        let partner = app.settings.identity.tenant_id;
        let kind = TransitionKind::MonitorWasSilent { from: last.at, to: now };
        told.push(Transition::new(partner, kind, &last.at.to_rfc3339(), now, false));
    }
    for transition in &told {
        tell(app, transition, watched.get(&transition.tenant_id).copied()).await?;
    }

    let after = Heartbeat { at: now, running_since, watched: watched.len(), silent };
    let written = match &before {
        Some(before) => app.store.replace(&Key::Heartbeat, before, &after).await,
        None => app.store.create(&Key::Heartbeat, &after).await,
    };
    match written {
        // Another run of the timer was faster: it noted the same.
        Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => {}
        other => other?,
    }
    if after.all_silent() {
        tracing::warn!(customers = after.watched, "nothing of any customer is read: the dead-man switch is not called");
    } else if let Some(dead_man) = &app.dead_man {
        dead_man.alive().await;
    }
    Ok(told)
}

/// True when a run of the timer is so late that it has to be noticed.
pub fn is_overdue(schedule: &str, last: Timestamp, now: Timestamp) -> bool {
    now - last > OVERDUE_AFTER && run_after(schedule, last, OVERDUE_AFTER_RUNS).is_some_and(|due| now > due)
}

/// The n-th run of the timer after a moment.
fn run_after(schedule: &str, moment: Timestamp, runs: usize) -> Option<Timestamp> {
    let schedule = parse_schedule(schedule).ok()?;
    (0..runs).try_fold(moment, |at, _| schedule.find_next_occurrence(&at, false).ok())
}

/// Tells people and files it: the partner's own beside those of the customers. Notices wait in the outbox before anything
/// says that they were told.
async fn tell(app: &Arc<App>, told: &Transition, customer: Option<&Customer>) -> Result<(), store::Error> {
    let transition = std::slice::from_ref(told);
    tracing::warn!(tenant.id = %told.tenant_id, transition.kind = told.kind.word(), "{}", told.kind.headline());
    let Some(customer) = customer.filter(|_| !matches!(told.kind, TransitionKind::MonitorWasSilent { .. })) else {
        notify::tell_partner(app, transition).await?;
        return keep::file_in(app, Key::PartnerTimeline, transition.iter()).await;
    };
    // What is known of him may be what keeps him from being read: he is told of all the same.
    let known = app.store.read::<Snapshot>(&Key::Health(told.tenant_id)).await.ok().flatten();
    let known = known.map_or_else(|| Snapshot::empty(told.tenant_id, told.at), |known| known.value);
    notify::tell(app, customer, &known, &known, transition).await?;
    keep::file(app, told.tenant_id, transition.iter()).await
}

/// Whether a customer is looked at in this run.
fn is_due(id: TenantId, customers: usize, now: Timestamp) -> bool {
    let share = id.to_string().bytes().fold(0_i64, |sum, byte| (sum * 31 + i64::from(byte)) % SHARES);
    customers <= LOOK_AT_ALL_UP_TO || share == (now.timestamp() / 60).rem_euclid(SHARES)
}

fn occurrence(last_read_at: Option<Timestamp>) -> String {
    last_read_at.map(|at| at.to_rfc3339()).unwrap_or_default()
}

/// How a customer was heard last.
struct Heard {
    /// The last time that anything of it was read in full.
    last_read_at: Option<Timestamp>,
    /// Since when somebody could have been heard: when it was granted.
    joined_at: Timestamp,
    /// Azure refuses us every subscription: that is told as such, when it is confirmed.
    refused: bool,
}

impl Heard {
    fn is_silent(&self, schedule: &str, running_since: Timestamp, now: Timestamp) -> bool {
        let since = self.last_read_at.unwrap_or(self.joined_at + PROPAGATION).max(running_since);
        // The schedule is only asked where time alone does not answer.
        !self.refused
            && now - since > SILENT_AFTER
            && run_after(schedule, since, SILENT_AFTER_RUNS).is_some_and(|due| now > due)
    }
}

/// What is needed of a snapshot, however much else it has.
#[derive(Default, Deserialize)]
struct Pulse {
    #[serde(default)]
    coverage: BTreeMap<SubscriptionId, SubscriptionCoverage>,
}

async fn heard(app: &App, id: TenantId, customer: &Customer) -> Result<Heard, store::Error> {
    let blob = app.store.read_bytes(&Key::Health(id)).await?;
    // One that cannot be read keeps the customer from being polled: he is silent, whatever it says.
    let pulse: Pulse = blob.and_then(|blob| serde_json::from_slice(&blob.body).ok()).unwrap_or_default();
    let coverage = || customer.subscriptions.keys().map(|id| pulse.coverage.get(id));
    let last_read_at = coverage().flatten().filter_map(|known| known.events.read_at.max(known.resources.read_at)).max();
    let granted = customer.subscriptions.values().filter_map(|one| one.granted_at).max();
    Ok(Heard {
        last_read_at,
        joined_at: granted.unwrap_or(customer.onboarded_at).max(customer.onboarded_at),
        refused: coverage().all(|known| known.is_some_and(|known| known.access.is_some())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_run_is_overdue_by_its_schedule() {
        let overdue = |schedule: &str, last: &str, now: &str| is_overdue(schedule, at(last), at(now));
        let each_minute = "0 * * * * *";
        assert!(!overdue(each_minute, "2026-01-15T12:00:00Z", "2026-01-15T12:05:00Z"));
        assert!(overdue(each_minute, "2026-01-15T12:00:00Z", "2026-01-15T12:05:01Z"));
        let hourly = "0 0 * * * *";
        assert!(!overdue(hourly, "2026-01-15T12:00:00Z", "2026-01-15T15:00:00Z"));
        assert!(overdue(hourly, "2026-01-15T12:00:00Z", "2026-01-15T15:00:01Z"));
        // Nobody is silent at night who only works by day.
        let by_day = "0 */5 8-17 * * *";
        assert!(!overdue(by_day, "2026-01-15T17:55:00Z", "2026-01-16T08:10:00Z"));
        assert!(overdue(by_day, "2026-01-15T17:55:00Z", "2026-01-16T08:10:01Z"));
    }

    #[test]
    fn among_many_customers_each_is_looked_at_in_one_of_five_runs() {
        let ids: Vec<TenantId> = (0..50).map(|n| uuid::Uuid::from_u128(n * 7919 + 3).into()).collect();
        for id in ids {
            let runs =
                (0..5).filter(|minute| is_due(id, 1000, at("2026-01-15T12:00:30Z") + TimeDelta::minutes(*minute)));
            assert_eq!(runs.count(), 1);
            assert!(is_due(id, 10, at("2026-01-15T12:00:30Z")));
        }
    }
}
