//! Plays the Azure Functions host over loopback, with the real handler binary out of an assembled package
//! ("functions-host", section 9). It fails where the real host fails: on answers that are empty, of another type or no JSON.

mod front;
mod handler;
mod invoke;
mod queues;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use health_monitor::functions::{Functions, Trigger};
use health_monitor::package;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use handler::{Level, Line, collect};
pub use invoke::{Framing, InvocationError, Payload};
pub use queues::{Delivery, Message};

/// The package, put together once for all tests of this run.
static PACKAGE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("package");
    package::assemble(&root, env!("CARGO_BIN_EXE_azure").as_ref(), "{}").unwrap();
    package::check(&root).expect("the assembled package is one");
    (directory, root)
});

/// A host whose address is known and that has not started yet.
pub struct Prepared {
    listener: TcpListener,
    /// What browsers see.
    pub base: String,
}

/// A running host.
pub struct FunctionsHost {
    /// What browsers see.
    pub base: String,
    inner: Arc<Inner>,
}

struct Inner {
    functions: Functions,
    handler: handler::Handler,
    queues: Mutex<queues::Queues>,
    /// The function key that is asked for; None is how `func start` does it.
    key: Option<String>,
    calls: AtomicUsize,
}

/// The three shapes of a timer's status.
#[derive(Debug, Clone, Copy)]
pub enum TimerStatus {
    /// It never ran before.
    First,
    /// It runs in time.
    Regular,
    /// It should have run before.
    PastDue,
    /// Its runs are not recorded.
    Unmonitored,
}

impl Prepared {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, base }
    }

    /// The listener alone, for another host at the same address.
    pub fn into_listener(self) -> TcpListener {
        self.listener
    }

    /// Starts the handler with these app settings and waits until it is ready.
    pub async fn start(self, settings: BTreeMap<String, String>) -> FunctionsHost {
        self.start_with_key(settings, None).await
    }

    /// The same with function keys turned on.
    pub async fn start_with_key(self, settings: BTreeMap<String, String>, key: Option<&str>) -> FunctionsHost {
        let functions = Functions::embedded();
        let queues = Mutex::new(queues::Queues::new(&functions.host));
        let handler = handler::Handler::start(PACKAGE.1.clone(), settings).await.expect("the handler gets ready");
        let key = key.map(str::to_owned);
        let inner = Arc::new(Inner { functions, handler, queues, key, calls: AtomicUsize::new(0) });
        tokio::spawn(front::serve(self.listener, Arc::clone(&inner)));
        FunctionsHost { base: self.base, inner }
    }
}

impl FunctionsHost {
    /// Fires a timer now; what it puts out is in the queues afterwards.
    pub async fn fire_timer(&self, function: &str, status: TimerStatus) -> Result<Value, InvocationError> {
        self.inner.fire_timer(function, status).await
    }

    /// Delivers the first visible message of a queue; None when there is none.
    pub async fn deliver(&self, queue: &str) -> Option<Delivery> {
        self.inner.deliver(queue).await
    }

    /// Delivers until nothing is visible.
    pub async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while let Some(delivery) = self.deliver(queue).await {
            deliveries.push(delivery);
        }
        deliveries
    }

    /// Puts a message into a queue, as somebody outside would.
    pub fn enqueue(&self, queue: &str, text: &str) {
        self.inner.queues.lock().unwrap().put(queue, text);
    }

    /// All messages of a queue, visible or not.
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        self.inner.queues.lock().unwrap().messages(queue)
    }

    /// Lets (virtual) time pass: failed messages become visible again.
    pub fn advance(&self, duration: Duration) {
        self.inner.queues.lock().unwrap().advance(duration);
    }

    /// Calls a function with any body, and gives the raw answer.
    pub async fn call_raw(&self, function: &str, body: &[u8], framing: Framing) -> std::io::Result<invoke::Answer> {
        invoke::post(self.inner.handler.port, function, body, framing).await
    }

    /// SIGKILL, as the host ends a handler. The next call starts it again.
    pub async fn kill(&self) {
        self.inner.handler.kill().await;
    }

    /// All that the handler wrote, once it wrote a line with this text.
    pub async fn log_with(&self, text: &str) -> Vec<Line> {
        for _ in 0..200 {
            let log = self.log();
            if log.iter().any(|line| line.text.contains(text)) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no line with {text:?} in {:?}", self.log());
    }

    /// All that the handler wrote.
    pub fn log(&self) -> Vec<Line> {
        self.inner.handler.log()
    }
}

impl Inner {
    async fn fire_timer(&self, name: &str, status: TimerStatus) -> Result<Value, InvocationError> {
        let function = self.functions.named(name).expect("the function exists");
        let Trigger::Timer { binding, .. } = &function.trigger else { panic!("{name} has no timer") };
        let last = |last: &str| json!({"Last": last, "Next": "2026-01-15T12:05:00+00:00", "LastUpdated": last});
        let (schedule_status, past_due) = match status {
            TimerStatus::First => (last("0001-01-01T00:00:00+00:00"), false),
            TimerStatus::Regular => (last("2026-01-15T12:00:00.0021+00:00"), false),
            TimerStatus::PastDue => (last("2026-01-15T08:00:00.0021+00:00"), true),
            TimerStatus::Unmonitored => (Value::Null, false),
        };
        let timer = json!({
            "Schedule": {"AdjustForDST": true}, "ScheduleStatus": schedule_status, "IsPastDue": past_due,
        });
        self.invoke(name, Payload::new(binding, timer)).await
    }

    async fn deliver(&self, queue: &str) -> Option<Delivery> {
        let function = self
            .functions
            .list
            .iter()
            .find(|function| matches!(&function.trigger, Trigger::Queue { queue: known, .. } if known == queue));
        let function = function.expect("a function reads the queue");
        let Trigger::Queue { binding, .. } = &function.trigger else { unreachable!() };
        let message = self.queues.lock().unwrap().take(queue)?;
        if message.is_worn_out {
            return Some(Delivery { message, result: Err(InvocationError::Poison) });
        }
        let payload = Payload::of_message(binding, &message);
        let result = self.invoke(&function.name, payload).await;
        self.queues.lock().unwrap().settle(queue, &message, result.is_ok());
        Some(Delivery { message, result })
    }

    /// One call by payload. Framings take turns: Azure sends chunks, the tools a length.
    async fn invoke(&self, name: &str, payload: Payload) -> Result<Value, InvocationError> {
        self.handler.ensure_running().await?;
        let turn = self.calls.fetch_add(1, Ordering::SeqCst);
        let framing = if turn.is_multiple_of(2) { Framing::Chunked } else { Framing::Length };
        let body = payload.body(name);
        let answer = invoke::post(self.handler.port, name, body.as_bytes(), framing);
        let timeout = self.functions.host.function_timeout;
        let answer = match tokio::time::timeout(timeout, answer).await {
            Ok(answer) => answer.map_err(|error| InvocationError::Connection(error.to_string()))?,
            Err(_) => {
                self.handler.kill().await;
                return Err(InvocationError::Timeout);
            }
        };
        let answer = invoke::judge(&answer)?;
        let function = self.functions.named(name).expect("the function exists");
        let messages = invoke::queue_messages(function, &answer)?;
        let mut queues = self.queues.lock().unwrap();
        for (queue, text) in messages {
            queues.put(&queue, &text);
        }
        Ok(answer)
    }
}
