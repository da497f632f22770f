//! Which notices follow from transitions. Pure: the same in, the same out, in whatever order the transitions come.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::hours::{self, Hours};
use super::matching;
use super::storm;
use super::story::{Matter, zone_of};
use crate::model::{
    Audience, Customer, Delivery, EventChange, IncidentNotes, Notice, NoticeId, NoticeScope, Phase, Route, Routes,
    Severity, Snapshot, Story, Subject, TextHash, Timestamp, TrackingId, Transition, TransitionKind, Zone,
};

/// How long the partner's notice of an incident waits for further customers, where the route says nothing.
const USUAL_GROUP_SECONDS: u32 = 60;

/// What is known when one customer was read.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The customer.
    pub customer: &'a Customer,
    /// What was known before.
    pub before: &'a Snapshot,
    /// What is known now.
    pub after: &'a Snapshot,
    /// What changed.
    pub transitions: &'a [Transition],
    /// What the partner says about incidents.
    pub notes: &'a BTreeMap<TrackingId, IncidentNotes>,
    /// The time of the notices.
    pub now: Timestamp,
}

/// The notices of one customer's transitions, each id once, in order of ids.
pub fn notices(routes: &Routes, facts: &Facts<'_>) -> Vec<Notice> {
    let mut planned = BTreeMap::new();
    for transition in facts.transitions {
        // What the first reading of a subscription finds is history.
        if transition.backfill {
            continue;
        }
        let matter = Matter::of(transition, Some(facts.customer), Some(facts.before), Some(facts.after));
        let note = transition.kind.tracking_id().and_then(|id| facts.notes.get(id));
        for route in &routes.routes {
            collect(&mut planned, of_route(routes, route, &matter, Some(facts.after), note, facts.now));
        }
    }
    planned.into_values().collect()
}

/// The notices of the partner's own transitions, such as of his credential.
pub fn partner_notices(routes: &Routes, transitions: &[Transition], now: Timestamp) -> Vec<Notice> {
    let mut planned = BTreeMap::new();
    for transition in transitions.iter().filter(|transition| !transition.backfill) {
        let matter = Matter::of(transition, None, None, None);
        for route in &routes.routes {
            collect(&mut planned, of_route(routes, route, &matter, None, None, now));
        }
    }
    planned.into_values().collect()
}

/// One id may follow from several transitions: it is one notice, behind which all of them are.
fn collect(planned: &mut BTreeMap<NoticeId, Notice>, found: Vec<Notice>) {
    for notice in found {
        match planned.get_mut(&notice.id) {
            None => drop(planned.insert(notice.id, notice)),
            Some(known) => {
                let transitions: BTreeSet<_> = known.transitions.union(&notice.transitions).copied().collect();
                // Whichever comes first, the same one speaks.
                if notice.transitions.first() < known.transitions.first() {
                    *known = notice;
                }
                known.transitions = transitions;
            }
        }
    }
}

/// What one route tells of one transition: a notice for each of its channels.
fn of_route(
    routes: &Routes,
    route: &Route,
    matter: &Matter<'_>,
    after: Option<&Snapshot>,
    note: Option<&IncidentNotes>,
    now: Timestamp,
) -> Vec<Notice> {
    if !matching::takes(route, matter) {
        return Vec::new();
    }
    let subscriptions: BTreeSet<_> = route.matches.subscriptions.iter().copied().collect();
    let narrowed = match subscriptions.is_empty() {
        true => None,
        false => matter.within(&subscriptions, after),
    };
    let matter = narrowed.as_ref().unwrap_or(matter);
    let over_all_customers = route.audience == Audience::Partner && matter.event.is_some();
    let occurrence = match over_all_customers {
        true => match of_incident(matter) {
            Some(occurrence) => occurrence,
            None => return Vec::new(),
        },
        false => matter.transition.id.to_string(),
    };
    let draft = Draft {
        route,
        customer: matter.customer,
        subject: matter.subject(),
        episode: matter.episode,
        story: matter.story(over_all_customers),
        occurrence,
        only_after_start: matching::only_after_start(route, matter),
        note,
        now,
    };
    let with_transition = |mut notice: Notice| {
        notice.transitions.insert(matter.transition.id);
        notice
    };
    draft.notices(routes).into_iter().map(with_transition).collect()
}

/// A story on its way to the channels of a route.
pub(super) struct Draft<'a> {
    pub route: &'a Route,
    /// The customer whose story it is; of the partner's notice of an incident the one that showed it.
    pub customer: Option<&'a Customer>,
    pub subject: Subject,
    pub episode: u32,
    pub story: Story,
    /// What tells this change from others, within scope, route and channel.
    pub occurrence: String,
    pub only_after_start: bool,
    pub note: Option<&'a IncidentNotes>,
    pub now: Timestamp,
}

impl Draft<'_> {
    /// One notice for each channel that there is.
    pub fn notices(&self, routes: &Routes) -> Vec<Notice> {
        let scope = match (self.route.audience, self.customer) {
            (Audience::Customer, Some(customer)) => NoticeScope::Customer { tenant_id: customer.tenant_id },
            _ => NoticeScope::Partner,
        };
        let (not_before, bundle) = self.when(scope);
        let channels: BTreeSet<_> =
            self.route.channels.iter().filter(|name| routes.channels.contains_key(*name)).collect();
        let notice = |channel: &String| Notice {
            id: NoticeId::of(scope, &self.route.id, channel, &self.occurrence),
            scope,
            route: self.route.id.clone(),
            channel: channel.clone(),
            subject: self.subject.clone(),
            episode: self.episode,
            story: self.story.clone(),
            transitions: BTreeSet::new(),
            created_at: self.now,
            not_before,
            bundle: bundle.clone(),
            only_after_start: self.only_after_start,
            delivery: Delivery::default(),
        };
        channels.into_iter().map(notice).collect()
    }

    /// From when on it may be told, and with what together.
    fn when(&self, scope: NoticeScope) -> (Timestamp, Option<String>) {
        let timing = &self.route.timing;
        // The partner's hours are not those of the customer that happened to show him an incident first.
        let zone = match scope {
            NoticeScope::Customer { .. } => zone_of(self.customer),
            NoticeScope::Partner => Zone::UTC,
        };
        let is_over = matches!(self.story.phase, Phase::Ended | Phase::Retracted);
        let snoozed = self.note.and_then(|note| note.snoozed_at(self.now)).filter(|_| !is_over);
        let seconds = group_seconds(self.route, &self.subject);
        let mut at = match timing.storm_above {
            Some(_) => storm::window_end(self.now, seconds),
            None => self.now + TimeDelta::seconds(seconds.into()),
        };
        at = snoozed.map_or(at, |snooze| snooze.until.max(at));
        let opens = timing.business_hours.as_ref().and_then(|hours| Hours::of(hours, zone));
        let open = |at| opens.as_ref().map_or(at, |hours| hours.next_for(self.story.severity, at));
        let Some(digest) = &timing.digest else { return (open(at), None) };
        let told = hours::next_digest(digest, zone, at);
        let whom = match scope {
            // What is one customer's is never told to another, though the channel be the same.
            NoticeScope::Customer { tenant_id } => tenant_id.to_string(),
            NoticeScope::Partner => "partner".to_owned(),
        };
        (open(told), Some(format!("digest|{}|{whom}|{}", self.route.id, told.to_rfc3339())))
    }
}

/// How long a notice of a route waits for more of the same.
fn group_seconds(route: &Route, subject: &Subject) -> u32 {
    let over_all_customers = route.audience == Audience::Partner && matches!(subject, Subject::Event { .. });
    let storms = route.timing.storm_above.is_some();
    let usual = if over_all_customers || storms { USUAL_GROUP_SECONDS } else { 0 };
    route.timing.group_seconds.unwrap_or(usual)
}

/// What tells a change of an incident from others, whichever customer shows it first. None: it is nothing about the incident
/// but about this customer.
fn of_incident(matter: &Matter<'_>) -> Option<String> {
    use TransitionKind as Kind;
    let event = matter.event.as_ref()?;
    let content = &event.content;
    let time = |at: &Option<Timestamp>| at.map(|at| at.to_rfc3339()).unwrap_or_default();
    let occurrence = match &matter.transition.kind {
        Kind::EventOpened { .. } | Kind::EventReopened { .. } | Kind::MaintenanceAnnounced { .. } => {
            format!("began|{}", matter.episode)
        }
        Kind::EventUpdated { changes, .. } => {
            if changes.iter().all(|change| *change == EventChange::Subscriptions) {
                return None;
            }
            // A region more is news; that another customer is hit elsewhere is in the list of customers.
            let scope =
                if is_about_scope(changes) { serde_json::to_string(&content.impact) } else { Ok(String::new()) };
            let said = [
                content.status.as_str(),
                &content.title,
                severity(event.severity),
                &super::story::newest_text(content).map(TextHash::to_string).unwrap_or_default(),
                &time(&content.impact_start),
                &time(&content.impact_mitigation),
                &scope.unwrap_or_default(),
            ];
            format!("updated|{}|{}", matter.episode, TextHash::of(&said.join("\n")))
        }
        Kind::EventResolved { .. } | Kind::MaintenanceCompleted { .. } => format!("ended|{}", matter.episode),
        Kind::EventCancelled { .. } => format!("cancelled|{}", matter.episode),
        Kind::EventRetracted { .. } => format!("retracted|{}", matter.episode),
        Kind::MaintenanceRescheduled { starts_at, ends_at, .. } => {
            format!("rescheduled|{}|{}", time(starts_at), time(ends_at))
        }
        Kind::MaintenanceStarted { .. } => format!("started|{}|{}", matter.episode, time(&content.impact_start)),
        Kind::ActionRequired { until, .. } => format!("action|{}|{}", matter.episode, time(until)),
        Kind::ReviewPublished { stage, .. } => format!("review|{stage:?}"),
        Kind::DetailsWithheld { .. } => format!("withheld|{}", matter.episode),
        Kind::DetailsAvailable { .. } => format!("available|{}", matter.episode),
        _ => return Some(matter.transition.id.to_string()),
    };
    Some(format!("{}|{occurrence}", event.tracking_id.key()))
}

fn is_about_scope(changes: &BTreeSet<EventChange>) -> bool {
    use EventChange as Change;
    let other = |change: &EventChange| {
        matches!(
            change,
            Change::Title | Change::Severity | Change::Times | Change::Text | Change::Tags | Change::Subscriptions
        )
    };
    !changes.iter().all(other)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    }
}
