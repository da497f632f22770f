//! AWS Lambda: one function for HTTP, the schedule and the queue. Which it is, the event says.

mod event;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, RequestExt as _};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde_json::{Value, json};
use tower_service::Service as _;
use tracing::Instrument as _;
use warp::filters::BoxedFilter;
use warp::http::{HeaderValue, StatusCode, Uri, header};
use warp::reply::Response;

use self::event::{Event, Record};
use super::callers::{self, Peer};
use super::front::front;
use super::gate::Gate;
use super::sqs;
use super::work::{self, DEADLINE, Done, Failure, Work};
use crate::api::problem::Problem;
use crate::app::App;
use crate::functions::{Functions, Trigger};
use crate::telemetry::{self, trace, with_causes};

/// Messages of one batch worked on at once; Lambda scales by running more of us.
const IN_FLIGHT: usize = 4;
/// What is left of an invocation's time for our answer.
const MARGIN: Duration = Duration::from_secs(2);

/// The Lambda host.
#[derive(Clone)]
pub struct Lambda {
    app: Arc<App>,
    queues: Vec<sqs::Queue>,
    functions: Arc<Functions>,
    routes: BoxedFilter<(Response,)>,
}

/// Why an invocation failed. Lambda then does it again by its own rules.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event is none that this function is for.
    #[error("the event is not understood: {0}")]
    UnknownEvent(String),
    /// The work was not done.
    #[error(transparent)]
    Work(#[from] Failure),
    /// The work was done, but what it left to do could not be handed on.
    #[error(transparent)]
    Queue(#[from] sqs::Error),
}

impl From<Error> for Diagnostic {
    /// What Lambda shows to whoever called, and counts by.
    fn from(error: Error) -> Self {
        let error_type = match &error {
            Error::UnknownEvent(_) => "UnknownEvent",
            Error::Work(Failure::Malformed(_)) => "MalformedMessage",
            Error::Work(Failure::Overdue(_)) => "Overdue",
            Error::Work(Failure::Poll(_) | Failure::Deliver(_)) => "WorkNotDone",
            Error::Queue(_) => "QueueUnavailable",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

impl Lambda {
    /// The host around the app. The queues are where work is handed on.
    pub fn new(app: Arc<App>, queues: Vec<sqs::Queue>) -> Self {
        let functions = Functions::embedded();
        let gate = Gate::new(functions.clone(), &app.settings.api_keys);
        let routes = front(&app, Some(gate));
        Self { app, queues, functions: Arc::new(functions), routes }
    }

    /// Serves events until Lambda ends the process.
    ///
    /// # Errors
    /// When the Runtime API cannot be reached.
    pub async fn run(self) -> Result<(), lambda_runtime::Error> {
        let handle = |event: LambdaEvent<Value>| {
            let host = self.clone();
            async move {
                let answer = host.dispatch(event).await;
                // Lambda freezes us as soon as it has the answer.
                telemetry::flush().await;
                answer.inspect_err(|error| tracing::error!(error = with_causes(error), "failed"))
            }
        };
        lambda_runtime::run(lambda_runtime::service_fn(handle)).await
    }

    /// Does what one event asks for, and gives what Lambda wants to hear.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn dispatch(&self, event: LambdaEvent<Value>) -> Result<Value, Error> {
        let LambdaEvent { payload, context } = event;
        let limit = self.time_left(&context);
        match Event::recognise(&payload).map_err(Error::UnknownEvent)? {
            Event::Http => self.http(payload, context, limit).await,
            Event::Schedule { function } => self.timer(&function, limit).await,
            Event::Queue { name, records } => {
                let Some(function) = self.reader(&name) else {
                    return Err(Error::UnknownEvent(format!("messages of a queue {name}")));
                };
                Ok(self.batch(&function, records, limit).await)
            }
        }
    }

    /// Never longer than what Lambda gives this invocation.
    fn time_left(&self, context: &Context) -> Duration {
        let now = u64::try_from(self.app.clock.now().timestamp_millis()).unwrap_or_default();
        match context.deadline.checked_sub(now) {
            Some(left) => Duration::from_millis(left).saturating_sub(MARGIN).clamp(Duration::from_secs(1), DEADLINE),
            // Lambda starts nothing that is overdue: an emulator put something else there.
            None => DEADLINE,
        }
    }

    async fn http(&self, payload: Value, context: Context, limit: Duration) -> Result<Value, Error> {
        let request: LambdaRequest =
            serde_json::from_str(&payload.to_string()).map_err(|error| Error::UnknownEvent(error.to_string()))?;
        let routes = self.routes.clone();
        let answer = lambda_http::service_fn(move |request: lambda_http::Request| {
            let mut service = warp::service(routes.clone());
            async move {
                let answered = tokio::time::timeout(limit, service.call(plain(request))).await;
                Ok::<_, Infallible>(match answered {
                    Ok(Ok(response)) => response,
                    Err(_) => overdue(),
                })
            }
        });
        let Ok(response) = Adapter::from(answer).call(LambdaEvent::new(request, context)).await;
        Ok(serde_json::to_value(response).expect("a Lambda answer is always JSON"))
    }

    async fn timer(&self, function: &str, limit: Duration) -> Result<Value, Error> {
        let work = Work::of_timer(function)
            .ok_or_else(|| Error::UnknownEvent(format!("a schedule for the function {function:?}")))?;
        let span = tracing::info_span!("invocation", faas.name = function);
        let done = work::run(&self.app, work, limit).instrument(span).await?;
        self.hand_on(&done).await?;
        tracing::info!(function, summary = done.summary, "done");
        Ok(json!({ "summary": done.summary }))
    }

    /// The function that reads a queue.
    fn reader(&self, queue: &str) -> Option<String> {
        let reads = |trigger: &Trigger| matches!(trigger, Trigger::Queue { queue: read, .. } if read == queue);
        Some(self.functions.list.iter().find(|function| reads(&function.trigger))?.name.clone())
    }

    /// Sends what a piece of work left to be done.
    async fn hand_on(&self, done: &Done) -> Result<(), sqs::Error> {
        for queue in &self.queues {
            let of_queue = done.messages.iter().filter(|(name, _)| *name == queue.name());
            let messages: Vec<String> = of_queue.map(|(_, text)| text.clone()).collect();
            queue.send(&messages).await?;
        }
        Ok(())
    }

    /// Each message by itself: only those that failed come again.
    async fn batch(&self, function: &str, records: Vec<Record>, limit: Duration) -> Value {
        let deliveries: Vec<_> =
            records.into_iter().map(|record| self.clone().deliver(function.to_owned(), record, limit)).collect();
        let failed: Vec<Option<String>> = stream::iter(deliveries).buffer_unordered(IN_FLIGHT).collect().await;
        let failures: Vec<Value> = failed.into_iter().flatten().map(|id| json!({ "itemIdentifier": id })).collect();
        json!({ "batchItemFailures": failures })
    }

    /// The message's id, when it failed.
    async fn deliver(self, function: String, record: Record, limit: Duration) -> Option<String> {
        let done = match Work::of_message(&function, &record.body)? {
            Ok(work) => {
                let span = trace::processing(&function, &record.body);
                work::run(&self.app, work, limit).instrument(span).await
            }
            Err(failure) => Err(failure),
        };
        match done {
            Ok(done) => {
                // Not sent, it is found in the outbox by the next timer: doing the work again would not send it sooner.
                if let Err(error) = self.hand_on(&done).await {
                    tracing::warn!(
                        function,
                        error = &error as &dyn std::error::Error,
                        "what is to be done was not handed on"
                    );
                }
                tracing::info!(function, summary = done.summary, "done");
                None
            }
            Err(failure) => {
                tracing::error!(function, message.id = record.message_id, error = with_causes(&failure), "failed");
                Some(record.message_id)
            }
        }
    }
}

/// The request as the routes know it: without the stage in its path, with the length of its body, and from whom it is.
fn plain(mut request: lambda_http::Request) -> lambda_http::Request {
    let source = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        Some(RequestContext::ApiGatewayV1(context)) => context.identity.source_ip.clone(),
        // A load balancer names the caller only there, after whatever he wrote himself.
        _ => request.headers().get("x-forwarded-for").and_then(|value| Some(value.to_str().ok()?.to_owned())),
    };
    if let Some(address) = source.as_deref().and_then(callers::last) {
        request.extensions_mut().insert(Peer(address));
    }
    let stage = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone(),
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.clone(),
        _ => None,
    };
    if let Some(stage) = stage
        && let Some(rest) = request.uri().path().strip_prefix(&format!("/{stage}/"))
    {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        if let Ok(uri) = format!("/{rest}{query}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    let length = match request.body() {
        lambda_http::Body::Text(text) => text.len(),
        lambda_http::Body::Binary(bytes) => bytes.len(),
        _ => 0,
    };
    // Not every front sends it, or it counts the encoded body.
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    request
}

fn overdue() -> Response {
    let detail = "The answer took too long; ask again.";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "overdue", "Overdue", detail).into_response()
}
