//! The Azure Functions custom handler: HTTP passed through as it is, timers and queues as payloads on `POST /<function>`.

mod payload;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tracing::Instrument as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::Response;
use warp::{Buf, Filter as _};

use super::body;
use super::front::front;
use super::work::{self, DEADLINE, Failure};
use crate::api::problem::Problem;
use crate::app::App;
use crate::functions::{Function, Functions, Trigger};
use crate::telemetry::{self, trace, with_causes};

/// Binds the port that the host has chosen. To be called before anything slow: the host knocks each 25 ms from the start.
///
/// # Errors
/// When the port is taken.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    // The host always dials 127.0.0.1; nobody else may call, since the host has checked the keys.
    TcpListener::bind(("127.0.0.1", port)).await
}

/// Serves until the process is killed, which the host does without a word at any moment. HTTP/1.1, which is all that the host
/// speaks: the half of HTTP/2 that answers would only make the package larger.
pub async fn serve(app: Arc<App>, listener: TcpListener) {
    let routes = routes(&app);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The connection's own end: the next may be sound.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => continue,
            // More files than are allowed: some will be closed.
            Err(error) => {
                tracing::error!(error = with_causes(&error), "accepting a connection");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(warp::service(routes.clone()));
        tokio::spawn(async move {
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::error!(error = with_causes(&error), "serving a connection");
            }
        });
    }
}

/// Everything that the host may call.
fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    // Readiness: any answer will do, at once.
    let ready = warp::path::end().map(|| Response::new("ready\n".into()));
    let functions = Arc::new(Functions::embedded());
    let with_app = Arc::clone(app);
    let called = warp::post()
        .and(warp::path::param())
        .and(warp::path::end())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(move |name: String, headers: HeaderMap, body| {
            let (app, functions) = (Arc::clone(&with_app), Arc::clone(&functions));
            async move {
                let invocation = headers.get("x-azure-functions-invocationid").and_then(|id| id.to_str().ok());
                let span = tracing::info_span!(
                    "invocation",
                    otel.name = %format!("invocation {name}"),
                    faas.name = name,
                    faas.invocation_id = invocation
                );
                trace::go_on(&span, &headers);
                let answer = call(&app, &functions, &name, body).instrument(span).await;
                // The host may end the process at any moment.
                telemetry::flush().await;
                answer
            }
        });
    ready.or(called).unify().or(front(app, None)).unify().boxed()
}

async fn call<B: Buf, E>(
    app: &Arc<App>,
    functions: &Functions,
    name: &str,
    body: impl Stream<Item = Result<B, E>>,
) -> Response {
    let Some(function) = functions.named(name).filter(|function| !matches!(function.trigger, Trigger::Http { .. }))
    else {
        let detail = format!("There is no function {name:?} that is called with a payload.");
        return Problem::new(StatusCode::NOT_FOUND, "unknown-function", "Unknown function", detail).into_response();
    };
    let body = match body::collect(body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let span = match payload::message(function, &body) {
        Some(text) => trace::processing(name, &text),
        None => tracing::Span::current(),
    };
    let work = match payload::work(function, &body) {
        Ok(work) => work,
        Err(failure) => return failed(&failure),
    };
    match work::run(app, work, DEADLINE).instrument(span).await {
        Ok(done) => {
            tracing::info!(summary = done.summary, "done");
            succeeded(function, done)
        }
        Err(failure) => failed(&failure),
    }
}

/// Never empty, always this content type: the host hangs or fails on anything else ("functions-host" 3.5).
fn succeeded(function: &Function, done: work::Done) -> Response {
    let answer = payload::answer(function, done);
    let mut response = Response::new(answer.to_string().into());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

/// Any other status than 2xx makes the host try again, and at last set the message aside. The body is for people who look.
fn failed(failure: &Failure) -> Response {
    let (status, kind, title, detail) = match failure {
        Failure::Malformed(why) => {
            (StatusCode::BAD_REQUEST, "malformed-payload", "Malformed payload", format!("Not understood: {why}."))
        }
        Failure::Overdue(_) => {
            (StatusCode::GATEWAY_TIMEOUT, "overdue", "Overdue", "The work took too long.".to_owned())
        }
        Failure::Poll(_) | Failure::Deliver(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "failed", "Failed", "The log says why.".to_owned())
        }
    };
    tracing::error!(error = with_causes(failure), "failed");
    Problem::new(status, kind, title, detail).into_response()
}
