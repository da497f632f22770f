//! The customers' health as metrics on a resource of the partner's own, once a minute, from what is kept.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::app::App;
use crate::azure::{MetricDocument, MetricsError, Published, Series, WINDOW, minute};
use crate::model::Timestamp;
use crate::query;
use crate::query::standing::{self, Standing};
use crate::query::view::HealthStatus;

/// The namespace of our metrics.
pub const NAMESPACE: &str = "AzureHealthPartner";

/// Customers with a series of their own. Azure advises less than a hundred values of a dimension; the last is `others`.
pub const MOST_CUSTOMERS: usize = 98;

/// The values of both dimensions for all customers beyond.
pub const OTHERS: &str = "others";

/// The dimensions that every metric begins with.
const CUSTOMER: [&str; 2] = ["Customer", "CustomerTenant"];

/// How long publishing may hold a timer up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this process has published, and has still to.
#[derive(Debug, Default)]
pub struct Publisher(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: Option<Timestamp>,
    /// What Azure did not take yet, at most as much as it still would.
    waiting: VecDeque<MetricDocument>,
}

/// Why metrics were not published now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is kept could not be read.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// Azure did not take them.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Publishes this minute's metrics, and those of earlier minutes that Azure did not take. None: there is no resource to publish
/// for, or this minute was published before.
///
/// # Errors
/// [`Error`]: what was not taken is kept for the next time, as long as Azure would take it.
pub async fn publish(app: &App) -> Result<Option<Published>, Error> {
    let Some(target) = &app.settings.health_metrics else { return Ok(None) };
    let this = minute(app.clock.now());
    let held = || app.health_metrics.0.lock().unwrap_or_else(PoisonError::into_inner);
    // Taken by one at a time: whoever comes second finds the minute done.
    let before = held().last.replace(this);
    if before.is_some_and(|last| last >= this) {
        held().last = before;
        return Ok(None);
    }
    let fresh = match standing::all(app).await {
        Ok(all) => documents(&all, this),
        Err(error) => {
            held().last = before;
            return Err(error.into());
        }
    };
    let mut waiting: Vec<MetricDocument> = held().waiting.drain(..).collect();
    waiting.retain(|document| this - document.time <= WINDOW);
    waiting.extend(fresh);
    match app.azure.publish_metrics(target, &waiting, PATIENCE).await {
        Ok(published) => Ok(Some(published)),
        Err(error) => {
            held().waiting.extend(waiting);
            Err(error.into())
        }
    }
}

/// The metrics of one minute. What is not known of a customer has no number: it is `unknown`. Pure.
pub fn documents(all: &[Standing], at: Timestamp) -> Vec<MetricDocument> {
    let mut order: Vec<&Standing> = all.iter().collect();
    // Whoever needs looking at is named; the rest in an order that stays.
    let rank = |status: HealthStatus| std::cmp::Reverse(status);
    order.sort_by_key(|one| (rank(one.summary.status), one.summary.tenant_id));
    let names: Vec<(&Standing, [String; 2])> = order
        .into_iter()
        .enumerate()
        .map(|(place, one)| {
            let named = place < MOST_CUSTOMERS;
            let id = one.summary.tenant_id.to_string();
            (one, if named { [label(&one.summary.display_name, &id), id] } else { [OTHERS, OTHERS].map(str::to_owned) })
        })
        .collect();
    let mut statuses = Table::default();
    let (mut events, mut resources, mut gaps, mut ages) =
        (Table::default(), Table::default(), Table::default(), Table::default());
    for (one, customer) in &names {
        let summary = &one.summary;
        for (status, word) in STATUSES {
            statuses.add(customer, Some(word), f64::from(u8::from(status == summary.status)));
        }
        gaps.add(customer, None, count(summary.coverage.gap_count));
        let Some(as_of) = summary.as_of else { continue };
        ages.add(customer, None, f64::from(i32::try_from((at - as_of).num_seconds().max(0)).unwrap_or(i32::MAX)));
        // What was read may be less than there is: no number then.
        if summary.status != HealthStatus::Unknown {
            for (kind, number) in &one.active_events {
                events.add(customer, Some(kind), count(*number));
            }
            resources.add(customer, None, count(summary.impacted_resources));
        }
    }
    let document = |name: &str, more: Option<&'static str>, table: Table| {
        let dimensions: Vec<&str> = CUSTOMER.into_iter().chain(more).collect();
        MetricDocument::new(at, NAMESPACE, name, &dimensions, table.0.into_values().collect())
    };
    let mut documents = vec![
        document("CustomerHealth", Some("Status"), statuses),
        document("ActiveEvents", Some("EventType"), events),
        document("ImpactedResources", None, resources),
        document("CoverageGaps", None, gaps),
        document("ReadingAgeSeconds", None, ages),
    ];
    documents.retain(|one| !one.data.base_data.series.is_empty());
    documents
}

const STATUSES: [(HealthStatus, &str); 4] = [
    (HealthStatus::Healthy, "healthy"),
    (HealthStatus::Attention, "attention"),
    (HealthStatus::Unknown, "unknown"),
    (HealthStatus::Impacted, "impacted"),
];

/// Series by their dimension values.
#[derive(Default)]
struct Table(BTreeMap<Vec<String>, Series>);

impl Table {
    fn add(&mut self, customer: &[String; 2], more: Option<&str>, value: f64) {
        let values: Vec<String> = customer.iter().cloned().chain(more.map(str::to_owned)).collect();
        let series = Series::of(values.clone(), value);
        self.0.entry(values).and_modify(|known| known.add(&series)).or_insert(series);
    }
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A customer's name as a value: foreign text, short and on one line. One without letters is called by its id.
fn label(name: &str, id: &str) -> String {
    let text: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case(OTHERS) { id.to_owned() } else { text.to_owned() }
}
