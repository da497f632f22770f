//! The timeline, what is new, and reports, as callers ask for them.

use std::sync::Arc;

use serde_json::{Value, json};
use warp::http::HeaderValue;
use warp::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap};
use warp::reply::Response;

use super::parameters::Parameters;
use super::problem::Problem;
use crate::app::App;
use crate::history::{self, Cursor};
use crate::model::{InvalidId, TenantId, Timestamp};
use crate::query::history::{ReportAsk, TimelineFilter, changes_page};
use crate::query::{self, Answer};

/// What `GET customers/{tenantId}/timeline` knows.
pub(super) const TIMELINE: [&str; 6] = ["top", "cursor", "since", "until", "kind", "trackingId"];
/// What `GET changes` knows.
pub(super) const CHANGES: [&str; 2] = ["top", "since"];
/// What `GET customers/{tenantId}/report` knows.
pub(super) const REPORT: [&str; 4] = ["from", "to", "eventType", "format"];

const CSV: &str = "text/csv";

/// The transitions of a customer.
pub(super) async fn timeline(
    app: &App,
    tenant: TenantId,
    parameters: &Parameters,
) -> Result<Answer<crate::model::Transition>, Problem> {
    let tracking_id = match parameters.text("trackingId") {
        Some(text) => {
            Some(text.parse().map_err(|error: InvalidId| Problem::invalid("trackingId", format!("The {error}.")))?)
        }
        None => None,
    };
    let filter = TimelineFilter {
        since: time(parameters, "since")?,
        until: time(parameters, "until")?,
        kind: parameters.text("kind").map(str::to_owned),
        tracking_id,
    };
    Ok(query::history::timeline(app, tenant, &filter, &parameters.page()?).await?)
}

/// What is new since a cursor, and the cursor with which to go on.
pub(super) async fn changes(app: &App, parameters: &Parameters) -> Result<Value, Problem> {
    let since = match parameters.text("since") {
        Some(text) => Some(Cursor::parse(text).ok_or_else(|| {
            let rule =
                "This parameter must be taken from the nextLink or deltaLink of an earlier answer, or be a time.";
            Problem::invalid("since", rule)
        })?),
        None => None,
    };
    let changes = query::history::changes(app, since, parameters.page()?.top).await?;
    let (page, next) = changes_page(changes);
    let top = parameters.text("top").map(|top| format!("top={top}&")).unwrap_or_default();
    let link = app.settings.public_url(&format!("/api/v1/changes?{top}since={}", next.text()));
    let name = if page.next.is_some() { "nextLink" } else { "deltaLink" };
    Ok(json!({ "value": page.rows, name: link }))
}

/// A report, as JSON or as CSV.
pub(super) async fn report(
    app: &Arc<App>,
    tenant: TenantId,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Reported, Problem> {
    let as_csv = match parameters.text("format") {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::invalid("format", "This parameter must be json or csv.")),
        None => prefers_csv(headers),
    };
    let ask = ReportAsk {
        from: time(parameters, "from")?,
        to: time(parameters, "to")?,
        event_type: parameters.text("eventType").map(|word| word.to_owned().into()),
    };
    if let (Some(from), Some(to)) = (ask.from, ask.to)
        && to <= from
    {
        return Err(Problem::invalid("to", "This parameter must be later than from."));
    }
    let report = query::history::report(app, tenant, &ask).await?;
    Ok(match as_csv {
        true => Reported::Csv(csv_of(tenant, history::csv(&report))),
        false => Reported::Json(serde_json::to_value(report).unwrap_or_default()),
    })
}

/// A report in the form that was asked for.
pub(super) enum Reported {
    Json(Value),
    Csv(Response),
}

fn csv_of(tenant: TenantId, text: String) -> Response {
    let mut response = Response::new(text.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"report-{tenant}.csv\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// True when the caller names CSV and not JSON.
fn prefers_csv(headers: &HeaderMap) -> bool {
    let accepted =
        headers.get_all("accept").iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    let accepted = accepted.to_ascii_lowercase();
    accepted.contains(CSV) && !accepted.contains("json")
}

fn time(parameters: &Parameters, name: &'static str) -> Result<Option<Timestamp>, Problem> {
    let read =
        |text| query::history::time(text).map_err(|rule| Problem::invalid(name, format!("This parameter {rule}.")));
    parameters.text(name).map(read).transpose()
}
