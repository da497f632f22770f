//! Resource Graph: one query over many subscriptions. Inaccessible subscriptions are dropped silently, so a coverage query
//! says which rows can be trusted ("Azure health data APIs", section 3).

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::wire::health::GraphAnswer;
use super::wire::lenient::fold_keys;
use super::{AccessToken, Client, Error};
use crate::model::SubscriptionId;

const PATH: &str = "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01";

/// Every event of the last 90 days or so, active or not: resolutions must be seen too.
pub(super) const EVENTS: &str = "servicehealthresources | where type =~ 'microsoft.resourcehealth/events' \
     | project id, name, type, tenantId, subscriptionId, location, properties | order by id asc";

/// The availability of virtual machines, available ones included: only a row that says so is a recovery.
pub(super) const MACHINES: &str = "healthresources | where type =~ 'microsoft.resourcehealth/availabilitystatuses' \
     | project id, name, type, tenantId, subscriptionId, location, properties | order by id asc";

/// The resources that events hit; the event is only in the row's id.
pub(super) const IMPACTED: &str = "servicehealthresources \
     | where type =~ 'microsoft.resourcehealth/events/impactedresources' \
     | project id, name, type, tenantId, subscriptionId, location, properties | order by id asc";

/// Which subscriptions our principal really sees.
const SUBSCRIPTIONS: &str = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' \
     | project id, name, type, tenantId, subscriptionId, location, properties | order by id asc";

/// Subscriptions per query; 100 to 300 are recommended for speed.
const BATCH: usize = 200;
/// Rows per page at first: event rows have tens of kilobytes and an answer may have 16 MiB.
const PAGE_ROWS: usize = 200;
/// The most pages of one query.
const MAX_PAGES: usize = 500;

impl Client {
    /// Those of the subscriptions that our principal can read.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub(super) async fn visible_subscriptions(
        &self,
        token: &AccessToken,
        wanted: &BTreeSet<SubscriptionId>,
    ) -> Result<BTreeSet<SubscriptionId>, Error> {
        let rows = self.graph_query(token, SUBSCRIPTIONS, wanted).await?;
        Ok(rows.iter().filter_map(subscription_of).filter(|id| wanted.contains(id)).collect())
    }

    /// Every row of a query over these subscriptions, page by page, batch by batch.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`: rows of a broken-off query prove nothing, so there are none.
    pub(super) async fn graph_query(
        &self,
        token: &AccessToken,
        query: &str,
        subscriptions: &BTreeSet<SubscriptionId>,
    ) -> Result<Vec<Value>, Error> {
        let all: Vec<_> = subscriptions.iter().collect();
        let mut rows = Vec::new();
        for batch in all.chunks(BATCH) {
            match self.graph_batch(token, query, batch).await {
                Ok(found) => rows.extend(found),
                // None of the batch is visible: no rows, and the coverage query says so.
                Err(error) if error.has_code("NoValidSubscriptionsInQueryRequest") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    async fn graph_batch(
        &self,
        token: &AccessToken,
        query: &str,
        subscriptions: &[&SubscriptionId],
    ) -> Result<Vec<Value>, Error> {
        let mut rows = Vec::new();
        let mut page_rows = PAGE_ROWS;
        let mut skip_token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut options = json!({"resultFormat": "objectArray", "$top": page_rows});
            if let Some(token) = &skip_token {
                options["$skipToken"] = json!(token);
            }
            let body = json!({"subscriptions": subscriptions, "query": query, "options": options});
            let answer = match self.arm(Method::POST, PATH, token, Some(&body)).await {
                Err(error) if error.has_code("ResponsePayloadTooLarge") && page_rows > 1 => {
                    page_rows = (page_rows / 2).max(1);
                    continue;
                }
                other => other?,
            };
            let page = GraphAnswer::deserialize(fold_top(answer.body))
                .map_err(|_| Error::Unreadable { what: "a Resource Graph answer".to_owned() })?;
            rows.extend(page.data);
            match page.skip_token {
                Some(next) if skip_token.as_ref() != Some(&next) => skip_token = Some(next),
                Some(_) => return Err(Error::Unreadable { what: "a Resource Graph page not read before".to_owned() }),
                None if page.result_truncated => {
                    return Err(Error::Unreadable { what: "a Resource Graph answer that is not cut off".to_owned() });
                }
                None => return Ok(rows),
            }
        }
        Err(Error::Unreadable { what: "a Resource Graph answer of at most 500 pages".to_owned() })
    }
}

/// Folds the envelope only: rows keep their spelling until they are read.
fn fold_top(body: Value) -> Value {
    match body {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let name = name.to_ascii_lowercase();
                let value = if name == "data" { value } else { fold_keys(value) };
                (name, value)
            })
            .collect(),
        other => other,
    }
}

/// The subscription of a row: its column, else from its id.
fn subscription_of(row: &Value) -> Option<SubscriptionId> {
    let column = super::request::any_case(row, "subscriptionId").and_then(Value::as_str);
    let id = super::request::any_case(row, "id").and_then(Value::as_str);
    column
        .and_then(|text| text.parse().ok())
        .or_else(|| id?.strip_prefix("/subscriptions/")?.split('/').next()?.parse().ok())
}
