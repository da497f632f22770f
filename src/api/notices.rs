//! The delivery log for portals: who was told what, when, with which answer; and sending anew.

use serde::Deserialize;
use serde_json::{Value, json};
use warp::http::StatusCode;

use super::manage::{self, Changed};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::app::App;
use crate::model::NoticeId;
use crate::notify::log::{self, ReplayError, State};
use crate::query::page::cursor;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayBody {
    channel: Option<String>,
}

/// `GET notices?state=pending|delivered|dead`.
pub(super) async fn list(app: &App, parameters: &Parameters) -> Result<Value, Problem> {
    let word = parameters.text("state").unwrap_or("pending");
    let state = State::of_word(word)
        .ok_or_else(|| Problem::invalid("state", "This parameter must be pending, delivered or dead."))?;
    let ask = parameters.page()?;
    let page = log::page(app, state, ask.top, ask.after.as_deref()).await?;
    let mut listing = json!({ "value": page.entries, "asOf": app.clock.now() });
    if let Some(next) = page.next {
        listing["nextLink"] =
            json!(app.settings.public_url(&parameters.with_cursor("/api/v1/notices", &cursor(&next))));
    }
    Ok(listing)
}

/// `POST notices/{id}/replay`.
pub(super) async fn replay(app: &App, id: NoticeId) -> Result<Changed, Problem> {
    match log::replay(app, id).await {
        Ok(()) => Ok(Changed { status: StatusCode::ACCEPTED, body: Some(json!({ "replayed": 1 })) }),
        Err(ReplayError::NotFound(_)) => Err(Problem::not_found()),
        Err(ReplayError::Store(error)) => Err(error.into()),
    }
}

/// `POST notices/replay`: all that were given up, or those of one channel.
pub(super) async fn replay_all(app: &App, body: &[u8]) -> Result<Changed, Problem> {
    let wanted: ReplayBody = manage::read(body)?;
    let replayed = log::replay_all(app, wanted.channel.as_deref()).await?;
    Ok(Changed { status: StatusCode::ACCEPTED, body: Some(json!({ "replayed": replayed })) })
}
