//! All that the world may ask, the same on every host: the gate where one is needed, the routes, and the one place where a
//! rejection becomes an answer.

use std::convert::Infallible;
use std::sync::Arc;

use warp::Filter as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::path::FullPath;
use warp::reject::{self, Reject, Rejection};
use warp::reply::Response;

use super::gate::{Asked, Gate, Refusal};
use crate::api::problem::Problem;
use crate::app::App;
use crate::{api, pages};

/// Every public route. Never rejects. Without a gate the host in front has checked route, method and key.
pub(super) fn front(app: &Arc<App>, gate: Option<Gate>) -> BoxedFilter<(Response,)> {
    let routes = api::routes(Arc::clone(app)).or(pages::routes(Arc::clone(app))).unify();
    let gated = match gate {
        Some(gate) => pass(gate).and(routes).boxed(),
        None => routes.boxed(),
    };
    gated.recover(answer).unify().with(warp::log::custom(log)).map(warp::Reply::into_response).boxed()
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

/// One line for each request; never its query, which may hold codes and keys.
fn log(info: warp::log::Info<'_>) {
    tracing::info!(
        http.method = %info.method(),
        http.path = info.path(),
        http.status = info.status().as_u16(),
        took_ms = info.elapsed().as_millis() as u64,
        "answered"
    );
}
