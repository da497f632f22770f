//! Resource Graph: one query over many subscriptions. Inaccessible subscriptions are dropped silently, so a coverage query
//! says which rows can be trusted ("Azure health data APIs", section 3).

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::listing::ReadRow;
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
const BIG_ROWS: usize = 200;
/// The same for rows of half a kilobyte: as many as Resource Graph gives, since each page costs quota.
const SMALL_ROWS: usize = 1000;
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
        self.graph_rows(token, query, subscriptions, &|row: &[u8]| serde_json::from_slice(row).ok())
            .await
            .map(|read| read.0)
    }

    /// The same, each row read as soon as it is there. Gives the rows, and how many could not be read.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn graph_rows<T: Send>(
        &self,
        token: &AccessToken,
        query: &str,
        subscriptions: &BTreeSet<SubscriptionId>,
        read: &dyn ReadRow<T>,
    ) -> Result<(Vec<T>, u32), Error> {
        let all: Vec<_> = subscriptions.iter().collect();
        let (mut rows, mut unreadable) = (Vec::new(), 0);
        for batch in all.chunks(BATCH) {
            match self.graph_batch(token, query, batch, read).await {
                Ok((found, not_read)) => {
                    rows.extend(found);
                    unreadable += not_read;
                }
                // None of the batch is visible: no rows, and the coverage query says so.
                Err(error) if error.has_code("NoValidSubscriptionsInQueryRequest") => {}
                Err(error) => return Err(error),
            }
        }
        Ok((rows, unreadable))
    }

    async fn graph_batch<T: Send>(
        &self,
        token: &AccessToken,
        query: &str,
        subscriptions: &[&SubscriptionId],
        read: &dyn ReadRow<T>,
    ) -> Result<(Vec<T>, u32), Error> {
        let url = self.cloud.manager(PATH);
        let (mut rows, mut unreadable) = (Vec::new(), 0);
        let mut page_rows = if query == EVENTS { BIG_ROWS } else { SMALL_ROWS };
        let mut skip_token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut options = json!({"resultFormat": "objectArray", "$top": page_rows});
            if let Some(token) = &skip_token {
                options["$skipToken"] = json!(token);
            }
            let body = json!({"subscriptions": subscriptions, "query": query, "options": options});
            let answer = match self.page(Method::POST, &url, token, Some(&body), read).await {
                Err(error) if error.has_code("ResponsePayloadTooLarge") && page_rows > 1 => {
                    page_rows = (page_rows / 2).max(1);
                    continue;
                }
                other => other?,
            };
            let page = GraphAnswer::deserialize(fold_keys(answer.envelope))
                .map_err(|_| Error::Unreadable { what: "a Resource Graph answer".to_owned() })?;
            rows.extend(answer.rows);
            unreadable += answer.unreadable;
            match page.skip_token {
                Some(next) if skip_token.as_ref() != Some(&next) => skip_token = Some(next),
                Some(_) => return Err(Error::Unreadable { what: "a Resource Graph page not read before".to_owned() }),
                None if page.result_truncated => {
                    return Err(Error::Unreadable { what: "a Resource Graph answer that is not cut off".to_owned() });
                }
                None => return Ok((rows, unreadable)),
            }
        }
        Err(Error::Unreadable { what: "a Resource Graph answer of at most 500 pages".to_owned() })
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
