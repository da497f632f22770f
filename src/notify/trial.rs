//! A test send: one message to each channel of a route, now, so that whoever set it up sees it arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::channel::{self, Channel, Parcel, Wire};
use super::documents;
use super::story::TEST;
use crate::app::App;
use crate::model::{
    ChannelConfig, Delivery, Notice, NoticeId, NoticeScope, Phase, Route, Severity, Story, Subject, Timestamp,
};
use crate::store;

/// Who waits for the answer waits no longer; channels give up earlier themselves.
const PATIENCE: Duration = Duration::from_secs(45);

/// How one channel answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// The channel.
    pub channel: String,
    /// Its kind.
    pub kind: String,
    /// True when the destination took the message.
    pub taken: bool,
    /// What it answered, or why nothing was sent; without secrets.
    pub detail: String,
    /// The id of the message.
    pub notice_id: NoticeId,
}

/// Why there was no test.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such route.
    #[error("there is no route {0:?}")]
    NoRoute(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// What channels are opened with.
pub fn wire(app: &App) -> Wire {
    Wire::new(&app.settings, app.azure.clone(), Arc::clone(&app.clock), Arc::clone(&app.random))
}

/// What is wrong with a channel's options, for [`super::validate`].
pub fn faults(name: &str, config: &ChannelConfig, wire: &Wire) -> Vec<(String, String)> {
    match channel::open(name, config, wire) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| (fault.field, fault.why)).collect(),
    }
}

/// Sends a test to each channel of a route. It passes by the outbox: who asks sees the answer, and nothing is tried again.
///
/// # Errors
/// [`Error::NoRoute`], [`Error::Store`]. What a destination refuses is no error but an answer.
pub async fn send(app: &App, route: &str) -> Result<Vec<Trial>, Error> {
    let routes = documents::routes(app).await?;
    let found = routes.routes.iter().find(|known| known.id == route);
    let found = found.ok_or_else(|| Error::NoRoute(route.chars().take(60).collect()))?;
    let wire = wire(app);
    let names: BTreeSet<&String> = found.channels.iter().collect();
    let mut trials = Vec::new();
    for (name, config) in names.into_iter().filter_map(|name| routes.channels.get_key_value(name)) {
        let notice = notice(found, name, salt(app), app.clock.now());
        let trial = |taken: bool, detail: String| Trial {
            channel: name.clone(),
            kind: config.kind.clone(),
            taken,
            detail,
            notice_id: notice.id,
        };
        trials.push(match (&config.disabled, channel::open(name, config, &wire)) {
            (Some(why), _) => trial(false, format!("the channel is disabled: {why}")),
            (None, Err(faults)) => {
                let faults: Vec<_> = faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.why)).collect();
                trial(false, faults.join("; "))
            }
            (None, Ok(channel)) => match sent(app, channel.as_ref(), notice.clone()).await {
                Ok(detail) => trial(true, detail),
                Err(detail) => trial(false, detail),
            },
        });
    }
    tracing::info!(notice.route = route, channels = trials.len(), "a test was sent");
    Ok(trials)
}

async fn sent(app: &App, channel: &dyn Channel, notice: Notice) -> Result<String, String> {
    let parcel =
        Parcel { id: notice.id, sent_at: app.clock.now(), attempt: 1, texts: BTreeMap::new(), notices: vec![notice] };
    match tokio::time::timeout(PATIENCE, channel.send(&parcel)).await {
        Ok(Ok(receipt)) => Ok(receipt.detail),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Every test is a message of its own.
fn salt(app: &App) -> String {
    let mut bytes = [0; 16];
    app.random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn notice(route: &Route, channel: &str, salt: String, now: Timestamp) -> Notice {
    let story = Story {
        word: TEST.to_owned(),
        phase: Phase::Remark,
        title: format!("Test of the route {}: this channel works", route.id),
        severity: Severity::Low,
        at: now,
        customer: None,
        event: None,
        resources: Vec::new(),
        subscriptions: BTreeMap::new(),
        changes: BTreeSet::new(),
        remedy: Some("nothing to do: somebody asked for this message".to_owned()),
        facts: vec![("Route".to_owned(), route.id.clone()), ("Channel".to_owned(), channel.to_owned())],
        affected: Vec::new(),
    };
    Notice {
        id: NoticeId::of(NoticeScope::Partner, &route.id, channel, &format!("test|{salt}")),
        scope: NoticeScope::Partner,
        route: route.id.clone(),
        channel: channel.to_owned(),
        subject: Subject::Test,
        episode: 1,
        story,
        transitions: BTreeSet::new(),
        created_at: now,
        not_before: now,
        bundle: None,
        only_after_start: false,
        delivery: Delivery::default(),
    }
}
