//! Who is told of what: routes, and what people say about incidents.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use warp::http::StatusCode;
use warp::http::header::{HeaderMap, IF_MATCH, IF_NONE_MATCH};

use super::manage::{self, Changed};
use super::problem::Problem;
use crate::app::App;
use crate::model::{Routes, Timestamp, TrackingId};
use crate::notify::{dry_run, incident, trial, validate};
use crate::store::{self, Key, Versioned};

/// How far back a dry run looks that names no days.
const USUAL_DAYS: u16 = 7;
/// The longest snooze.
const LONGEST_SNOOZE: TimeDelta = TimeDelta::days(30);
/// The longest acknowledgement that names an end.
const LONGEST_ACKNOWLEDGEMENT: TimeDelta = TimeDelta::days(365);
const MOST_WORDS: usize = 1000;

/// `GET routes`: as they are stored; empty where none were ever set.
pub(super) async fn routes(app: &App) -> Result<Value, Problem> {
    let known = app.store.read::<Routes>(&Key::Routes).await?;
    Ok(document(known.as_ref()))
}

fn document(known: Option<&Versioned<Routes>>) -> Value {
    let nothing = Routes::default();
    // A struct of plain values: it always serialises.
    serde_json::to_value(known.map_or(&nothing, |known| &known.value)).unwrap_or_default()
}

/// `PUT routes`. Nothing is written unless all of it is right and nobody else changed it.
pub(super) async fn set_routes(
    app: &App,
    headers: &HeaderMap,
    body: &[u8],
    etag: impl Fn(&Value) -> String,
) -> Result<Changed, Problem> {
    let known = app.store.read::<Routes>(&Key::Routes).await?;
    precondition(headers, &etag(&document(known.as_ref())), known.is_some())?;
    let wire = trial::wire(app);
    let routes = validate::parse(body, |name, config| trial::faults(name, config, &wire)).map_err(invalid)?;
    let written = match &known {
        Some(known) => app.store.replace(&Key::Routes, known, &routes).await,
        None => app.store.create(&Key::Routes, &routes).await,
    };
    match written {
        Err(store::Error::Conflict { .. } | store::Error::AlreadyExists { .. }) => return Err(changed_since()),
        other => other?,
    }
    tracing::info!(routes = routes.routes.len(), channels = routes.channels.len(), "the routes were set");
    let status = if known.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    Ok(Changed { status, body: serde_json::to_value(&routes).ok() })
}

/// A change without having seen what is changed is refused: somebody else's work would be lost.
fn precondition(headers: &HeaderMap, etag: &str, exists: bool) -> Result<(), Problem> {
    let list = |name| {
        let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then(|| values.join(","))
    };
    let names = |list: &str| list.split(',').map(str::trim).any(|known| known == "*" || known == etag);
    match (list(IF_MATCH), list(IF_NONE_MATCH)) {
        (Some(known), _) if names(&known) => Ok(()),
        (None, Some(none)) if none.trim() == "*" && !exists => Ok(()),
        (Some(_), _) | (None, Some(_)) => Err(changed_since()),
        (None, None) => Err(Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "precondition-required",
            "Precondition required",
            "Send the ETag of GET routes in If-Match, so that nobody else's change is lost.",
        )),
    }
}

fn changed_since() -> Problem {
    let detail = "The routes are not the ones that If-Match names: somebody changed them. Read them again.";
    Problem::new(StatusCode::PRECONDITION_FAILED, "changed-since", "Changed since", detail)
}

/// Every fault with its place.
fn invalid(faults: validate::Faults) -> Problem {
    let count = faults.0.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    let detail = format!("The routes have {count} {noun}, named under errors. Nothing was changed.");
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, "invalid-routes", "Invalid routes", detail);
    let errors = faults.0.iter().map(|fault| {
        let mut error = serde_json::to_value(fault).unwrap_or_default();
        error["detail"] = json!(fault.to_string());
        error
    });
    problem.more.insert("errors".to_owned(), errors.collect());
    problem
}

/// `POST routes/{id}/test`.
pub(super) async fn test(app: &App, route: &str) -> Result<Changed, Problem> {
    let trials = trial::send(app, route).await?;
    let taken = trials.iter().all(|trial| trial.taken);
    Ok(Changed { status: StatusCode::OK, body: Some(json!({ "value": trials, "taken": taken })) })
}

/// `POST routes/dry-run`: given routes, else the stored ones.
pub(super) async fn dry_run(app: &App, body: &[u8]) -> Result<Changed, Problem> {
    let body: Map<String, Value> = manage::read(body)?;
    let known = BTreeSet::from(["routes", "days"]);
    if let Some(unknown) = body.keys().find(|name| !known.contains(name.as_str())) {
        let shown: String = unknown.chars().take(60).collect();
        return Err(Problem::invalid(&shown, "A dry run has the members routes and days."));
    }
    let days = match body.get("days") {
        None => USUAL_DAYS,
        Some(days) => days
            .as_u64()
            .and_then(|days| u16::try_from(days).ok())
            .filter(|days| (1..=dry_run::MOST_DAYS).contains(days))
            .ok_or_else(|| {
                Problem::invalid("days", format!("This must be a number from 1 to {}.", dry_run::MOST_DAYS))
            })?,
    };
    let routes = match body.get("routes") {
        None => crate::notify::documents::routes(app).await?,
        Some(document) => {
            let wire = trial::wire(app);
            validate::routes(document, |name, config| trial::faults(name, config, &wire)).map_err(invalid)?
        }
    };
    let run = dry_run::dry_run(app, &routes, days).await?;
    Ok(Changed { status: StatusCode::OK, body: serde_json::to_value(run).ok() })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SaidBody {
    by: String,
    reason: Option<String>,
    until: Option<Timestamp>,
    minutes: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NoteBody {
    by: String,
    text: String,
}

/// `POST incidents/{trackingId}/acknowledge`.
pub(super) async fn acknowledge(app: &App, id: &TrackingId, body: &[u8]) -> Result<Changed, Problem> {
    let said: SaidBody = manage::read(body)?;
    let by = manage::line("by", &said.by, 200)?;
    let reason = said.reason.as_deref().map(|text| manage::line("reason", text, MOST_WORDS)).transpose()?;
    let until = until(app, said.until, said.minutes, LONGEST_ACKNOWLEDGEMENT)?;
    incident::acknowledge(app, id, &by, reason.as_deref(), until).await?;
    incident_as_it_is(app, id).await
}

/// `POST incidents/{trackingId}/snooze`.
pub(super) async fn snooze(app: &App, id: &TrackingId, body: &[u8]) -> Result<Changed, Problem> {
    let said: SaidBody = manage::read(body)?;
    let by = manage::line("by", &said.by, 200)?;
    let reason = manage::line("reason", said.reason.as_deref().unwrap_or_default(), MOST_WORDS)?;
    let until = until(app, said.until, said.minutes, LONGEST_SNOOZE)?
        .ok_or_else(|| Problem::invalid("until", "A snooze ends: give until or minutes."))?;
    incident::snooze(app, id, &by, &reason, until).await?;
    incident_as_it_is(app, id).await
}

/// `DELETE incidents/{trackingId}/acknowledge`.
pub(super) async fn unacknowledge(app: &App, id: &TrackingId) -> Result<Changed, Problem> {
    incident::unacknowledge(app, id).await?;
    Ok(Changed { status: StatusCode::NO_CONTENT, body: None })
}

/// `DELETE incidents/{trackingId}/snooze`.
pub(super) async fn unsnooze(app: &App, id: &TrackingId) -> Result<Changed, Problem> {
    incident::unsnooze(app, id).await?;
    Ok(Changed { status: StatusCode::NO_CONTENT, body: None })
}

/// `POST incidents/{trackingId}/notes`.
pub(super) async fn note(app: &App, id: &TrackingId, body: &[u8]) -> Result<Changed, Problem> {
    let said: NoteBody = manage::read(body)?;
    let by = manage::line("by", &said.by, 200)?;
    let text = said.text.trim();
    let sound = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.is_empty() || text.chars().count() > MOST_WORDS * 4 || !text.chars().all(sound) {
        return Err(Problem::invalid("text", format!("This must be 1 to {} characters.", MOST_WORDS * 4)));
    }
    incident::note(app, id, &by, text).await?;
    incident_as_it_is(app, id).await
}

async fn incident_as_it_is(app: &App, id: &TrackingId) -> Result<Changed, Problem> {
    let incident = crate::query::incident(app, id).await?;
    Ok(Changed { status: StatusCode::OK, body: serde_json::to_value(incident).ok() })
}

fn until(
    app: &App,
    until: Option<Timestamp>,
    minutes: Option<u32>,
    longest: TimeDelta,
) -> Result<Option<Timestamp>, Problem> {
    let now = app.clock.now();
    let (member, at) = match (until, minutes) {
        (Some(_), Some(_)) => return Err(Problem::invalid("minutes", "Give until or minutes, not both.")),
        (Some(at), None) => ("until", at),
        (None, Some(minutes)) => ("minutes", now + TimeDelta::minutes(minutes.into())),
        (None, None) => return Ok(None),
    };
    if at <= now || at > now + longest {
        let detail = format!("This must be in the future, within {} days.", longest.num_days());
        return Err(Problem::invalid(member, detail));
    }
    Ok(Some(at))
}
