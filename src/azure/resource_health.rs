//! Reads the health of one customer: Resource Graph first, REST where it must complete the picture
//! ("Azure health data APIs", section 0).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::SecondsFormat;
use futures_util::StreamExt as _;
use serde_json::Value;

use super::convert::EventRow;
use super::impacted::Impacted;
use super::listing::Rows;
use super::pace::Meter;
use super::reading::{
    Ask, AskEvents, AskSubscription, EventsReading, ObservedEvent, Reading, ResourcesReading, SubscriptionReading,
    Trouble,
};
use super::seen::Seen;
use super::texts::Texts;
use super::wire::fast;
use super::{AccessToken, Client, Error, convert, resource_graph};
use crate::model::{
    GapReason, ResourceId, ResourceState, Spent, SubscriptionId, TenantId, TextHash, Timestamp, TrackingId,
};

/// REST calls in flight for one customer ("Azure health data APIs", section 4).
const IN_FLIGHT: usize = 8;
pub(super) const API_VERSION: &str = "2025-05-01";
/// Withheld texts asked for in one reading of one subscription; the next reading goes on.
const DETAILS: usize = 20;

type Events = BTreeMap<TrackingId, ObservedEvent>;
/// A listing, or why there is none.
type Listed<T> = Result<Rows<T>, Trouble>;

/// What Resource Graph gave for the whole customer.
struct Sweep {
    visible: BTreeSet<SubscriptionId>,
    events: BTreeMap<SubscriptionId, Events>,
    machines: BTreeMap<SubscriptionId, Vec<(ResourceId, ResourceState)>>,
}

/// Collects what rows bring along.
struct Gathered<'a> {
    texts: Texts<'a>,
    unreadable_rows: u32,
    /// Resource Manager did not take the token itself.
    token_refused: bool,
    /// The resources that events hit were asked for.
    impacted_asked: bool,
}

/// What REST gave for one subscription.
struct Answers<'a> {
    id: SubscriptionId,
    asked: &'a AskSubscription,
    index: Option<Events>,
    events: Option<Listed<EventRow>>,
    followed: Option<Result<Vec<Value>, Error>>,
    /// What was read of its resources, and its activity log; its events come later.
    reading: SubscriptionReading,
    /// Availability rows that could not be read.
    unreadable: u32,
    /// The texts of the activity log.
    texts: BTreeMap<TextHash, String>,
}

impl Client {
    /// Reads what is asked for. Never fails as a whole: what could not be read is told per subscription and source.
    /// `tenant` is the tenant whose token opens the subscriptions.
    pub async fn read_health(&self, tenant: TenantId, ask: &Ask) -> Reading {
        let started_at = self.clock.now();
        let meter = Arc::new(Meter::new(tenant, started_at, ask.spare));
        for (lane, until) in &ask.rests {
            self.pacer.rest(tenant, *lane, *until, started_at);
        }
        let reading = self.metered(Arc::clone(&meter)).read_all(tenant, ask, started_at).await;
        Reading { spent: Spent { put_off: ask.put_off, ..meter.spent() }, ..reading }
    }

    async fn read_all(&self, tenant: TenantId, ask: &Ask, started_at: Timestamp) -> Reading {
        let texts = Texts::new(&self.cleaned, &ask.known_texts);
        let mut gathered = Gathered { texts, unreadable_rows: 0, token_refused: false, impacted_asked: false };
        let (mut principal, mut tenant_events) = (None, None);
        let subscriptions = match self.app_token(tenant).await {
            Ok(token) => {
                principal = self.principal_of(&token, tenant).ok();
                if let Some(since) = ask.tenant_events {
                    let listed = self.list_tenant_events(&token, since, &gathered.texts).await;
                    let listed = listed.map_err(|error| Trouble::of(&error));
                    tenant_events = Some(combine(None, Some(listed), false, &mut gathered));
                }
                let read = self.read_with(&token, ask, &mut gathered).await;
                match gathered.token_refused {
                    false => read,
                    // A token may end before its time: one more, once.
                    true => {
                        self.forget_app_token(tenant).await;
                        match self.app_token(tenant).await {
                            Ok(token) => self.read_with(&token, ask, &mut gathered).await,
                            Err(_) => read,
                        }
                    }
                }
            }
            Err(error) => {
                let trouble = Trouble::of(&error);
                tenant_events = ask.tenant_events.map(|_| no_events(&trouble));
                ask.subscriptions.iter().map(|(id, wanted)| (*id, failed(wanted, &trouble))).collect()
            }
        };
        let Gathered { texts, unreadable_rows, impacted_asked, .. } = gathered;
        Reading {
            started_at,
            subscriptions,
            principal,
            tenant_events,
            texts: texts.into_new(),
            unreadable_rows,
            impacted_asked,
            ..Reading::default()
        }
    }

    async fn read_with(
        &self,
        token: &AccessToken,
        ask: &Ask,
        gathered: &mut Gathered<'_>,
    ) -> BTreeMap<SubscriptionId, SubscriptionReading> {
        let wanted: BTreeSet<_> =
            ask.subscriptions.iter().filter(|(_, wanted)| wanted.events.is_some()).map(|(id, _)| *id).collect();
        let mut sweep = if wanted.is_empty() { None } else { Some(self.sweep(token, &wanted, gathered).await) };
        gathered.token_refused = matches!(&sweep, Some(Err(error)) if error.token_is_refused());
        let mut order: Vec<_> = ask.subscriptions.iter().collect();
        // Whoever was not read for the longest time comes first, should the budget not reach for all.
        order.sort_by_key(|(id, asked)| (asked.events.as_ref().map(|events| events.since), **id));
        let now = self.clock.now();
        let texts = &gathered.texts;
        let calls = order.into_iter().map(|(id, asked)| {
            let id = *id;
            let index = match &mut sweep {
                Some(Ok(sweep)) if sweep.visible.contains(&id) => Some(sweep.events.remove(&id).unwrap_or_default()),
                _ => None,
            };
            let machines = match &mut sweep {
                Some(Ok(sweep)) if sweep.visible.contains(&id) => sweep.machines.remove(&id).unwrap_or_default(),
                _ => Vec::new(),
            };
            // What the plan did not foresee is paid from what is spare.
            let rest = match &asked.events {
                Some(events) if events.listing => Rest::Asked,
                Some(events) if needs_rest(events, index.as_ref()) => match (self.spend(1), &index) {
                    (true, _) => Rest::Asked,
                    // Only texts are missing: they are asked for again.
                    (false, Some(_)) => Rest::NotAsked,
                    (false, None) => Rest::PutOff,
                },
                _ => Rest::NotAsked,
            };
            async move {
                let events = match (&asked.events, rest) {
                    (Some(events), Rest::Asked) => {
                        // Where Resource Graph says nothing, each poll lists the same rows.
                        let repeated = index.is_none() && !events.known.is_empty();
                        let listed = self.list_events(token, id, events.since, repeated, texts).await;
                        Some(listed.map_err(|error| Trouble::of(&error)))
                    }
                    (_, Rest::PutOff) => Some(Err(Trouble::put_off())),
                    _ => None,
                };
                let follow = asked.events.as_ref().map(|events| &events.follow).filter(|follow| !follow.is_empty());
                let followed = match follow {
                    Some(follow) => Some(self.follow(token, id, follow).await),
                    None => None,
                };
                let mut unreadable = 0;
                let resources = match (asked.resources, asked.resources_put_off) {
                    (true, _) => Some(self.list_availability(token, id).await.map_err(|error| Trouble::of(&error))),
                    (false, true) => Some(Err(Trouble::put_off())),
                    (false, false) => None,
                };
                let resources = resources.map(|answer| availability(answer, &mut unreadable));
                let mut texts = BTreeMap::new();
                let activity = match asked.activity {
                    Some(since) => Some(self.read_activity(token, id, since, now, &mut texts).await),
                    None => None,
                };
                let mut reading = SubscriptionReading { resources, machines, activity, ..Default::default() };
                // Here, and not when all have answered: nearly every row is of a resource that works as it did before.
                reading.condense(&ask.known_resources);
                Answers { id, asked, index, events, followed, reading, unreadable, texts }
            }
        });
        // Collected first: a stream that holds the closure would not be `Send` for every lifetime.
        let calls: Vec<_> = calls.collect();
        // Texts and what Resource Graph does not show come first, should little be spare.
        let visible = sweep.as_ref().and_then(|sweep| sweep.as_ref().ok()).map(|sweep| &sweep.visible);
        let mut impacted = Impacted::new();
        if let (Some(pairs), false) = (&ask.impacted, gathered.token_refused) {
            let none = BTreeSet::new();
            let at = self.clock.now();
            impacted = self.read_impacted(token, visible.unwrap_or(&none), pairs, at).await;
            gathered.impacted_asked = true;
        }
        let answers: Vec<_> = futures_util::stream::iter(calls).buffer_unordered(IN_FLIGHT).collect().await;
        let mut readings = BTreeMap::new();
        for answers in answers {
            let Answers { id, asked, index, events: listed, followed, reading, unreadable, texts } = answers;
            gathered.unreadable_rows += unreadable;
            gathered.texts.extend(texts);
            let in_full = |listed: &Listed<EventRow>| listed.as_ref().is_ok_and(|all| all.broken_off.is_none());
            let wide = asked.events.as_ref().is_some_and(|events| events.wide && events.listing);
            let listed_wide = listed.as_ref().filter(|_| wide).map(in_full);
            let was_followed = followed.as_ref().map(Result::is_ok);
            let mut events = asked.events.as_ref().map(|_| combine(index, listed, listed_wide == Some(true), gathered));
            if let (Some(events), Some(Ok(rows))) = (&mut events, followed) {
                for row in rows {
                    match read_event(row.to_string().as_bytes(), false, &gathered.texts, &self.seen) {
                        Some(row) => insert(&mut events.rows, row.tracking_id, row.event),
                        None => gathered.unreadable_rows += 1,
                    }
                }
            }
            let mut details_refused = false;
            if let (Some(events), Some(asked)) = (&mut events, &asked.events) {
                details_refused = self.read_withheld(token, id, asked, events, gathered).await;
            }
            let reading =
                SubscriptionReading { events, details_refused, listed_wide, followed: was_followed, ..reading };
            readings.insert(id, reading);
        }
        for ((subscription, id), named) in impacted {
            if let Some(reading) = readings.get_mut(&subscription) {
                reading.impacted.insert(id, named);
            }
        }
        readings
    }

    /// One sweep of Resource Graph over a customer: who is visible, all events, all machines.
    async fn sweep(
        &self,
        token: &AccessToken,
        wanted: &BTreeSet<SubscriptionId>,
        gathered: &mut Gathered<'_>,
    ) -> Result<Sweep, Error> {
        let visible = self.visible_subscriptions(token, wanted).await.inspect_err(log_sweep)?;
        let mut sweep = Sweep { visible, events: BTreeMap::new(), machines: BTreeMap::new() };
        if sweep.visible.is_empty() {
            return Ok(sweep);
        }
        let texts = &gathered.texts;
        let read = |row: &[u8]| {
            let read = self.seen.row(true, row, texts, || read_event(row, true, texts, &self.seen))?;
            read.subscription.is_some().then_some(read)
        };
        let events = self.graph_rows(token, resource_graph::EVENTS, &sweep.visible, &read).await;
        let (events, unreadable) = events.inspect_err(log_sweep)?;
        gathered.unreadable_rows += unreadable;
        for row in events {
            if let Some(id) = row.subscription {
                insert(sweep.events.entry(id).or_default(), row.tracking_id, row.event);
            }
        }
        // Machines only sharpen what the availability listing says; without them the picture is older, not wrong.
        let read = |row: &[u8]| {
            let row = convert::availability_of(fast::availability(row)?)?;
            Some((row.0.subscription()?, row))
        };
        match self.graph_rows(token, resource_graph::MACHINES, &sweep.visible, &read).await {
            Ok((rows, unreadable)) => {
                gathered.unreadable_rows += unreadable;
                for (id, row) in rows {
                    sweep.machines.entry(id).or_default().push(row);
                }
            }
            Err(error) => log_sweep(&error),
        }
        Ok(sweep)
    }

    /// Everything published about one subscription since then. Always with `queryStartTime`: without it Azure gives the
    /// last three days only (1.3).
    async fn list_events(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
        since: Timestamp,
        repeated: bool,
        texts: &Texts<'_>,
    ) -> Result<Rows<EventRow>, Error> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events?api-version={API_VERSION}&queryStartTime={since}"
        );
        let read = |row: &[u8]| match repeated {
            true => self.seen.row(false, row, texts, || read_event(row, false, texts, &self.seen)),
            false => read_event(row, false, texts, &self.seen),
        };
        self.arm_rows(&path, token, &read).await
    }

    /// Everything published about the tenant itself since then.
    async fn list_tenant_events(
        &self,
        token: &AccessToken,
        since: Timestamp,
        texts: &Texts<'_>,
    ) -> Result<Rows<EventRow>, Error> {
        let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let path =
            format!("/providers/Microsoft.ResourceHealth/events?api-version={API_VERSION}&queryStartTime={since}");
        self.arm_rows(&path, token, &|row: &[u8]| read_event(row, false, texts, &self.seen)).await
    }

    /// Asks for the texts that Azure withholds from readers, once per version of an event (1.7). True when it refused them.
    async fn read_withheld(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
        asked: &AskEvents,
        events: &mut EventsReading,
        gathered: &mut Gathered<'_>,
    ) -> bool {
        let Some(withheld) = &asked.withheld else { return false };
        let lacks_text = |(id, event): &(&TrackingId, &ObservedEvent)| {
            let newer = asked.known.get(*id).is_none_or(|known| event.last_update > *known);
            event.content.text_withheld && (newer || withheld.contains(*id))
        };
        let wanted: Vec<_> = events.rows.iter().filter(lacks_text).map(|(id, _)| id.clone()).take(DETAILS).collect();
        for id in wanted {
            if !self.spend(1) {
                break;
            }
            let path = format!(
                "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events/{id}/fetchEventDetails?api-version={API_VERSION}"
            );
            let row = match self.arm(reqwest::Method::POST, &path, token, None).await {
                Ok(answer) => read_event(answer.body.to_string().as_bytes(), false, &gathered.texts, &self.seen),
                Err(error) => {
                    tracing::info!(subscription.id = %subscription, event.tracking_id = %id, %error, "a text stays withheld");
                    if error.refusal().is_some_and(|refusal| refusal.status == 403) {
                        return true;
                    }
                    continue;
                }
            };
            // An answer that still has no text is no better than the row that we have.
            if let Some(row) = row.filter(|row| row.tracking_id == id && !row.event.content.text_withheld) {
                events.rows.insert(id, row.event);
            }
        }
        false
    }

    /// Events one by one, each published since its time. Those that Azure has forgotten are left out.
    async fn follow(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
        wanted: &BTreeMap<TrackingId, Timestamp>,
    ) -> Result<Vec<Value>, Error> {
        let mut rows = Vec::new();
        for (id, since) in wanted {
            let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
            let path = format!(
                "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/events/{id}?api-version={API_VERSION}&queryStartTime={since}"
            );
            match self.arm(reqwest::Method::GET, &path, token, None).await {
                Ok(answer) => rows.push(answer.body),
                Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }
}

/// What is done about REST's listing of events.
#[derive(Clone, Copy)]
enum Rest {
    Asked,
    NotAsked,
    PutOff,
}

/// Reads an event row from its bytes.
fn read_event(row: &[u8], index_only: bool, texts: &Texts<'_>, seen: &Seen) -> Option<EventRow> {
    let mut row = convert::event_of(fast::event(row)?, index_only, |text| texts.keep(&text))?;
    seen.share(&mut row);
    Some(row)
}

fn log_sweep(error: &Error) {
    tracing::warn!(error = %error, "Resource Graph did not answer; REST completes the picture where it can");
}

/// REST is asked at first sight, where Resource Graph has no answer, and for the texts of what is new.
fn needs_rest(asked: &AskEvents, index: Option<&Events>) -> bool {
    asked.listing
        || match index {
            None => true,
            Some(index) => index.iter().any(|(id, event)| match asked.known.get(id) {
                None => true,
                Some(known) => event.last_update > *known,
            }),
        }
}

/// Puts Resource Graph's rows and REST's listing together: the newer counts, REST where both are equally new.
fn combine(
    index: Option<Events>,
    listed: Option<Listed<EventRow>>,
    listed_wide: bool,
    gathered: &mut Gathered<'_>,
) -> EventsReading {
    let wide = index.is_some() || listed_wide;
    let mut rows = index.unwrap_or_default();
    let trouble = match listed {
        None => None,
        Some(Ok(listing)) => {
            gathered.unreadable_rows += listing.unreadable;
            for row in listing.rows {
                insert(&mut rows, row.tracking_id, row.event);
            }
            listing.broken_off.as_ref().map(partial)
        }
        Some(Err(trouble)) => Some(trouble),
    };
    // Resource Graph saw the subscription and all its events: only texts are missing, and they are asked for again.
    let trouble =
        if wide && trouble.as_ref().is_some_and(|trouble| trouble.reason.is_passing()) { None } else { trouble };
    EventsReading { rows, wide, trouble }
}

fn insert(events: &mut Events, id: TrackingId, event: ObservedEvent) {
    let event = match events.remove(&id) {
        Some(known) => convert::newer(known, event),
        None => event,
    };
    events.insert(id, event);
}

fn availability(answer: Listed<(ResourceId, ResourceState)>, unreadable: &mut u32) -> ResourcesReading {
    match answer {
        Ok(listing) => {
            // A row without a state is an impacting event, not a status: nothing is lost by passing it over.
            *unreadable += listing.unreadable;
            let mut rows = listing.rows;
            // Of two rows of one resource the later counts.
            rows.reverse();
            rows.sort_by(|a, b| a.0.cmp(&b.0));
            rows.dedup_by(|a, b| a.0 == b.0);
            ResourcesReading { rows, trouble: listing.broken_off.as_ref().map(partial) }
        }
        Err(trouble) => ResourcesReading { rows: Vec::new(), trouble: Some(trouble) },
    }
}

fn partial(error: &Error) -> Trouble {
    Trouble { reason: GapReason::Partial, detail: format!("a later page failed: {error}") }
}

fn failed(asked: &AskSubscription, trouble: &Trouble) -> SubscriptionReading {
    SubscriptionReading {
        events: asked.events.as_ref().map(|_| no_events(trouble)),
        resources: asked.resources.then(|| ResourcesReading { rows: Vec::new(), trouble: Some(trouble.clone()) }),
        ..SubscriptionReading::default()
    }
}

fn no_events(trouble: &Trouble) -> EventsReading {
    EventsReading { rows: BTreeMap::new(), wide: false, trouble: Some(trouble.clone()) }
}
