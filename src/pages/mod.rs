//! What people see in a browser: the steps of consent, under `/api/consent`.

mod commands;
mod consent;
mod language;
mod layout;
mod messages;
mod refusal;
#[cfg(all(test, feature = "sandbox"))]
mod tests;
mod visit;
mod ways;

use std::sync::Arc;

use bytes::Buf;
use futures_util::{Stream, StreamExt as _};
use secrecy::ExposeSecret as _;
use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use warp::reply::Response;

use self::language::Language;
use self::layout::View;
use self::refusal::{refuse, turn_away};
use crate::app::App;
use crate::consent::manual::{self, Verified};
use crate::consent::visit::LeaveForm;
use crate::consent::{
    Action, AdminCallback, Callback, Error, Failure, GrantForm, Granted, Onward, Shown, StartQuery, Started,
};

/// The largest form that is read; 1000 ticked subscriptions fit.
const BODY_LIMIT: usize = 64 * 1024;

/// What the routes look at of a request, beside its body.
struct Asked {
    method: Method,
    query: String,
    headers: HeaderMap,
    app: Arc<App>,
}

/// The routes of `ConsentStart`, `ConsentCallback` and `ConsentGrant`. A request that is none of them is rejected.
pub fn routes(app: Arc<App>) -> BoxedFilter<(Response,)> {
    let at = |step: &'static str| {
        let app = Arc::clone(&app);
        let consent = warp::path("api").and(warp::path("consent"));
        consent
            .and(warp::path(step))
            .and(warp::path::end())
            .and(warp::method())
            .and(warp::query::raw().or(warp::any().map(String::new)).unify())
            .and(warp::header::headers_cloned())
            .map(move |method, query, headers| Asked { method, query, headers, app: Arc::clone(&app) })
    };
    let start = at("start").then(|asked| async move { remembered(&asked, start(&asked).await) });
    let callback = at("callback").then(|asked| async move { remembered(&asked, callback(&asked).await) });
    let grant = at("grant")
        .and(warp::body::stream())
        .then(|asked, body| async move { remembered(&asked, grant(&asked, body).await) });
    let admin = at("admin-callback").then(|asked| async move { remembered(&asked, admin_callback(&asked).await) });
    start.or(callback).unify().or(admin).unify().or(grant).unify().boxed()
}

/// True for a path at which people look.
pub fn are_at(path: &str) -> bool {
    path.starts_with("/api/consent/")
}

/// True for a request that makes us ask Azure whose a subscription or domain is.
pub fn looks_up(path: &str, query: &str) -> bool {
    path.trim_end_matches('/') == "/api/consent/start" && StartQuery::parse(query).is_ok_and(|query| query.looks_up())
}

/// A problem of the host or the routes, as a page.
pub fn of_problem(app: &App, query: &str, headers: &HeaderMap, problem: &Response) -> Response {
    let remembered = cookie(headers, LANGUAGE_COOKIE);
    let view = View::new(app, Language::of(query, remembered.as_deref(), headers));
    let (status, text) = (problem.status(), &view.text.refused);
    let retry_after = problem.headers().get(header::RETRY_AFTER);
    let told = match status {
        StatusCode::NOT_FOUND => (text.not_found)(view.partner()),
        StatusCode::METHOD_NOT_ALLOWED => (text.wrong_method)(),
        StatusCode::PAYLOAD_TOO_LARGE => (text.form_too_large)(),
        StatusCode::TOO_MANY_REQUESTS => {
            let secs = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
            (text.too_many)(secs.unwrap_or(60))
        }
        status if status.is_client_error() => (text.bad_form)(view.partner()),
        _ => (text.ours)(view.partner()),
    };
    let mut page = turn_away(&view, status, told);
    for name in [header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = problem.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

impl Asked {
    /// For whom the answer is.
    fn view(&self) -> View<'_> {
        let remembered = cookie(&self.headers, LANGUAGE_COOKIE);
        View::new(&self.app, Language::of(&self.query, remembered.as_deref(), &self.headers))
    }

    /// The cookie of the session.
    fn session(&self) -> Option<String> {
        cookie(&self.headers, session_cookie(&self.app))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn start(asked: &Asked) -> Response {
    if asked.method != Method::GET {
        return wrong_method(asked, "GET");
    }
    let started = match StartQuery::parse(&asked.query) {
        Ok(query) => crate::consent::start(&asked.app, query).await,
        Err(error) => Err(error.into()),
    };
    let view = asked.view().at(format!("/api/consent/start?{}", asked.query));
    match started {
        Ok(Started::Onward(onward)) => see_other(&asked.app, &onward),
        Ok(Started::Ways(entry)) => ways::ways(&view, &entry),
        Ok(Started::Lighthouse(offer, entry)) => ways::lighthouse(&view, &offer, &entry),
        Ok(Started::Template(template)) => ways::download(&view, template),
        Err(failure) => refuse(&view, &failure),
    }
}

async fn callback(asked: &Asked) -> Response {
    if asked.method != Method::GET {
        return wrong_method(asked, "GET");
    }
    let (app, session) = (&asked.app, asked.session());
    let answer = match Callback::parse(&asked.query) {
        Ok(Callback::Choose(shown)) => {
            let view = asked.view().at(format!("/api/consent/callback?{}", asked.query));
            return match crate::consent::choices(app, session.as_deref(), shown).await {
                Ok(choices) => consent::choose(&view, &choices, None),
                Err(failure) => refuse(&view, &failure),
            };
        }
        Ok(Callback::Visit) => {
            let view = asked.view().at("/api/consent/callback?step=visit");
            return match crate::consent::visit::shown(app, session.as_deref()).await {
                Ok(shown) => visit::visit(&view, &shown, None),
                Err(failure) => refuse(&view, &failure),
            };
        }
        Ok(Callback::Manual(named)) => {
            let view = asked.view().at(format!("/api/consent/callback?{}", asked.query));
            return match manual::instructions(app, session.as_deref(), &named).await {
                Ok(instructions) => ways::manual(&view, &instructions, None),
                Err(failure) => refuse(&view, &failure),
            };
        }
        Ok(Callback::Template(format)) => {
            return match manual::reader_template(app, session.as_deref(), format).await {
                Ok(template) => ways::download(&asked.view(), template),
                Err(failure) => refuse(&asked.view(), &failure),
            };
        }
        Ok(Callback::Answer(answer)) => answer,
        Err(error) => return refuse(&asked.view(), &error.into()),
    };
    match crate::consent::callback(app, answer, session.as_deref()).await {
        Ok(onward) => see_other(app, &onward),
        Err(failure) => refuse(&asked.view(), &failure),
    }
}

async fn admin_callback(asked: &Asked) -> Response {
    if asked.method != Method::GET {
        return wrong_method(asked, "GET");
    }
    let (app, session) = (&asked.app, asked.session());
    match AdminCallback::parse(&asked.query) {
        Ok(AdminCallback::Consented) => {
            let view = asked.view().at("/api/consent/admin-callback?step=consented");
            match crate::consent::consented(app, session.as_deref()).await {
                Ok(consented) => ways::consented(&view, &consented),
                Err(failure) => refuse(&view, &failure),
            }
        }
        Ok(AdminCallback::Answer { refusal, state }) => {
            match crate::consent::admin_callback(app, refusal, &state, session.as_deref()).await {
                Ok(onward) => see_other(app, &onward),
                Err(failure) => refuse(&asked.view(), &failure),
            }
        }
        Err(error) => refuse(&asked.view(), &error.into()),
    }
}

/// Verifies what was granted without us.
async fn verify(asked: &Asked, form: &GrantForm, session: Option<&str>) -> Response {
    let (app, view) = (&asked.app, asked.view());
    let text = &view.text.ways.manually;
    let notice = match manual::verify(app, form, session).await {
        Ok(Verified::Active(granted)) => return done(&view, &granted),
        Ok(Verified::NoPrincipal) => text.no_principal_yet,
        Ok(Verified::NothingReadable) => text.nothing_readable,
        Err(failure) => return refuse(&view, &failure),
    };
    // The session still stands: the page is shown again, with what is missing.
    match manual::instructions(app, session, "").await {
        Ok(instructions) => ways::manual(&view, &instructions, Some(notice)),
        Err(failure) => refuse(&view, &failure),
    }
}

/// The page at the end of an onboarding.
fn done(view: &View<'_>, granted: &Granted) -> Response {
    let reference = reference(view.app);
    let counted = granted.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    tracing::info!(reference, tenant.id = %granted.tenant, granted = counted, "an onboarding ended");
    let mut response = consent::granted(view, granted, &reference);
    let cookie = granted.step_up.as_ref().map_or("", |onward| onward.cookie.expose_secret());
    set_session(view.app, &mut response, cookie);
    response
}

async fn grant<B: Buf, E>(asked: &Asked, body: impl Stream<Item = Result<B, E>>) -> Response {
    if asked.method != Method::POST {
        return wrong_method(asked, "POST");
    }
    let (app, view) = (&asked.app, asked.view());
    let text = &view.text.refused;
    let kind = asked.header("content-type").split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return turn_away(&view, StatusCode::UNSUPPORTED_MEDIA_TYPE, (text.bad_form)(view.partner()));
    }
    // Browsers that tell where a form comes from are believed when they tell on it.
    if !matches!(asked.header("sec-fetch-site"), "" | "same-origin" | "none") {
        return refuse(&view, &Error::Csrf.into());
    }
    let Some(body) = read(body).await else {
        return turn_away(&view, StatusCode::PAYLOAD_TOO_LARGE, (text.form_too_large)());
    };
    let session = asked.session();
    if LeaveForm::is_meant(&body) {
        return leave(&view, app, &body, session.as_deref()).await;
    }
    let form = match GrantForm::parse(&body) {
        Ok(form) => form,
        Err(error) => return refuse(&view, &error.into()),
    };
    match form.action {
        Action::Grant => {}
        Action::Verify => return verify(asked, &form, session.as_deref()).await,
        Action::Search | Action::TickAll | Action::TickNone | Action::Page(_) => {
            return match crate::consent::browse(app, &form, session.as_deref()).await {
                Ok(path) => moved(app, &path),
                Err(failure) => refuse(&view, &failure),
            };
        }
    }
    match crate::consent::grant(app, form, session.as_deref()).await {
        Ok(granted) => done(&view, &granted),
        // The session still stands: the page is shown again, with what was wrong.
        Err(Failure { error: Error::NothingChosen, .. }) => {
            match crate::consent::choices(app, session.as_deref(), Shown::default()).await {
                Ok(choices) => consent::choose(&view, &choices, Some(view.text.choose.tick_one)),
                Err(failure) => refuse(&view, &failure),
            }
        }
        Err(failure) => refuse(&view, &failure),
    }
}

/// Takes back what was granted.
async fn leave(view: &View<'_>, app: &Arc<App>, body: &[u8], session: Option<&str>) -> Response {
    let left = match LeaveForm::parse(body) {
        Ok(form) => crate::consent::visit::leave(app, form, session).await,
        Err(error) => Err(error.into()),
    };
    match left {
        Ok(left) => {
            let reference = reference(app);
            tracing::info!(reference, tenant.id = %left.tenant, erased = left.erased, "a customer took back what he granted");
            let mut response = visit::left(view, &left, &reference);
            let cookie = left.step_up.as_ref().map_or("", |onward| onward.cookie.expose_secret());
            set_session(app, &mut response, cookie);
            response
        }
        // The session still stands: the page is shown again, with what was wrong.
        Err(Failure { error: Error::NothingChosen, .. }) => match crate::consent::visit::shown(app, session).await {
            Ok(shown) => visit::visit(view, &shown, Some(view.text.choose.tick_one)),
            Err(failure) => refuse(view, &failure),
        },
        Err(failure) => refuse(view, &failure),
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
    let mut response = moved_to(app, &location);
    set_session(app, &mut response, onward.cookie.expose_secret());
    response
}

/// To another page of ours, with the session as it is.
fn moved(app: &App, path: &str) -> Response {
    moved_to(app, &layout::href(app, path))
}

fn moved_to(app: &App, location: &str) -> Response {
    let mut response = Response::new("".into());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    layout::guard(app, &mut response);
    response
}

/// What a person tells us and what our log has.
fn reference(app: &App) -> String {
    let mut bytes = [0; 6];
    app.random.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn wrong_method(asked: &Asked, allowed: &'static str) -> Response {
    let view = asked.view();
    let mut response = turn_away(&view, StatusCode::METHOD_NOT_ALLOWED, (view.text.refused.wrong_method)());
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The cookie that remembers a language that was asked for. Until the browser is closed.
const LANGUAGE_COOKIE: &str = "health-language";

/// The answer, with the language that its address asked for remembered.
fn remembered(asked: &Asked, mut response: Response) -> Response {
    if let Some(language) = Language::asked(&asked.query) {
        let place = format!("Path={}", layout::href(&asked.app, "/api/consent"));
        let secure = if asked.app.settings.public_is_https() { "; Secure" } else { "" };
        let cookie = format!("{LANGUAGE_COOKIE}={}; {place}{secure}; HttpOnly; SameSite=Lax", language.tag());
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

/// The name of the session's cookie. Over TLS its prefix lets browsers take it only from this very host, for the whole host.
fn session_cookie(app: &App) -> &'static str {
    if app.settings.public_is_https() { "__Host-health-consent" } else { "health-consent" }
}

fn cookie(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned()).filter(|value| !value.is_empty())
}

/// Hands the session's cookie to the browser; an empty value takes it back.
fn set_session(app: &App, response: &mut Response, value: &str) {
    let life = if value.is_empty() { 0 } else { 600 };
    let place = match app.settings.public_is_https() {
        true => "Path=/; Secure".to_owned(),
        false => format!("Path={}", layout::href(app, "/api/consent")),
    };
    let cookie = format!("{}={value}; {place}; Max-Age={life}; HttpOnly; SameSite=Lax", session_cookie(app));
    if let Ok(mut cookie) = HeaderValue::from_str(&cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
