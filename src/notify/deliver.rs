//! `DeliverNotice`: tells what one message names. Done twice, late, out of order or by many at once, it tells the same: a notice
//! that has ended is not sent again, a lane is one sender's at a time, and a later state is never overtaken by an earlier one.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::{StreamExt as _, TryStreamExt as _};
use uuid::Uuid;

use super::channel::{Channel, Parcel, Receipt, Refusal};
use super::due::{self, NoticeMessage};
use super::ledger::{self, Ending};
use super::outbox::IN_FLIGHT;
use super::parcel::{affected, parcel};
use super::{destination, schedule};
use crate::app::App;
use crate::model::{
    Destination, IncidentNotes, Lane, Notice, NoticeEnd, NoticeId, NoticeScope, Phase, Routes, Subject,
};
use crate::store::{self, Key};

/// The longest that one attempt may take; channels have shorter ends of their own.
const SENDING: Duration = Duration::from_secs(60);

/// How long the end of an incident waits for the customers for whom it still goes on.
const ENDS_TOGETHER: TimeDelta = TimeDelta::hours(1);
const LOOKED_AT_EVERY: TimeDelta = TimeDelta::minutes(1);

/// So many senders of a lane were never heard of again: what they were sending ends processes.
const UNHEARD: u32 = 10;

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Notices told.
    pub told: usize,
    /// Notices that ended otherwise.
    pub ended: usize,
    /// Notices that wait on.
    pub left: usize,
}

/// Tells the notices of a message.
///
/// # Errors
/// The store's: the message is to be worked on again.
pub async fn deliver(app: &Arc<App>, message: &NoticeMessage) -> Result<Report, store::Error> {
    let mut report = Report::default();
    let loads: Vec<_> = message.notices.iter().map(|id| ledger::pending(app, *id)).collect();
    let loaded: Vec<_> = futures_util::stream::iter(loads).buffered(IN_FLIGHT).try_collect().await?;
    let mut notices: Vec<Notice> = loaded.into_iter().flatten().collect();
    let Some(name) = notices.first().map(|notice| notice.channel.clone()) else { return Ok(report) };
    // A message is of one channel; what is not of it comes with its own.
    notices.retain(|notice| notice.channel == name);
    notices.sort_by_key(|notice| (notice.created_at, notice.story.phase, notice.id));

    let routes = app.store.read::<Routes>(&Key::Routes).await?.map(|read| read.value).unwrap_or_default();
    let (gone, mut notices): (Vec<_>, Vec<_>) = notices.into_iter().partition(|notice| {
        let known = routes.routes.iter().any(|route| route.id == notice.route);
        !routes.channels.contains_key(&name) || !(known || notice.subject == Subject::Test)
    });
    report.ended += gone.len();
    end_all(app, gone, NoticeEnd::Withheld, "its route or channel is no longer configured").await?;
    let Some(config) = routes.channels.get(&name) else { return Ok(report) };
    if let Some(why) = &config.disabled {
        report.ended += notices.len();
        end_all(app, notices, NoticeEnd::Dead, &format!("the channel is disabled: {why}")).await?;
        return Ok(report);
    }
    let now = app.clock.now();
    let known = destination::known(app, &name).await?;
    if known.failing_for(schedule::PATIENCE, now) {
        let (overdue, rest): (Vec<_>, _) = notices.into_iter().partition(|one| schedule::is_overdue(one, now));
        notices = rest;
        report.ended += overdue.len();
        let last = known.last_error.as_deref().unwrap_or("no answer");
        let since = known.failing_since.unwrap_or(now).to_rfc3339();
        end_all(app, overdue, NoticeEnd::Dead, &format!("nothing was taken since {since}: {last}")).await?;
    }
    if notices.is_empty() {
        return Ok(report);
    }
    if known.rests(now) {
        report.left += notices.len();
        return Ok(report);
    }
    if notices.iter().any(|notice| notice.lane() != notices[0].lane()) {
        notices = bundled(app, notices).await?;
    }
    let lane_id = notices[0].lane();
    let Some(lane) = ledger::claim(app, lane_id).await? else {
        report.left += notices.len();
        return Ok(report);
    };
    let lease = lane.leased_until;
    let mut sender = Sender { app, name: &name, known, lane, members: Vec::new(), report };
    let outcome = match app.desk.open(&name, config) {
        Ok(channel) => sender.send_lane(channel, notices, message.whole).await,
        Err(why) => sender.unusable(notices, why).await,
    };
    // Given back whatever happened, so that a passing trouble of the store does not hold the lane.
    let released = ledger::release(app, lane_id, lease, &sender.members).await;
    outcome?;
    released?;
    Ok(sender.report)
}

async fn end_all(app: &App, notices: Vec<Notice>, end: NoticeEnd, why: &str) -> Result<(), store::Error> {
    let endings = notices.into_iter().map(|notice| Ending { notice, end: end.clone(), detail: why.to_owned() });
    ledger::end(app, endings.collect()).await
}

/// Notices of several lanes in one message are a storm, told as one. That they belong together is written down, so that tries
/// again hold the same.
async fn bundled(app: &App, notices: Vec<Notice>) -> Result<Vec<Notice>, store::Error> {
    let ids: Vec<_> = notices.iter().map(|notice| notice.id.to_string()).collect();
    let bundle = format!("storm|{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, ids.join("|").as_bytes()));
    let bundled: Vec<_> = notices
        .into_iter()
        .map(|notice| {
            let bundle = notice.bundle.clone().unwrap_or_else(|| bundle.clone());
            Notice { bundle: Some(bundle), ..notice }
        })
        .collect();
    // What is one customer's never gets into a message with another's, whatever the queue says.
    let (first, scope) = (bundled[0].lane(), bundled[0].scope);
    let bundled: Vec<_> =
        bundled.into_iter().filter(|notice| notice.lane() == first && notice.scope == scope).collect();
    let writes: Vec<_> = bundled.iter().map(|notice| ledger::postpone(app, notice)).collect();
    let () = futures_util::stream::iter(writes).buffer_unordered(IN_FLIGHT).try_collect().await?;
    Ok(bundled)
}

/// One sender with the lease of one lane.
struct Sender<'a> {
    app: &'a Arc<App>,
    name: &'a str,
    known: Destination,
    lane: Lane,
    /// What is sent together again, if it is not taken now.
    members: Vec<NoticeId>,
    report: Report,
}

impl Sender<'_> {
    async fn send_lane(
        &mut self,
        channel: Arc<dyn Channel>,
        notices: Vec<Notice>,
        whole: bool,
    ) -> Result<(), store::Error> {
        self.members = self.lane.members.clone();
        if self.lane.unheard > UNHEARD {
            let why = "whoever sent it was never heard of again, time after time";
            self.report.ended += notices.len();
            return end_all(self.app, notices, NoticeEnd::Dead, why).await;
        }
        let is_bundle = notices[0].bundle.is_some();
        let to_tell = self.worth_telling(notices, whole).await?;
        if to_tell.is_empty() {
            return Ok(());
        }
        if is_bundle {
            return self.send_bundle(channel, to_tell).await;
        }
        let newest = to_tell.iter().filter(|notice| notice.is_state()).map(|notice| notice.created_at).max();
        let is_older = |notice: &Notice| notice.is_state() && newest.is_some_and(|at| notice.created_at < at);
        let (mut older, news): (Vec<_>, Vec<_>) = to_tell.into_iter().partition(is_older);
        for notice in news {
            let (id, is_state) = (notice.id, notice.is_state());
            if !self.send(&channel, vec![notice], &[id]).await? {
                self.report.left += older.len();
                return Ok(());
            }
            if is_state && !older.is_empty() {
                let older = std::mem::take(&mut older);
                self.report.ended += older.len();
                end_all(self.app, older, NoticeEnd::Superseded { by: id }, "a later state was told instead").await?;
            }
        }
        Ok(())
    }

    /// Sends notices of several matters as one message: of each matter the newest state.
    async fn send_bundle(&mut self, channel: Arc<dyn Channel>, notices: Vec<Notice>) -> Result<(), store::Error> {
        let newest = due::newest(notices.iter());
        let taken_over = |notice: &Notice| {
            notice.is_state() && newest.get(&notice.thread_lane()).is_some_and(|(at, _)| *at > notice.created_at)
        };
        // What was sent together before is sent together again; once it has ended, what came late is a message of its own.
        let again = notices.iter().any(|notice| self.members.contains(&notice.id));
        let (now, rest): (Vec<_>, Vec<_>) = notices.into_iter().partition(|notice| match again {
            true => self.members.contains(&notice.id),
            false => !taken_over(notice),
        });
        // Who of them has ended since is not told, but the message keeps its id: it may have been heard.
        if !again {
            self.members = now.iter().map(|notice| notice.id).collect();
        }
        if now.len() > 1 || !rest.is_empty() {
            let (lease, members) = (self.lane.leased_until, self.members.clone());
            let id = now[0].lane();
            let together = |lane: Option<&Lane>| {
                let lane = lane.filter(|lane| lane.leased_until == lease && lane.members != members)?;
                Some(Lane { members: members.clone(), ..lane.clone() })
            };
            self.app.store.settle(&Key::Lane(id), together).await?;
        }
        let told = due::newest(now.iter());
        let members = self.members.clone();
        let sent = self.send(&channel, now, &members).await?;
        if sent {
            self.members.clear();
        }
        let mut superseded = Vec::new();
        for notice in rest {
            match told.get(&notice.thread_lane()) {
                Some((at, by)) if sent && notice.is_state() && notice.created_at < *at => {
                    let (end, detail) =
                        (NoticeEnd::Superseded { by: *by }, "a later state was told instead".to_owned());
                    superseded.push(Ending { notice, end, detail });
                }
                _ => self.report.left += 1,
            }
        }
        self.report.ended += superseded.len();
        ledger::end(self.app, superseded).await
    }

    /// What of the notices is still to be told now. The others end here, or wait on.
    async fn worth_telling(&mut self, notices: Vec<Notice>, whole: bool) -> Result<Vec<Notice>, store::Error> {
        let app = self.app;
        let (mut worth, mut held): (Vec<Notice>, Vec<Notice>) = (Vec::new(), Vec::new());
        for notice in notices {
            if let NoticeScope::Customer { tenant_id } = notice.scope
                && app.store.read_bytes(&Key::Customer(tenant_id)).await?.is_none()
            {
                ledger::erase(app, &notice).await?;
                continue;
            }
            let lane = self.lane_of(&notice).await?;
            let replayed = notice.delivery.replays > 0;
            if let (true, false, Some(up_to), Some(by)) = (notice.is_state(), replayed, lane.told_up_to, lane.newest)
                && up_to > notice.created_at
            {
                self.report.ended += 1;
                let end = NoticeEnd::Superseded { by };
                end_all(app, vec![notice], end, "a later state was told before").await?;
                continue;
            }
            let start_waits = worth.iter().chain(&held).any(|earlier| {
                earlier.thread_lane() == notice.thread_lane() && earlier.episode == notice.episode && earlier.is_state()
            });
            if notice.only_after_start && !replayed && lane.begun < notice.episode && !start_waits {
                if whole {
                    self.report.ended += 1;
                    end_all(app, vec![notice], NoticeEnd::Withheld, "nobody was told of the start").await?;
                } else {
                    self.report.left += 1;
                }
                continue;
            }
            if let Some(until) = self.waits(&notice).await? {
                let mut later = notice;
                later.delivery.next_attempt_at = Some(until);
                held.push(later);
                continue;
            }
            worth.push(notice);
        }
        // What a snooze holds back is not told after the end that is told meanwhile: the end takes its place.
        let newest = due::newest(worth.iter());
        for notice in held {
            if notice.is_state() && newest.get(&notice.thread_lane()).is_some_and(|(at, _)| *at > notice.created_at) {
                worth.push(notice);
            } else {
                ledger::postpone(app, &notice).await?;
                self.report.left += 1;
            }
        }
        worth.sort_by_key(|notice| (notice.created_at, notice.story.phase, notice.id));
        Ok(worth)
    }

    async fn lane_of(&self, notice: &Notice) -> Result<Lane, store::Error> {
        if notice.bundle.is_none() {
            return Ok(self.lane.clone());
        }
        let read = self.app.store.read::<Lane>(&Key::Lane(notice.thread_lane())).await?;
        Ok(read.map_or_else(|| Lane::new(notice.created_at), |lane| lane.value))
    }

    /// Until when a notice waits on: for its time, for the end of a snooze, or for an incident to end for everybody.
    async fn waits(&self, notice: &Notice) -> Result<Option<crate::model::Timestamp>, store::Error> {
        let now = self.app.clock.now();
        if notice.not_before > now {
            return Ok(Some(notice.not_before));
        }
        let Subject::Event { tracking_id } = &notice.subject else { return Ok(None) };
        let is_over = matches!(notice.story.phase, Phase::Ended | Phase::Retracted);
        if !is_over {
            let notes = self.app.store.read::<IncidentNotes>(&Key::Incident(tracking_id.clone())).await?;
            return Ok(notes.and_then(|notes| notes.value.snoozed_at(now).map(|snooze| snooze.until)));
        }
        let of_all = notice.scope == NoticeScope::Partner && notice.story.customer.is_none();
        if notice.story.phase != Phase::Ended || !of_all || now - notice.created_at >= ENDS_TOGETHER {
            return Ok(None);
        }
        let goes_on = affected(self.app, tracking_id, &notice.route).await?.iter().any(|customer| customer.active);
        Ok(goes_on.then_some(now + LOOKED_AT_EVERY))
    }

    /// Sends one message until it is taken, refused for good, or to be sent later. True: it was taken, or is dead; false: the
    /// lane waits. `members` are what the message held at first: they make its id.
    async fn send(
        &mut self,
        channel: &Arc<dyn Channel>,
        mut notices: Vec<Notice>,
        members: &[NoticeId],
    ) -> Result<bool, store::Error> {
        let app = self.app;
        loop {
            if self.known.failing_since.is_some() && !destination::may_probe(app, self.name, chance(app)).await? {
                self.report.left += notices.len();
                return Ok(false);
            }
            let turn = app.desk.turn(channel.as_ref(), app.clock.as_ref()).await;
            let Some(turn) = turn else {
                self.report.left += notices.len();
                return Ok(false);
            };
            if !destination::within_minute(app, self.name, channel.pace().per_minute).await? {
                self.report.left += notices.len();
                return Ok(false);
            }
            let now = app.clock.now();
            for notice in &mut notices {
                // What failed before its destination came back begins anew.
                if notice.delivery.last_attempt_at < self.known.recovered_at && self.known.recovered_at.is_some() {
                    notice.delivery.attempts = 0;
                    notice.delivery.first_attempt_at = None;
                }
                notice.delivery.attempts += 1;
                notice.delivery.first_attempt_at.get_or_insert(now);
                notice.delivery.last_attempt_at = Some(now);
            }
            let parcel = parcel(app, &notices, members).await?;
            let answer = match tokio::time::timeout(SENDING, channel.send(&parcel)).await {
                Ok(answer) => answer,
                Err(_) => Err(Refusal::Later { why: "no answer in time".to_owned(), retry_after: None }),
            };
            drop(turn);
            match answer {
                Ok(receipt) => {
                    self.taken(parcel, notices, receipt).await?;
                    return Ok(true);
                }
                Err(Refusal::Later { why, retry_after }) => {
                    if !self.later(&mut notices, why, retry_after).await? {
                        return Ok(false);
                    }
                }
                Err(Refusal::Never { why }) => {
                    // It answered: nothing is wrong with the destination.
                    destination::taken(app, &self.known).await?;
                    self.report.ended += notices.len();
                    end_all(app, notices, NoticeEnd::Dead, &why).await?;
                    return Ok(true);
                }
                Err(Refusal::Gone { why }) => {
                    destination::gone(app, self.name, &why).await?;
                    self.report.ended += notices.len();
                    end_all(app, notices, NoticeEnd::Dead, &why).await?;
                    return Ok(false);
                }
            }
        }
    }

    async fn taken(&mut self, parcel: Parcel, notices: Vec<Notice>, receipt: Receipt) -> Result<(), store::Error> {
        let app = self.app;
        let customers = match parcel.notices.iter().map(|notice| notice.story.affected.len()).max() {
            Some(1) => "; 1 customer named".to_owned(),
            Some(count @ 2..) => format!("; {count} customers named"),
            _ => String::new(),
        };
        let detail = format!("{}{customers}", receipt.detail);
        let end = match &notices[..] {
            [one] if one.id == parcel.id => NoticeEnd::Delivered,
            _ => NoticeEnd::Bundled { under: parcel.id },
        };
        self.report.told += notices.len();
        end_all(app, notices.clone(), end, &detail).await?;
        destination::taken(app, &self.known).await?;
        self.known = Destination::new(self.name);
        // Whoever erased a customer meanwhile may not have seen what was just written.
        for notice in &notices {
            if let NoticeScope::Customer { tenant_id } = notice.scope
                && app.store.read_bytes(&Key::Customer(tenant_id)).await?.is_none()
            {
                ledger::erase(app, notice).await?;
            }
        }
        Ok(())
    }

    /// Writes down that a message was not taken. True: it is tried again now, for a first trouble is mostly a passing one.
    async fn later(
        &mut self,
        notices: &mut Vec<Notice>,
        why: String,
        retry_after: Option<Duration>,
    ) -> Result<bool, store::Error> {
        let (app, now) = (self.app, self.app.clock.now());
        let attempts = notices.iter().map(|notice| notice.delivery.attempts).max().unwrap_or_default();
        let (mut given_up, mut waiting) = (Vec::new(), Vec::new());
        for mut notice in notices.drain(..) {
            notice.delivery.last_error = Some(why.clone());
            notice.delivery.next_attempt_at = schedule::after_failure(&notice.delivery, retry_after, now, chance(app));
            match notice.delivery.next_attempt_at {
                None => given_up.push(notice),
                Some(_) => waiting.push(notice),
            }
        }
        tracing::warn!(
            notice.channel = self.name,
            notice.id = waiting.first().or(given_up.first()).map(|notice| notice.id.to_string()),
            notice.attempts = attempts,
            why,
            "a notice was not taken"
        );
        let asked = retry_after.and_then(|wait| TimeDelta::from_std(wait).ok());
        let writes: Vec<_> = waiting.iter().map(|notice| ledger::postpone(app, notice)).collect();
        let () = futures_util::stream::iter(writes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        self.report.ended += given_up.len();
        end_all(app, given_up, NoticeEnd::Dead, &format!("given up after {attempts} tries: {why}")).await?;
        let rests = destination::refused(app, &self.known, attempts, &why, asked, chance(app)).await?;
        let next = waiting.iter().filter_map(|notice| notice.delivery.next_attempt_at).max();
        match next.filter(|at| !rests && *at - now <= schedule::AT_ONCE) {
            Some(at) => {
                app.clock.sleep((at - now).to_std().unwrap_or_default()).await;
                *notices = waiting;
                Ok(true)
            }
            None => {
                self.report.left += waiting.len();
                Ok(false)
            }
        }
    }

    /// The channel cannot be opened: what it needs may be set later.
    async fn unusable(&mut self, mut notices: Vec<Notice>, why: String) -> Result<(), store::Error> {
        self.members = self.lane.members.clone();
        let now = self.app.clock.now();
        for notice in &mut notices {
            notice.delivery.attempts += 1;
            notice.delivery.first_attempt_at.get_or_insert(now);
            notice.delivery.last_attempt_at = Some(now);
        }
        // Nothing mends itself within seconds here.
        let wait = Some(Duration::from_secs(60));
        self.later(&mut notices, format!("the channel cannot be used: {why}"), wait).await.map(drop)
    }
}

/// A number from 0 to 1.
fn chance(app: &App) -> f64 {
    let mut bytes = [0; 4];
    app.random.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}
