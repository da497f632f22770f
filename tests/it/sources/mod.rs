//! What is read where and when: each source, its cadence, what it may cost, and what is done when Azure wants to be asked slowly.

mod activity_log;
mod cadence;
mod emerging;
mod pace;

use std::time::Duration;

use health_monitor::model::{Snapshot, SubscriptionId, TenantId};
use health_monitor::sandbox::{Event, World};

use crate::support::TestApp;
use crate::support::builders::{contoso, onboarded, outage};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The requests since the last look whose path ends so, with their queries.
fn asked(app: &TestApp, path_ends: &str) -> Vec<String> {
    let requests = app.sandbox.requests().into_iter().filter(|request| request.path.ends_with(path_ends));
    requests.map(|request| format!("{}?{}", request.path, request.query)).collect()
}

fn event<'a>(snapshot: &'a Snapshot, id: &str) -> &'a health_monitor::model::EventRecord {
    &snapshot.events[&id.parse().expect("a tracking id")]
}
