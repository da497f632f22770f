//! What people see in a browser: the steps of consent, under `/api/consent`.

mod commands;
mod consent;
mod layout;
mod refusal;

use std::sync::Arc;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use maud::html;
use secrecy::ExposeSecret as _;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use self::layout::{Page, Tone};
use crate::app::App;
use crate::consent::{Callback, Error, Failure, GrantForm, Onward, StartQuery};

/// The largest form that is read; 1000 ticked subscriptions fit.
const BODY_LIMIT: usize = 64 * 1024;

/// The routes of `ConsentStart`, `ConsentCallback` and `ConsentGrant`. A request that is none of them is rejected.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let with_app = move || {
        let app = Arc::clone(&app);
        warp::any().map(move || Arc::clone(&app))
    };
    let query = || warp::query::raw().or(warp::any().map(String::new)).unify();
    let headers = warp::header::headers_cloned;
    let at =
        |step: &'static str| warp::path("api").and(warp::path("consent")).and(warp::path(step)).and(warp::path::end());

    let start = at("start").and(warp::method()).and(query()).and(with_app()).then(start);
    let callback = at("callback").and(warp::method()).and(query()).and(headers()).and(with_app()).then(callback);
    let grant = at("grant")
        .and(warp::method())
        .and(headers())
        .and(warp::body::stream())
        .and(with_app())
        .then(|method, headers, body, app| async move { grant(method, headers, body, app).await });
    start.or(callback).unify().or(grant).unify().boxed()
}

async fn start(method: Method, query: String, app: Arc<App>) -> Response {
    if method != Method::GET {
        return wrong_method(&app, "GET");
    }
    let started = match StartQuery::parse(&query) {
        Ok(query) => crate::consent::start(&app, query).await,
        Err(error) => Err(error.into()),
    };
    match started {
        Ok(onward) => see_other(&app, &onward),
        Err(failure) => refuse(&app, &failure),
    }
}

async fn callback(method: Method, query: String, headers: HeaderMap, app: Arc<App>) -> Response {
    if method != Method::GET {
        return wrong_method(&app, "GET");
    }
    let cookie = cookie(&app, &headers);
    let answer = match Callback::parse(&query) {
        Ok(Callback::Choose { all }) => {
            return match crate::consent::choices(&app, cookie.as_deref(), all).await {
                Ok(choices) => consent::choose(&app, &choices, None),
                Err(failure) => refuse(&app, &failure),
            };
        }
        Ok(Callback::Answer(answer)) => answer,
        Err(error) => return refuse(&app, &error.into()),
    };
    match crate::consent::callback(&app, answer, cookie.as_deref()).await {
        Ok(onward) => see_other(&app, &onward),
        Err(failure) => refuse(&app, &failure),
    }
}

async fn grant<B: Buf, E>(
    method: Method,
    headers: HeaderMap,
    body: impl Stream<Item = Result<B, E>>,
    app: Arc<App>,
) -> Response {
    if method != Method::POST {
        return wrong_method(&app, "POST");
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = text("content-type").split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return plain(
            &app,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The form cannot be read",
            "It must be sent by our page.",
        );
    }
    // Browsers that tell where a form comes from are believed when they tell on it.
    if !matches!(text("sec-fetch-site"), "" | "same-origin" | "none") {
        return refuse(&app, &Error::Csrf.into());
    }
    let Some(body) = read(body).await else {
        return plain(&app, StatusCode::PAYLOAD_TOO_LARGE, "The form is too large", "It has at most 64 KiB.");
    };
    let cookie = cookie(&app, &headers);
    let granted = match GrantForm::parse(&body) {
        Ok(form) => crate::consent::grant(&app, form, cookie.as_deref()).await,
        Err(error) => Err(error.into()),
    };
    match granted {
        Ok(granted) => {
            let reference = reference(&app);
            let counted = granted.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
            tracing::info!(reference, tenant.id = %granted.tenant, granted = counted, "an onboarding ended");
            let mut response = consent::granted(&app, &granted, &reference);
            let cookie = granted.step_up.as_ref().map_or("", |onward| onward.cookie.expose_secret());
            set_cookie(&app, &mut response, cookie);
            response
        }
        // The session still stands: the page is shown again, with what was wrong.
        Err(Failure { error: Error::NothingChosen, .. }) => {
            match crate::consent::choices(&app, cookie.as_deref(), false).await {
                Ok(choices) => consent::choose(&app, &choices, Some("Please tick at least one subscription.")),
                Err(failure) => refuse(&app, &failure),
            }
        }
        Err(failure) => refuse(&app, &failure),
    }
}

/// A body up to the limit. None: it is larger, or it broke off.
async fn read<B: Buf, E>(body: impl Stream<Item = Result<B, E>>) -> Option<Vec<u8>> {
    futures_util::pin_mut!(body);
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        let mut part = part.ok()?;
        if bytes.len() + part.remaining() > BODY_LIMIT {
            return None;
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            let length = chunk.len();
            bytes.extend_from_slice(chunk);
            part.advance(length);
        }
    }
    Some(bytes)
}

fn see_other(app: &App, onward: &Onward) -> Response {
    let location = match onward.location.strip_prefix('/') {
        Some(_) => layout::href(app, &onward.location),
        None => onward.location.clone(),
    };
    let mut response = Response::new("".into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    layout::guard(app, &mut response);
    set_cookie(app, &mut response, onward.cookie.expose_secret());
    response
}

fn refuse(app: &App, failure: &Failure) -> Response {
    refusal::refuse(app, failure, &reference(app))
}

/// What a person tells us and what our log has.
fn reference(app: &App) -> String {
    let mut bytes = [0; 6];
    app.random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn plain(app: &App, status: StatusCode, title: &str, text: &str) -> Response {
    layout::answer(app, Page { status, title, tone: Tone::Warning, body: html! { p.lead { (text) } } })
}

fn wrong_method(app: &App, allowed: &'static str) -> Response {
    let text = "Open the link that you were given in a browser.";
    let mut response = plain(app, StatusCode::METHOD_NOT_ALLOWED, "This address cannot be used so", text);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The cookie's name. Over TLS its prefix lets browsers take it only from this very host, for the whole host.
fn cookie_name(app: &App) -> &'static str {
    if app.settings.public_is_https() { "__Host-health-consent" } else { "health-consent" }
}

fn cookie(app: &App, headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == cookie_name(app))
        .map(|(_, value)| value.to_owned())
        .filter(|value| !value.is_empty())
}

/// Hands the cookie to the browser; an empty value takes it back.
fn set_cookie(app: &App, response: &mut Response, value: &str) {
    let life = if value.is_empty() { 0 } else { 600 };
    let place = match app.settings.public_is_https() {
        true => "Path=/; Secure".to_owned(),
        false => format!("Path={}", layout::href(app, "/api/consent")),
    };
    let cookie = format!("{}={value}; {place}; Max-Age={life}; HttpOnly; SameSite=Lax", cookie_name(app));
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}
