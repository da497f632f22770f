//! What happened to one event: the steps from where it stood, as far as it was told, to where it stands. Pure.
//!
//! Each step is told once: its id follows from the episode, and for what happens more than once in an episode from the
//! revision and the content too. Replaying the steps gives the standing.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use crate::model::{
    ActionAsked, EventChange, EventContent, EventDelta, EventStage, EventStanding, EventType, MergedEvent,
    SubscriptionId, TextHash, Timestamp, TransitionKind,
};

/// Times that differ by less are the same time: Azure's stamps differ by seconds from subscription to subscription, and what
/// people are told is told in minutes.
const SAME_TIME: TimeDelta = TimeDelta::minutes(1);

/// What is known of one event before and after a reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    /// The merged view before. None: it was not known.
    pub was: Option<&'a MergedEvent>,
    /// Where it stood, as far as it was told.
    pub standing: Option<&'a EventStanding>,
    /// How often it was opened.
    pub episode: u32,
    /// The merged view now.
    pub is: &'a MergedEvent,
    /// True when a subscription that sees it was read now: only then a plan that nobody changed counts as carried out.
    pub fresh: bool,
    /// Subscriptions that were never read before: that they see it is no news.
    pub first_sight: &'a BTreeSet<SubscriptionId>,
    /// Texts of it were still to be read.
    pub waited_for_texts: bool,
    /// When the view before was made, and now.
    pub then: Timestamp,
    pub now: Timestamp,
}

/// What follows: where it stands now, and what is told, each with the text that tells this occurrence from others.
pub(super) struct Steps {
    pub standing: EventStanding,
    pub episode: u32,
    pub told: Vec<(TransitionKind, String)>,
}

/// The steps. Nothing is told when nothing happened.
pub(super) fn steps(sight: Sight<'_>) -> Steps {
    let assumed = sight.was.map(|was| EventStanding::assumed(was, sight.then));
    let before = sight.standing.cloned().or(assumed);
    let mut tale = Tale { sight, episode: sight.episode.max(1), before: before.clone(), told: Vec::new() };
    let mut standing = before.clone().unwrap_or_default();
    standing.stage = match &before {
        None => tale.first_seen(),
        Some(before) => tale.course(before.stage),
    };
    tale.details(&mut standing);
    // What happens once in an episode has its number; all else is counted.
    let once = tale.episode.to_string();
    if tale.told.iter().any(|(_, occurrence)| *occurrence != once) {
        standing.revision = standing.revision.saturating_add(1);
    }
    Steps { standing, episode: tale.episode, told: tale.told }
}

/// The tale of one event while it is put together.
struct Tale<'a> {
    sight: Sight<'a>,
    episode: u32,
    before: Option<EventStanding>,
    told: Vec<(TransitionKind, String)>,
}

impl Tale<'_> {
    fn content(&self) -> &EventContent {
        &self.sight.is.content
    }

    /// What tells a change that may happen again in the same episode from other occurrences of it.
    fn occurrence(&self, more: &str) -> String {
        let revision = self.before.as_ref().map_or(0, |before| before.revision);
        format!("{}.{revision}|{more}", self.episode)
    }

    fn begun(&self, content: &EventContent) -> bool {
        // By the plan alone it has begun only while Azure still lists the plan and we can hear of changes to it.
        content.says_started() || (self.sight.fresh && !self.sight.is.no_longer_listed && content.begun(self.sight.now))
    }

    /// The first time that it is seen: it begins, and if it began and ended between two polls, both are told.
    fn first_seen(&mut self) -> EventStage {
        let stage = EventStage::of(self.content(), None, |content| self.begun(content));
        // A root cause analysis begins nothing: its review is all there is to tell.
        let begins = self.content().event_type != EventType::Rca;
        if begins {
            self.begin(self.episode.to_string());
        }
        match stage {
            EventStage::InProgress => self.started(),
            stage if stage.is_end() && (begins || stage > EventStage::Over) => self.end(stage),
            _ => {}
        }
        stage
    }

    /// From how far it was to how far it is.
    fn course(&mut self, was: EventStage) -> EventStage {
        if was.is_end() && self.content().is_active() {
            self.episode = self.episode.saturating_add(1);
            return self.back();
        }
        let moved = self.moved();
        // Maintenance that was put off into the future has not begun any more.
        let put_off = moved && self.content().impact_start.is_some_and(|start| start > self.sight.now);
        let was = if put_off && was == EventStage::InProgress { EventStage::Planned } else { was };
        let stage = EventStage::of(self.content(), Some(was), |content| self.begun(content));
        match (was, stage) {
            (EventStage::Planned, EventStage::InProgress) => self.started(),
            (EventStage::Planned | EventStage::InProgress, EventStage::Open)
            | (EventStage::Open, EventStage::Planned) => self.begin(self.occurrence("another type")),
            (EventStage::Open, EventStage::InProgress) => {
                self.begin(self.occurrence("another type"));
                self.started();
            }
            (was, stage) if was != stage && stage.is_end() => self.end(stage),
            _ => self.update(),
        }
        stage
    }

    fn begin(&mut self, occurrence: String) {
        let is = self.sight.is;
        let (tracking_id, title, severity) = (is.tracking_id.clone(), is.content.title.clone(), is.severity);
        let kind = match is.content.is_maintenance() {
            true => TransitionKind::MaintenanceAnnounced {
                tracking_id,
                title,
                severity,
                starts_at: is.content.impact_start,
                ends_at: is.content.ends_at(),
            },
            false => TransitionKind::EventOpened { tracking_id, title, severity },
        };
        self.told.push((kind, occurrence));
    }

    /// It goes on after it was over. Maintenance is announced anew.
    fn back(&mut self) -> EventStage {
        let stage = EventStage::of(self.content(), None, |content| self.begun(content));
        if self.content().is_maintenance() {
            self.begin(self.episode.to_string());
            if stage == EventStage::InProgress {
                self.started();
            }
            return stage;
        }
        let is = self.sight.is;
        let (tracking_id, title, severity) = (is.tracking_id.clone(), is.content.title.clone(), is.severity);
        let kind = TransitionKind::EventReopened { tracking_id, title, severity };
        self.told.push((kind, self.episode.to_string()));
        stage
    }

    fn end(&mut self, stage: EventStage) {
        let is = self.sight.is;
        let (tracking_id, title) = (is.tracking_id.clone(), is.content.title.clone());
        let kind = match stage {
            EventStage::Retracted => TransitionKind::EventRetracted { tracking_id, title },
            EventStage::Cancelled => TransitionKind::EventCancelled { tracking_id, title },
            _ if is.content.is_maintenance() => TransitionKind::MaintenanceCompleted { tracking_id, title },
            _ => TransitionKind::EventResolved { tracking_id, title },
        };
        self.told.push((kind, self.episode.to_string()));
    }

    fn started(&mut self) {
        let is = self.sight.is;
        let kind = TransitionKind::MaintenanceStarted {
            tracking_id: is.tracking_id.clone(),
            title: is.content.title.clone(),
            severity: is.severity,
            ends_at: is.content.ends_at(),
        };
        let start = is.content.impact_start.map(|at| at.to_rfc3339()).unwrap_or_default();
        self.told.push((kind, self.occurrence(&start)));
    }

    /// Tells that maintenance was moved. False: it was not.
    fn moved(&mut self) -> bool {
        let (Some(was), is) = (self.sight.was, self.sight.is) else { return false };
        let (old, new) = (&was.content, &is.content);
        if !(old.is_maintenance() && new.is_maintenance() && new.is_active()) || same_times(old, new) {
            return false;
        }
        let kind = TransitionKind::MaintenanceRescheduled {
            tracking_id: is.tracking_id.clone(),
            title: new.title.clone(),
            severity: is.severity,
            was_to_start_at: old.impact_start,
            was_to_end_at: old.ends_at(),
            starts_at: new.impact_start,
            ends_at: new.ends_at(),
        };
        let times = format!("{:?}|{:?}", new.impact_start, new.ends_at());
        self.told.push((kind, self.occurrence(&times)));
        true
    }

    /// Tells what changed while it went on, or stayed over, but for what is told on its own.
    fn update(&mut self) {
        let (Some(was), is) = (self.sight.was, self.sight.is) else { return };
        let (mut changes, delta) = material(was, is, self.sight.first_sight);
        if self.told.iter().any(|(kind, _)| matches!(kind, TransitionKind::MaintenanceRescheduled { .. })) {
            // A new plan comes with a new text.
            changes.retain(|change| !matches!(change, EventChange::Title | EventChange::Text));
        }
        if self.review_is_new() {
            changes.retain(|change| !matches!(change, EventChange::Title | EventChange::Text));
        }
        if was.content.text_withheld != is.content.text_withheld {
            changes.remove(&EventChange::Text);
        }
        if is.content.is_maintenance() || self.action_is_new() {
            changes.remove(&EventChange::Times);
        }
        let only_texts = changes.iter().all(|change| *change == EventChange::Text);
        let late_texts = self.sight.waited_for_texts && same_time(was.last_update, is.last_update);
        if changes.is_empty() || (only_texts && late_texts) {
            return;
        }
        let kind = TransitionKind::EventUpdated {
            tracking_id: is.tracking_id.clone(),
            title: is.content.title.clone(),
            severity: is.severity,
            changes,
            delta,
        };
        self.told.push((kind, self.occurrence(&print(is).to_string())));
    }

    fn review_is_new(&self) -> bool {
        self.content().review() > self.before.as_ref().and_then(|before| before.review)
    }

    fn action_is_new(&self) -> bool {
        let asked = self.before.as_ref().and_then(|before| before.action);
        // Nobody can keep a deadline that has passed.
        let wanted = self.content().action().filter(|until| until.is_none_or(|until| until > self.sight.now));
        wanted.is_some_and(|until| asked.is_none_or(|asked| !same_time(asked.until, until)))
    }

    /// What is told beside the course of the event: a review, texts withheld or available, something to do.
    fn details(&mut self, standing: &mut EventStanding) {
        let is = self.sight.is;
        let of_event = || (is.tracking_id.clone(), is.content.title.clone(), is.severity);
        if let (true, Some(stage)) = (self.review_is_new(), is.content.review()) {
            standing.review = Some(stage);
            let (tracking_id, title, _) = of_event();
            let kind = TransitionKind::ReviewPublished { tracking_id, title, stage };
            self.told.push((kind, self.episode.to_string()));
        }
        if standing.withheld != is.content.text_withheld {
            standing.withheld = is.content.text_withheld;
            let (tracking_id, title, severity) = of_event();
            let kind = match standing.withheld {
                true => TransitionKind::DetailsWithheld { tracking_id, title, severity },
                false => TransitionKind::DetailsAvailable { tracking_id, title, severity },
            };
            self.told.push((kind, self.occurrence("")));
        }
        if standing.stage.is_end() {
            standing.action = None;
        } else if self.action_is_new() {
            let until = is.content.action().flatten();
            standing.action = Some(ActionAsked { until });
            let (tracking_id, title, severity) = of_event();
            let kind = TransitionKind::ActionRequired { tracking_id, title, severity, until };
            self.told.push((kind, self.occurrence(&format!("{until:?}"))));
        }
    }
}

fn same_time(a: Option<Timestamp>, b: Option<Timestamp>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < SAME_TIME,
        (a, b) => a == b,
    }
}

fn same_times(old: &EventContent, new: &EventContent) -> bool {
    same_time(old.impact_start, new.impact_start) && same_time(old.ends_at(), new.ends_at())
}

/// What differs in a way that matters to people.
fn material(
    was: &MergedEvent,
    is: &MergedEvent,
    first_sight: &BTreeSet<SubscriptionId>,
) -> (BTreeSet<EventChange>, EventDelta) {
    let (old, new) = (&was.content, &is.content);
    let mut delta = scope(old, new);
    let joined = is.subscriptions.difference(&was.subscriptions);
    delta.subscriptions_added = joined.filter(|id| !first_sight.contains(id)).copied().collect();
    delta.was_severity = (was.severity != is.severity).then_some(was.severity);
    let tags = |content: &EventContent| content.other_tags().map(str::to_owned).collect::<BTreeSet<_>>();
    let changes = [
        (EventChange::Title, old.title != new.title),
        (EventChange::Severity, was.severity != is.severity),
        (EventChange::ServicesAdded, !delta.services_added.is_empty()),
        (EventChange::ServicesRemoved, !delta.services_removed.is_empty()),
        (EventChange::RegionsAdded, !delta.regions_added.is_empty()),
        (EventChange::RegionsRemoved, !delta.regions_removed.is_empty()),
        (EventChange::RegionStatus, !(delta.regions_over.is_empty() && delta.regions_back.is_empty())),
        (EventChange::Subscriptions, !delta.subscriptions_added.is_empty()),
        (EventChange::Times, !same_times(old, new)),
        (EventChange::Text, published(old) != published(new)),
        (EventChange::Tags, tags(old) != tags(new)),
    ];
    let changes = changes.into_iter().filter_map(|(change, differs)| differs.then_some(change)).collect();
    (changes, delta)
}

/// Which services and regions came, went, or changed their status. A service is known by its GUID: Azure renames services.
fn scope(old: &EventContent, new: &EventContent) -> EventDelta {
    let key = |service: &crate::model::ServiceImpact| {
        service.service_guid.as_ref().unwrap_or(&service.service).to_ascii_lowercase()
    };
    let mut delta = EventDelta::default();
    for service in &new.impact {
        let Some(known) = old.impact.iter().find(|known| key(known) == key(service)) else {
            delta.services_added.insert(service.service.clone());
            continue;
        };
        for region in &service.regions {
            let named = |one: &&crate::model::RegionImpact| one.region.eq_ignore_ascii_case(&region.region);
            let was = known.regions.iter().find(named);
            let over = |one: &crate::model::RegionImpact| one.status == Some(crate::model::EventStatus::Resolved);
            match was {
                None => delta.regions_added.insert(region.region.clone()),
                Some(was) if !over(was) && over(region) => delta.regions_over.insert(region.region.clone()),
                Some(was) if over(was) && region.status.is_some() && !over(region) => {
                    delta.regions_back.insert(region.region.clone())
                }
                Some(_) => false,
            };
        }
        let gone = known
            .regions
            .iter()
            .filter(|known| !service.regions.iter().any(|region| region.region.eq_ignore_ascii_case(&known.region)));
        delta.regions_removed.extend(gone.map(|region| region.region.clone()));
    }
    let gone = old.impact.iter().filter(|known| !new.impact.iter().any(|service| key(service) == key(known)));
    delta.services_removed.extend(gone.map(|service| service.service.clone()));
    if !(old.is_active() && new.is_active()) {
        // What is over is over everywhere.
        (delta.regions_over, delta.regions_back) = Default::default();
    }
    delta
}

/// The texts that people read; the summary is only the description's first line.
fn published(content: &EventContent) -> (Option<&TextHash>, BTreeSet<&TextHash>) {
    (content.description.as_ref(), content.updates.iter().map(|update| &update.text).collect())
}

/// What people are told of an event, as one short text. Stamps are no part of it: they differ for the same publication.
fn print(event: &MergedEvent) -> TextHash {
    let content = &event.content;
    let told = (
        (&content.title, event.severity, content.impact_start, content.ends_at()),
        (&content.impact, published(content), content.other_tags().collect::<Vec<_>>()),
        &event.subscriptions,
    );
    // Plain values always serialise; an empty text would only cost a needless id.
    TextHash::of(&serde_json::to_string(&told).unwrap_or_default())
}
