//! Dry run: what given routes would have told of what happened in the last days, without telling anything.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use super::plan::{self, Facts};
use super::storm;
use crate::app::App;
use crate::history::{self, Shelf};
use crate::model::{
    Customer, Notice, NoticeId, NoticeScope, Phase, Routes, Severity, Snapshot, TenantId, Timestamp, Transition,
};
use crate::store;

/// The longest time that is looked back.
pub const MOST_DAYS: u16 = 90;

/// The most notices that are listed one by one; the counts are of all.
const MOST_LISTED: usize = 1000;

/// Timelines read at once.
const IN_FLIGHT: usize = 16;

/// What would have been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub to: Timestamp,
    /// Transitions of that time.
    pub transitions: usize,
    /// Of these, history that the first reading of a subscription found: nobody is told.
    pub history: usize,
    /// Of these, transitions of events that are forgotten by now: whether services, regions or tags match cannot be said, so
    /// routes that ask for them were taken not to match.
    pub forgotten: usize,
    /// Transitions that no route tells, by kind.
    pub untold: BTreeMap<String, usize>,
    /// Routes that would have told nothing: maybe all was quiet, maybe a region is misspelled.
    pub silent_routes: Vec<String>,
    /// How much each destination would have heard.
    pub destinations: Vec<Heard>,
    /// The notices, in order of time.
    pub notices: Vec<Line>,
    /// True when there were more notices than are listed.
    pub more: bool,
}

/// How much one destination would have heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Heard {
    /// The route.
    pub route: String,
    /// The channel.
    pub channel: String,
    /// Notices.
    pub notices: usize,
    /// Messages: digests and storms are one each.
    pub messages: usize,
}

/// One notice that would have been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When it was found.
    pub at: Timestamp,
    /// From when on it would have been told.
    pub not_before: Timestamp,
    /// The route.
    pub route: String,
    /// The channel.
    pub channel: String,
    /// The customer that it speaks to. None: the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<TenantId>,
    /// What happened, such as `eventOpened`.
    pub word: String,
    /// How much it matters.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// True when it would have been told in one message with others.
    pub bundled: bool,
}

/// One customer's part.
#[derive(Debug, Clone)]
pub struct Past<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// What is known now. None: it was never read.
    pub snapshot: Option<&'a Snapshot>,
    /// What happened.
    pub transitions: Vec<Transition>,
}

/// Runs routes over the transitions of the last days. Reads only.
///
/// # Errors
/// When documents cannot be read.
pub async fn dry_run(app: &App, routes: &Routes, days: u16) -> Result<DryRun, store::Error> {
    let to = app.clock.now();
    let from = to - TimeDelta::days(days.min(MOST_DAYS).into());
    // What was found this very moment counts.
    let until = to + TimeDelta::seconds(1);
    let customers = app.customers.all(&app.store).await?;
    let snapshots = app.snapshots.all(&app.store).await?;
    let reads: Vec<_> =
        customers.keys().map(|tenant| history::read(app, Shelf::Customer(*tenant), from, until)).collect();
    let timelines: Vec<_> = futures_util::stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
    let partners_own = history::read(app, Shelf::Partner, from, until).await?;
    let past: Vec<_> = customers
        .values()
        .zip(timelines)
        .map(|(customer, transitions)| Past {
            customer,
            snapshot: snapshots.get(&customer.tenant_id).map(AsRef::as_ref),
            transitions,
        })
        .collect();
    Ok(rehearse(routes, &past, &partners_own, from, to))
}

/// The dry run itself. Pure.
pub fn rehearse(
    routes: &Routes,
    past: &[Past<'_>],
    partners_own: &[Transition],
    from: Timestamp,
    to: Timestamp,
) -> DryRun {
    let mut planned: BTreeMap<NoticeId, Notice> = BTreeMap::new();
    let mut untold: BTreeMap<String, usize> = BTreeMap::new();
    let (mut transitions, mut history, mut forgotten) = (0, 0, 0);
    let nobody = BTreeMap::new();
    let mut each = |transition: &Transition, forgets: bool, notices: Vec<Notice>| {
        transitions += 1;
        history += usize::from(transition.backfill);
        forgotten += usize::from(forgets && !transition.backfill);
        if notices.is_empty() && !transition.backfill {
            *untold.entry(transition.kind.word()).or_default() += 1;
        }
        for notice in notices {
            // Of what several customers showed, the first counts.
            let known = planned.entry(notice.id).or_insert_with(|| notice.clone());
            if notice.created_at < known.created_at {
                *known = notice;
            }
        }
    };
    for Past { customer, snapshot, transitions } in past {
        let empty = Snapshot::empty(customer.tenant_id, to);
        let snapshot = snapshot.unwrap_or(&empty);
        for transition in transitions {
            let forgets =
                transition.kind.tracking_id().is_some_and(|id| super::story::event_in(snapshot, id).is_none());
            let one = std::slice::from_ref(transition);
            // At its own time, with what is known of it today.
            let facts = Facts {
                customer,
                before: snapshot,
                after: snapshot,
                transitions: one,
                notes: &nobody,
                now: transition.at,
            };
            each(transition, forgets, plan::notices(routes, &facts));
        }
    }
    for transition in partners_own {
        let one = std::slice::from_ref(transition);
        each(transition, false, plan::partner_notices(routes, one, transition.at));
    }
    let told = told(planned.into_values().collect());
    let storms = storm::together(routes, &told);
    let mut heard: BTreeMap<(&str, &str), (usize, BTreeSet<String>)> = BTreeMap::new();
    for notice in &told {
        let (notices, messages) = heard.entry((&notice.route, &notice.channel)).or_default();
        *notices += 1;
        let alone = || notice.id.to_string();
        messages.insert(notice.bundle.clone().or_else(|| storms.get(&notice.id).cloned()).unwrap_or_else(alone));
    }
    let speaks = |id: &String| heard.keys().any(|(route, _)| route == id);
    let silent_routes = routes.routes.iter().map(|route| route.id.clone()).filter(|id| !speaks(id)).collect();
    let destinations = heard.into_iter().map(|((route, channel), (notices, messages))| Heard {
        route: route.to_owned(),
        channel: channel.to_owned(),
        notices,
        messages: messages.len(),
    });
    DryRun {
        from,
        to,
        transitions,
        history,
        forgotten,
        untold,
        silent_routes,
        destinations: destinations.collect(),
        more: told.len() > MOST_LISTED,
        notices: told.iter().take(MOST_LISTED).map(|notice| line(notice, storms.contains_key(&notice.id))).collect(),
    }
}

/// In order of time, without the ends of what nobody was told of.
fn told(mut planned: Vec<Notice>) -> Vec<Notice> {
    planned.sort_by_key(|notice| (notice.created_at, notice.story.phase, notice.id));
    let mut begun = BTreeSet::new();
    planned.retain(|notice| {
        let known = begun.contains(&(notice.thread_lane(), notice.episode));
        if matches!(notice.story.phase, Phase::Began | Phase::Changed) {
            begun.insert((notice.thread_lane(), notice.episode));
        }
        known || !notice.only_after_start
    });
    planned
}

fn line(notice: &Notice, in_storm: bool) -> Line {
    Line {
        at: notice.created_at,
        not_before: notice.not_before,
        route: notice.route.clone(),
        channel: notice.channel.clone(),
        customer: match notice.scope {
            NoticeScope::Customer { tenant_id } => Some(tenant_id),
            NoticeScope::Partner => None,
        },
        word: notice.story.word.clone(),
        severity: notice.story.severity,
        title: notice.story.title.clone(),
        bundled: notice.bundle.is_some() || in_storm,
    }
}
