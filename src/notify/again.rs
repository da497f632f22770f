//! Tells of an event again that goes on: a reminder, or that somebody looks after it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::matching;
use super::plan::Draft;
use super::story::{self, Matter};
use crate::model::{
    Audience, Customer, IncidentNotes, MergedEvent, Notice, Phase, Route, Routes, Snapshot, Subject, Timestamp,
    TrackingId, Transition, TransitionKind,
};

/// One customer's view of an event that goes on.
pub(super) struct Seen<'a> {
    pub customer: &'a Customer,
    pub event: MergedEvent,
    pub episode: u32,
}

/// Every event that goes on and that Azure still lists, as each customer sees it.
pub(super) fn active_events<'a>(all: &[(&'a Customer, &Snapshot)]) -> BTreeMap<TrackingId, Vec<Seen<'a>>> {
    let mut seen: BTreeMap<TrackingId, Vec<Seen<'a>>> = BTreeMap::new();
    for (customer, snapshot) in all {
        for id in snapshot.events.keys().chain(snapshot.tenant_events.keys()).collect::<BTreeSet<_>>() {
            let Some((event, episode)) = story::event_in(snapshot, id) else { continue };
            if event.content.is_active() && !event.no_longer_listed {
                seen.entry(id.clone()).or_default().push(Seen { customer, event, episode: episode.max(1) });
            }
        }
    }
    seen
}

/// An event as a route speaks of it: to one customer, or to the partner over all customers that the route takes.
pub(super) struct Again<'a> {
    routes: &'a Routes,
    route: &'a Route,
    /// Whose view speaks: the newest.
    speaker: &'a Seen<'a>,
    transition: Transition,
    /// The earliest sight of it.
    pub first_seen: Timestamp,
    /// How often it began, at most.
    pub episode: u32,
    note: Option<&'a IncidentNotes>,
    now: Timestamp,
}

/// What is told again.
pub(super) struct Telling {
    pub word: &'static str,
    pub phase: Phase,
    /// What tells this from what else is told of the event.
    pub occurrence: String,
    pub fact: (String, String),
    pub only_after_start: bool,
}

impl<'a> Again<'a> {
    /// The event as each of the route's audience hears of it. None of it depends on the order of customers.
    pub fn all(
        routes: &'a Routes,
        route: &'a Route,
        seen: &'a [Seen<'a>],
        note: Option<&'a IncidentNotes>,
        now: Timestamp,
    ) -> Vec<Self> {
        let taken: Vec<_> = seen
            .iter()
            .map(|one| (one, opened(one, now)))
            .filter(|(one, transition)| matching::concerns(route, &matter(one, transition)))
            .collect();
        let of = |views: Vec<(&'a Seen<'a>, Transition)>| {
            let first_seen = views.iter().filter_map(|(one, _)| one.event.first_seen).min().unwrap_or(now);
            let episode = views.iter().map(|(one, _)| one.episode).max().unwrap_or(1);
            let rank = |one: &Seen<'_>| (one.event.last_update, one.event.content.hash(), one.customer.tenant_id);
            let newest = views.into_iter().max_by_key(|(one, _)| rank(one));
            newest.map(|(speaker, transition)| Self {
                routes,
                route,
                speaker,
                transition,
                first_seen,
                episode,
                note,
                now,
            })
        };
        match route.audience {
            Audience::Customer => taken.into_iter().filter_map(|one| of(vec![one])).collect(),
            Audience::Partner => of(taken).into_iter().collect(),
        }
    }

    /// The event.
    pub fn event(&self) -> &MergedEvent {
        &self.speaker.event
    }

    /// One notice for each channel of the route.
    pub fn tell(&self, telling: Telling) -> Vec<Notice> {
        let Telling { word, phase, occurrence, fact, only_after_start } = telling;
        let over_all_customers = self.route.audience == Audience::Partner;
        let mut story = matter(self.speaker, &self.transition).story(over_all_customers);
        story.word = word.to_owned();
        story.phase = phase;
        story.facts.push(fact);
        let id = &self.speaker.event.tracking_id;
        let draft = Draft {
            route: self.route,
            customer: (!over_all_customers).then_some(self.speaker.customer),
            subject: Subject::Event { tracking_id: id.clone() },
            episode: self.episode,
            story,
            occurrence: format!("{word}|{}|{occurrence}", id.key()),
            only_after_start,
            note: self.note,
            now: self.now,
        };
        draft.notices(self.routes)
    }
}

/// As if the event were seen for the first time: what a route says about beginnings holds.
fn opened(one: &Seen<'_>, now: Timestamp) -> Transition {
    let kind = TransitionKind::EventOpened {
        tracking_id: one.event.tracking_id.clone(),
        title: one.event.content.title.clone(),
        severity: one.event.severity,
    };
    Transition::new(one.customer.tenant_id, kind, "again", now, false)
}

fn matter<'m>(one: &'m Seen<'_>, transition: &'m Transition) -> Matter<'m> {
    Matter {
        transition,
        customer: Some(one.customer),
        event: Some(one.event.clone()),
        was: None,
        episode: one.episode,
        resource: None,
    }
}
