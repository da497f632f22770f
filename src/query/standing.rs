//! Where every customer stands, in numbers.

use std::collections::BTreeMap;

use super::view::{self, CustomerSummary, EventSummary};
use super::{Error, everything, summary};
use crate::app::App;
use crate::model::EventType;

/// The event types that a customer without any is said to have none of.
const TYPES: [EventType; 4] =
    [EventType::ServiceIssue, EventType::PlannedMaintenance, EventType::HealthAdvisory, EventType::SecurityAdvisory];

/// One customer's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The summary.
    pub summary: CustomerSummary,
    /// Active events by type; the usual types are there even when there are none.
    pub active_events: BTreeMap<String, usize>,
}

/// All customers, in order of tenant ids.
///
/// # Errors
/// [`Error::Store`].
pub async fn all(app: &App) -> Result<Vec<Standing>, Error> {
    let (all, now) = (everything(app).await?, app.clock.now());
    let standing = |(customer, snapshot): &(std::sync::Arc<_>, Option<std::sync::Arc<crate::model::Snapshot>>)| {
        let events = snapshot.as_deref().map(|snapshot| view::events(snapshot, None)).unwrap_or_default();
        let mut active_events: BTreeMap<_, _> = TYPES.iter().map(|kind| (kind.to_string(), 0)).collect();
        for event in events.iter().filter(|event| EventSummary::is_active(event)) {
            *active_events.entry(event.event_type.to_string()).or_default() += 1;
        }
        Standing { summary: summary(customer, snapshot.as_deref(), now).0, active_events }
    };
    Ok(all.iter().map(standing).collect())
}
