//! All that the world may ask, the same on every host: the gate where one is needed, the routes, and the one place where a
//! rejection becomes an answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use tower_service::Service as _;
use tracing::Instrument as _;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, Request, StatusCode, header};
use warp::path::FullPath;
use warp::reject::{self, Reject, Rejection};
use warp::reply::Response;

use super::body;
use super::callers::limited;
use super::gate::{Asked, Gate, Refusal};
use crate::api::problem::Problem;
use crate::app::App;
use crate::telemetry::trace;
use crate::{api, pages};

/// When an HTTP call is given up: Azure's front end ends it at 230 s, and at `functionTimeout` the host would kill the process
/// with all other calls in it.
const DEADLINE: Duration = Duration::from_secs(200);

/// Every public route. Never rejects. Without a gate the host in front has checked route, method and key.
pub(super) fn front(app: &Arc<App>, gate: Option<Gate>) -> BoxedFilter<(Response,)> {
    let routes = api::routes(Arc::clone(app)).or(pages::routes(Arc::clone(app))).unify();
    let routes = limited(app, each_by_itself(routes.recover(answer).unify().boxed(), DEADLINE));
    let gated = match gate {
        Some(gate) => pass(gate).and(routes).boxed(),
        None => routes,
    };
    let answered = for_people(app, gated.recover(answer).unify().boxed());
    let logged = answered.with(warp::log::custom(log));
    logged.with(warp::trace(span)).map(warp::Reply::into_response).boxed()
}

/// Where people look, problems are pages.
fn for_people(app: &Arc<App>, routes: BoxedFilter<(Response,)>) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    warp::path::full()
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(routes)
        .map(move |path: FullPath, query: String, headers: HeaderMap, response: Response| {
            let kind = response.headers().get(header::CONTENT_TYPE);
            let is_problem = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
            match is_problem && pages::are_at(path.as_str()) {
                true => pages::of_problem(&app, &query, &headers, &response),
                false => response,
            }
        })
        .boxed()
}

/// Runs each call as a task of its own: one that panics or takes too long is answered like any other, and one whose caller
/// has gone still finishes what it began, such as a grant.
fn each_by_itself(routes: BoxedFilter<(Response,)>, deadline: Duration) -> BoxedFilter<(Response,)> {
    warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
            let routes = routes.clone();
            async move {
                let body = match body::collect(body).await {
                    Ok(body) => body,
                    Err(problem) => return problem.into_response(),
                };
                let target =
                    if query.is_empty() { path.as_str().to_owned() } else { format!("{}?{query}", path.as_str()) };
                let length = body.len();
                let mut request = Request::new(Full::new(Bytes::from(body)));
                *request.method_mut() = method;
                *request.uri_mut() = target.parse().expect("it was an address when it came");
                *request.headers_mut() = headers;
                // A body that came in chunks has a length now.
                request.headers_mut().remove(header::TRANSFER_ENCODING);
                request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
                let call = async move { tokio::time::timeout(deadline, warp::service(routes).call(request)).await };
                match tokio::spawn(call.in_current_span()).await {
                    Ok(Ok(Ok(response))) => response,
                    Ok(Err(_)) => {
                        let detail = "The answer took too long; ask again.";
                        Problem::new(StatusCode::GATEWAY_TIMEOUT, "overdue", "Overdue", detail).into_response()
                    }
                    Err(_) => {
                        tracing::error!("a handler panicked");
                        let detail = "Something went wrong here.";
                        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
                            .into_response()
                    }
                }
            }
        })
        .boxed()
}

impl Reject for Refusal {}

fn pass(gate: Gate) -> BoxedFilter<()> {
    let gate = Arc::new(gate);
    warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and_then(move |method: Method, path: FullPath, query: String, headers: HeaderMap| {
            let asked = Asked { method: method.as_str(), path: path.as_str(), query: &query, headers: &headers };
            let passed = gate.check(asked).map_err(reject::custom);
            async move { passed }
        })
        .untuple_one()
        .boxed()
}

/// A rejection means only "none of our routes", or that warp could not read what a route needs.
async fn answer(rejection: Rejection) -> Result<Response, Infallible> {
    if let Some(refusal) = rejection.find::<Refusal>() {
        return Ok(refusal.clone().into_response());
    }
    if rejection.is_not_found() {
        return Ok(Problem::not_found().into_response());
    }
    let (status, kind, title, detail) = if rejection.find::<reject::PayloadTooLarge>().is_some() {
        (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", "The request's body is too large.")
    } else if rejection.find::<reject::LengthRequired>().is_some() {
        let detail = "The request must say how long its body is.";
        (StatusCode::LENGTH_REQUIRED, "length-required", "Length required", detail)
    } else if rejection.find::<reject::UnsupportedMediaType>().is_some() {
        let detail = "The request's body is of another kind.";
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    } else if is_unreadable(&rejection) {
        (StatusCode::BAD_REQUEST, "bad-request", "Bad request", "The request could not be read.")
    } else if rejection.find::<reject::MethodNotAllowed>().is_some() {
        let detail = "This address does not take this method.";
        (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    } else {
        tracing::error!(?rejection, "a rejection without an answer of its own");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", "Something went wrong here.")
    };
    Ok(Problem::new(status, kind, title, detail).into_response())
}

fn is_unreadable(rejection: &Rejection) -> bool {
    rejection.find::<reject::InvalidQuery>().is_some()
        || rejection.find::<reject::InvalidHeader>().is_some()
        || rejection.find::<reject::MissingHeader>().is_some()
        || rejection.find::<reject::MissingCookie>().is_some()
        || rejection.find::<warp::body::BodyDeserializeError>().is_some()
}

/// The span of a request, which goes on with the trace of whoever called.
fn span(info: warp::trace::Info<'_>) -> tracing::Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        otel.name = %info.method(),
        http.request.method = %info.method(),
        url.path = info.path(),
        http.response.status_code = tracing::field::Empty
    );
    trace::go_on(&span, info.request_headers());
    span
}

/// One line for each request; never its query, which may hold codes and keys.
fn log(info: warp::log::Info<'_>) {
    tracing::Span::current().record("http.response.status_code", info.status().as_u16());
    tracing::info!(
        http.request.method = %info.method(),
        url.path = info.path(),
        http.response.status_code = info.status().as_u16(),
        took_ms = info.elapsed().as_millis() as u64,
        "answered"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of these routes within a second (of virtual time), to a request with this body.
    async fn answered(routes: BoxedFilter<(Response,)>, body: Vec<u8>) -> u16 {
        let mut service = warp::service(each_by_itself(routes, Duration::from_secs(1)));
        let request =
            Request::post("/api/x?a=b").header("transfer-encoding", "chunked").body(Full::new(Bytes::from(body)));
        service.call(request.unwrap()).await.unwrap().status().as_u16()
    }

    fn routes<F>(handler: impl Fn(u64, String) -> F + Clone + Send + Sync + 'static) -> BoxedFilter<(Response,)>
    where
        F: Future<Output = &'static str> + Send + 'static,
    {
        warp::path!("api" / "x")
            .and(warp::header("content-length"))
            .and(warp::query::raw())
            .then(handler)
            .map(|text: &'static str| Response::new(text.into()))
            .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_or_panics_is_answered_all_the_same() {
        let seen = |length: u64, query: String| async move {
            assert_eq!((length, query.as_str()), (5, "a=b"));
            "ok"
        };
        assert_eq!(answered(routes(seen), b"12345".to_vec()).await, 200);
        assert_eq!(answered(routes(|_, _| std::future::pending()), Vec::new()).await, 504);
        assert_eq!(answered(routes(|_, _| async { panic!("this is what the test is about") }), Vec::new()).await, 500);
    }

    #[tokio::test]
    async fn a_body_without_end_is_cut_off() {
        assert_eq!(answered(routes(|_, _| async { "ok" }), vec![0; body::LIMIT]).await, 200);
        assert_eq!(answered(routes(|_, _| async { "ok" }), vec![0; body::LIMIT + 1]).await, 413);
    }
}
