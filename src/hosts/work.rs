//! What a timer or a queue message asks for, the same on every host.

use std::sync::Arc;
use std::time::Duration;

use chrono::Timelike as _;

use crate::app::App;
use crate::consent;
use crate::daemon;
use crate::history;
use crate::life;
use crate::notify::{self, NoticeMessage};
use crate::poll::{self, PollMessage};
use crate::telemetry::trace;

/// When we give a call up ourselves. It must be shorter than `functionTimeout` of host.json, since the host ends an overdue
/// call by killing the process with all other calls in it; a test compares the two.
pub const DEADLINE: Duration = Duration::from_secs(8 * 60);

/// What an erased customer left is looked for in the first minutes of each hour: two listings are too much for every minute.
const ORPHANS_UNTIL_MINUTE: u32 = 3;

/// How long the status page of the cloud may keep the planning waiting.
const EMERGING_LIMIT: Duration = Duration::from_secs(5);
/// Old entries of the delivery log are removed once a day, in the first minutes of this hour, UTC.
const LOG_SWEPT_AT_HOUR: u32 = 3;

/// The queue of customers to poll.
pub const POLLS: &str = "health-poll";

/// The queue of notices to tell.
pub const NOTICES: &str = "health-notices";

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Plan who is due.
    PollTimer,
    /// Poll one customer.
    PollTenant(PollMessage),
    /// Tell some notices.
    DeliverNotice(NoticeMessage),
}

/// What a piece of work left to be done and said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Messages for queues, each with the queue's name.
    pub messages: Vec<(&'static str, String)>,
    /// One line of what was done.
    pub summary: String,
}

/// Why a piece of work was not done. It is to be done again by the host's own means.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The message is none of ours; doing it again will not help, so the host ends it as poison.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// It took too long.
    #[error("not done within {} s", .0.as_secs())]
    Overdue(Duration),
    /// The poll failed.
    #[error(transparent)]
    Poll(#[from] poll::Error),
    /// The notices could not be worked on: the store failed.
    #[error(transparent)]
    Deliver(#[from] crate::store::Error),
}

impl Work {
    /// The work of a timer function, or None when there is no such function.
    pub fn of_timer(function: &str) -> Option<Self> {
        (function == "PollTimer").then_some(Self::PollTimer)
    }

    /// The work that a message of a queue function asks for, or None when there is no such function.
    ///
    /// # Errors
    /// [`Failure::Malformed`].
    pub fn of_message(function: &str, text: &str) -> Option<Result<Self, Failure>> {
        let work = match function {
            "PollTenant" => serde_json::from_str(text).map(Self::PollTenant),
            "DeliverNotice" => serde_json::from_str(text).map(Self::DeliverNotice),
            _ => return None,
        };
        Some(work.map_err(|error| Failure::Malformed(error.to_string())))
    }

    /// The function that this work belongs to.
    pub fn function(&self) -> &'static str {
        match self {
            Self::PollTimer => "PollTimer",
            Self::PollTenant(_) => "PollTenant",
            Self::DeliverNotice(_) => "DeliverNotice",
        }
    }
}

/// Does it, within `limit` at most. Done twice, it gives the same.
///
/// # Errors
/// [`Failure::Overdue`], [`Failure::Poll`], [`Failure::Deliver`].
pub async fn run(app: &Arc<App>, work: Work, limit: Duration) -> Result<Done, Failure> {
    let mut done = tokio::time::timeout(limit, perform(app, work)).await.map_err(|_| Failure::Overdue(limit))??;
    for (_, text) in &mut done.messages {
        *text = trace::carried(std::mem::take(text));
    }
    Ok(done)
}

async fn perform(app: &Arc<App>, work: Work) -> Result<Done, Failure> {
    match work {
        Work::PollTimer => {
            // Housekeeping must not keep anybody from being polled.
            if let Err(error) = consent::prune_sessions(app).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "ended sign-in sessions could not be removed");
            }
            consent::lighthouse::discover_when_due(app).await;
            if app.clock.now().minute() < ORPHANS_UNTIL_MINUTE
                && let Err(error) = life::sweep_orphans(app).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "left-over documents could not be removed");
            }
            if app.clock.now().hour() == LOG_SWEPT_AT_HOUR
                && app.clock.now().minute() < ORPHANS_UNTIL_MINUTE
                && let Err(error) = notify::log::sweep(app).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "old notices could not be removed");
            }
            if history::compact::is_due(app.clock.now())
                && let Err(error) = history::compact_some(app).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "old timelines could not be put together");
            }
            if let Err(error) = poll::credential::warn_of_expiry(app).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the end of our credential could not be told");
            }
            if let Err(error) = notify::remind(app).await {
                tracing::error!(error = &error as &dyn std::error::Error, "reminders could not be found");
            }
            // Metrics are told of what is kept, and nobody's poll waits for them.
            let (planned, ()) = tokio::join!(poll::plan(app), publish_metrics(app));
            let planned = planned?;
            if !planned.is_empty() {
                read_emerging(app).await;
            }
            // The last of its own work, since it says that all went well. Without it the next run is the heartbeat, and customers are polled.
            if let Err(error) = poll::pulse::beat(app).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the heartbeat could not be noted");
            }
            // Nor may trouble with notices.
            let notices = match notify::due_now(app).await {
                Ok(notices) => notices,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "which notices are due could not be read"
                    );
                    Vec::new()
                }
            };
            let mut summary = format!("{} customers are due", planned.len());
            if !notices.is_empty() {
                summary.push_str(&format!(", {} messages of notices", notices.len()));
            }
            let polls = planned.iter().map(|message| (POLLS, text(message)));
            let messages = polls.chain(notices.iter().map(|message| (NOTICES, text(message)))).collect();
            Ok(Done { messages, summary })
        }
        Work::PollTenant(PollMessage { tenant_id, .. }) => match poll::poll_tenant(app, tenant_id).await {
            Ok(report) => {
                let summary = format!("polled {tenant_id}: {} transitions", report.transitions);
                let messages = report.notices.iter().map(|message| (NOTICES, text(message))).collect();
                Ok(Done { messages, summary })
            }
            // Removed since it was planned: there is nothing left to do, now or later.
            Err(poll::Error::UnknownCustomer(_)) => {
                Ok(Done { messages: Vec::new(), summary: format!("{tenant_id} is no customer any more") })
            }
            Err(error) => Err(error.into()),
        },
        Work::DeliverNotice(message) => {
            let report = notify::deliver::deliver(app, &message).await?;
            let notify::deliver::Report { told, ended, left } = report;
            Ok(Done { messages: Vec::new(), summary: format!("{told} notices told, {ended} ended, {left} wait on") })
        }
    }
}

/// The status page of the cloud, which has customers of ours. Nobody is kept from being polled by it.
async fn read_emerging(app: &Arc<App>) {
    match tokio::time::timeout(EMERGING_LIMIT, poll::emerging::read_when_due(app)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the emerging issues could not be kept");
        }
        Err(_) => tracing::warn!("the emerging issues took too long to read"),
    }
}

/// The customers' health as metrics, where a resource is set for them. A failure is told, and tried again by the next timer.
async fn publish_metrics(app: &App) {
    match daemon::health_metrics::publish(app).await {
        Ok(None) => {}
        Ok(Some(published)) => {
            for (metric, reason) in &published.dropped {
                tracing::warn!(metric, reason, "a metric was dropped");
            }
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "health could not be published as metrics; a new role takes up to 60 minutes");
        }
    }
}

fn text(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).expect("a message is ids only, which are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_found_by_the_functions_name_and_its_message() {
        assert_eq!(Work::of_timer("PollTimer"), Some(Work::PollTimer));
        assert_eq!(Work::of_timer("PollTenant"), None);
        let text = r#"{"tenantId":"11111111-1111-4111-8111-111111111111"}"#;
        let work = Work::of_message("PollTenant", text).unwrap().unwrap();
        assert_eq!(work.function(), "PollTenant");
        assert!(Work::of_message("PollTimer", text).is_none());
        for wrong in ["", "{}", "[]", "null", r#"{"tenantId":"x"}"#] {
            let failure = Work::of_message("PollTenant", wrong).unwrap().unwrap_err();
            assert!(matches!(failure, Failure::Malformed(_)), "{wrong}");
        }
    }
}
