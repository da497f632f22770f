//! One process of its own: the public routes behind the gate, a timer and queues inside the process.

mod session_key;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::front::front;
use super::gate::Gate;
use super::queue::{self, Rules};
use super::work::{self, DEADLINE, Work};
use crate::app::App;
use crate::functions::{Functions, Trigger, parse_schedule};
use crate::telemetry::{trace, with_causes};

pub use session_key::ensure_session_key;

/// How long work may go on after it was asked to stop. Whatever is cut off is done again after the next start.
const GRACE: Duration = Duration::from_secs(10);

/// The longest single wait of the timer: a machine that slept looks at its clock again soon after.
const LONGEST_NAP: Duration = Duration::from_secs(30);

/// A running host. Dropping it stops it at once, [`Host::stop`] lets running work finish.
#[derive(Debug)]
pub struct Host {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

/// Why the host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Without keys, everybody who reaches the address could read every customer.
    #[error(
        "PARTNER_API_KEYS is not set, so only a loopback address such as 127.0.0.1 is allowed, not {0}; expected name:sha256hex"
    )]
    KeysNeeded(SocketAddr),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A timer's schedule is no NCRONTAB expression.
    #[error("the schedule {0:?} cannot be read")]
    Schedule(String),
}

impl Host {
    /// Starts to serve and to poll.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(app: Arc<App>, address: SocketAddr) -> Result<Self, Error> {
        let functions = Functions::embedded();
        let keys = &app.settings.api_keys;
        if keys.is_empty() && !address.ip().is_loopback() {
            return Err(Error::KeysNeeded(address));
        }
        let gate = Gate::new(functions.clone(), keys);
        let timers = timers(&functions, &app.settings.poll_schedule)?;
        let listen = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;

        let (stop, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let server = warp::serve(front(&app, Some(gate))).incoming(listener);
        tasks.spawn(server.graceful(stopped(&stop)).run());
        let (mut queues, mut readers) = (Queues::default(), Vec::new());
        for function in &functions.list {
            if let Trigger::Queue { queue, .. } = &function.trigger {
                let (sender, receiver) = mpsc::unbounded_channel();
                queues.0.insert(queue.clone(), sender);
                readers.push((function.name.clone(), receiver));
            }
        }
        for (name, receiver) in readers {
            let (app, stop, queues) = (Arc::clone(&app), stopped(&stop), queues.clone());
            let rules = Rules::from(&functions.host);
            tasks.spawn(async move {
                let clock = Arc::clone(&app.clock);
                let handle = |text: String| deliver(Arc::clone(&app), queues.clone(), name.clone(), text);
                queue::run(&name, rules, clock, receiver, stop, handle).await;
            });
        }
        for (name, schedule) in timers {
            tasks.spawn(timer(Arc::clone(&app), name, schedule, queues.clone(), stopped(&stop)));
        }
        tracing::info!(address = %local_addr, "listening");
        Ok(Self { local_addr, stop, tasks })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Takes no more work, lets what is running finish for some seconds, then ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            tracing::warn!("work that did not finish in time is cut off; it will be done again after the next start");
        }
    }
}

/// Ends when the process is asked to: Ctrl-C or SIGTERM.
pub async fn asked_to_stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// Ends when the host is stopped or dropped.
fn stopped(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// The ways into the queues, by name.
#[derive(Debug, Clone, Default)]
struct Queues(BTreeMap<String, mpsc::UnboundedSender<String>>);

impl Queues {
    fn send(&self, messages: Vec<(&'static str, String)>) {
        for (queue, text) in messages {
            // A queue that nobody reads is closed only while we stop: the next start plans anew.
            if let Some(sender) = self.0.get(queue) {
                let _ = sender.send(text);
            }
        }
    }
}

fn timers(functions: &Functions, poll_schedule: &str) -> Result<Vec<(String, croner::Cron)>, Error> {
    let mut timers = Vec::new();
    for function in &functions.list {
        if let Trigger::Timer { schedule, .. } = &function.trigger {
            let text = if schedule == "%POLL_SCHEDULE%" { poll_schedule } else { schedule };
            let schedule = parse_schedule(text).map_err(|_| Error::Schedule(text.to_owned()))?;
            timers.push((function.name.clone(), schedule));
        }
    }
    Ok(timers)
}

/// Runs a timer function by its schedule. It never overlaps itself, and times that passed meanwhile are not made up for.
async fn timer(app: Arc<App>, name: String, schedule: croner::Cron, queues: Queues, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut after = app.clock.now();
    loop {
        let Ok(next) = schedule.find_next_occurrence(&after, false) else {
            tracing::warn!(function = name, "the schedule has no next time: the timer ends");
            return;
        };
        loop {
            let left = (next - app.clock.now()).to_std().unwrap_or_default();
            if left.is_zero() {
                break;
            }
            tokio::select! {
                () = &mut stop => return,
                () = app.clock.sleep(left.min(LONGEST_NAP)) => {}
            }
        }
        if let Some(work) = Work::of_timer(&name)
            && let Some(messages) = perform(&app, work).await
        {
            queues.send(messages);
        }
        after = app.clock.now().max(next);
    }
}

/// One delivery of a message; false when it is to come again.
async fn deliver(app: Arc<App>, queues: Queues, function: String, text: String) -> bool {
    match Work::of_message(&function, &text) {
        Some(Ok(work)) => match perform(&app, work).instrument(trace::processing(&function, &text)).await {
            Some(messages) => {
                queues.send(messages);
                true
            }
            None => false,
        },
        Some(Err(failure)) => {
            tracing::error!(function, error = with_causes(&failure), "failed");
            false
        }
        None => false,
    }
}

async fn perform(app: &Arc<App>, work: Work) -> Option<Vec<(&'static str, String)>> {
    let span = tracing::info_span!("invocation", function = work.function());
    async {
        match work::run(app, work, DEADLINE).await {
            Ok(done) => {
                tracing::info!(summary = done.summary, "done");
                Some(done.messages)
            }
            Err(failure) => {
                tracing::error!(error = with_causes(&failure), "failed");
                None
            }
        }
    }
    .instrument(span)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_timer_has_a_schedule_that_can_be_read() {
        let timers = timers(&Functions::embedded(), "0 */5 * * * *").unwrap();
        assert_eq!(timers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["PollTimer"]);
        let error = super::timers(&Functions::embedded(), "now and then").unwrap_err();
        assert!(error.to_string().contains("now and then"));
    }
}
