//! One call to Resource Manager: bearer token, correlation id, tries with waits, `nextLink`, errors told apart.

use std::time::Duration;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tracing::Instrument as _;
use url::Url;
use uuid::Uuid;

use super::wire::split::Splitter;
use super::{AccessToken, Client, Error, Refusal, backoff, call_span, pace};
use crate::model::Quota;
use crate::telemetry::trace;

/// The largest answer we read; Resource Graph promises to stay below 16 MiB.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// The most pages of one listing we follow.
pub(super) const MAX_PAGES: usize = 200;

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status, 2xx.
    pub status: u16,
    /// The body; `Null` when there was none.
    pub body: Value,
}

/// Where a call goes, and what it counts as: read once for all its tries.
#[derive(Debug)]
pub(super) struct Called {
    pub url: Url,
    pub lane: Quota,
    pub source: &'static str,
}

impl Called {
    pub fn new(url: &str) -> Result<Self, Error> {
        let (lane, source) = (pace::lane_of(url), pace::source_of(url));
        let url = Url::parse(url).map_err(|_| Error::Unreadable { what: "an address to ask".to_owned() })?;
        Ok(Self { url, lane, source })
    }
}

/// What a listing gave, page by page.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The rows of all pages that were read.
    pub rows: Vec<Value>,
    /// Why the listing ended early. None: it is complete.
    pub broken_off: Option<Error>,
}

impl Client {
    /// Calls Resource Manager and tries again on 429, 5xx and transport failures.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub(crate) async fn arm(
        &self,
        method: Method,
        path_and_query: &str,
        token: &AccessToken,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let url = self.cloud.manager(path_and_query);
        self.arm_url(method, &url, token, body, None).await
    }

    /// Reads a listing: `{"value": [...], "nextLink": "..."}`. The first page's failure is an error; a later page's failure
    /// keeps what was read ("Azure health data APIs", 1.5).
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`, from the first page.
    pub(crate) async fn arm_list(&self, path_and_query: &str, token: &AccessToken) -> Result<Listing, Error> {
        self.arm_list_up_to(MAX_PAGES, path_and_query, token).await
    }

    /// The same, with fewer pages at most.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn arm_list_up_to(
        &self,
        pages: usize,
        path_and_query: &str,
        token: &AccessToken,
    ) -> Result<Listing, Error> {
        let first = self.cloud.manager(path_and_query);
        let mut seen = vec![first.clone()];
        let mut page = page_of(self.arm_url(Method::GET, &first, token, None, None).await?.body)?;
        let mut listing = Listing { rows: std::mem::take(&mut page.0), broken_off: None };
        while let Some(next) = page.1.take() {
            // It is read whatever is left: half a listing helps nobody.
            self.spend(1);
            let result = match next_page_allowed(&self.cloud.resource_manager, &next, &seen, pages) {
                Ok(()) => {
                    self.arm_url(Method::GET, &next, token, None, None).await.and_then(|answer| page_of(answer.body))
                }
                Err(error) => Err(error),
            };
            match result {
                Ok((rows, following)) => {
                    listing.rows.extend(rows);
                    seen.push(next);
                    page.1 = following;
                }
                Err(error) => {
                    listing.broken_off = Some(error);
                    break;
                }
            }
        }
        Ok(listing)
    }

    /// The same for a whole address. With `rows`, those of the answer go there while it arrives, and its body has none.
    pub(super) async fn arm_url(
        &self,
        method: Method,
        url: &str,
        token: &AccessToken,
        body: Option<&Value>,
        mut rows: Option<&mut (dyn RowSink + '_)>,
    ) -> Result<Answer, Error> {
        let called = Called::new(url)?;
        let mut attempt = 1;
        loop {
            #[expect(clippy::manual_map, reason = "a match shortens the trait object's life, a closure does not")]
            let sink = match &mut rows {
                Some(rows) => Some(&mut **rows),
                None => None,
            };
            let span = call_span::of_manager(&method, &called, attempt);
            let failure = match self.arm_once(&method, &called, token, body, sink).instrument(span).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(retry_after) = failure.passes() else { return Err(failure) };
            attempt += 1;
            let may_wait = |wait: &Duration| {
                let meter = self.meter.as_ref();
                meter.is_none_or(|meter| attempt <= meter.tries && meter.waits(self.clock.now(), *wait))
            };
            match backoff::wait_before(attempt, retry_after, self.jitter()).filter(may_wait) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    async fn arm_once(
        &self,
        method: &Method,
        called: &Called,
        token: &AccessToken,
        body: Option<&Value>,
        rows: Option<&mut (dyn RowSink + '_)>,
    ) -> Result<Answer, Error> {
        let turn = self.turn(called).await?;
        // Held until the answer is here, and not while waiting between tries.
        let in_flight = self.in_flight.acquire().await.expect("nobody closes it");
        let client_request_id = self.request_id().to_string();
        call_span::sent(&client_request_id);
        let mut request = self
            .http
            .request(method.clone(), called.url.clone())
            .bearer_auth(token.secret.expose_secret())
            .header("x-ms-client-request-id", client_request_id)
            .headers(trace::headers());
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(timeout) = turn.timeout() {
            request = request.timeout(timeout);
        }
        let mut response = request.send().await.map_err(|error| {
            self.heard(&turn, 0, &HeaderMap::new());
            call_span::lost(&error);
            transport(error)
        })?;
        let expected = response.content_length();
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        self.heard(&turn, status.as_u16(), &headers);
        let bytes = match rows {
            Some(rows) if status.is_success() => read_rows(response, expected, in_flight, rows).await?,
            _ => read_capped(response).await?,
        };
        call_span::answered(status, &headers);
        answer_of(status, headers, &bytes)
    }

    /// A fresh id for one request.
    pub(super) fn request_id(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A random number in `0.0..1.0`.
    pub(crate) fn jitter(&self) -> f64 {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// A next page must be on Resource Manager itself: the token goes nowhere else. Nor is a page read twice. Pure.
pub(super) fn next_page_allowed(manager: &Url, next: &str, seen: &[String], pages: usize) -> Result<(), Error> {
    let unreadable = |what: &str| Err(Error::Unreadable { what: what.to_owned() });
    let same_host = Url::parse(next).is_ok_and(|url| url.origin() == manager.origin());
    if !same_host {
        return unreadable("nextLink on the host of Resource Manager");
    }
    if seen.iter().any(|link| link == next) {
        return unreadable("nextLink to a page not read before");
    }
    if seen.len() >= pages {
        return unreadable(&format!("a listing of at most {pages} pages"));
    }
    Ok(())
}

/// A transport failure in words, without the address.
pub(crate) fn transport(error: reqwest::Error) -> Error {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    Error::Unavailable { what: what.to_owned() }
}

/// Reads a body up to the cap.
pub(crate) async fn read_capped(response: reqwest::Response) -> Result<Vec<u8>, Error> {
    read_capped_at(response, MAX_BODY_BYTES).await
}

/// Reads a body up to a cap of the caller's.
pub(super) async fn read_capped_at(mut response: reqwest::Response, most: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if bytes.len() + chunk.len() > most {
            return Err(Error::Unreadable { what: format!("an answer of at most {} MiB", most >> 20) });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Takes the rows of an answer while it arrives.
pub(super) trait RowSink: Send {
    /// An answer begins: rows of an earlier try are forgotten.
    fn begin(&mut self);

    /// One row, as it came.
    fn row(&mut self, bytes: &[u8]);
}

/// Reads a body up to the cap, row by row. Gives what is no row. The call's place is free as soon as all of the answer is here:
/// whoever waits for it sends before the last of it is read.
async fn read_rows(
    mut response: reqwest::Response,
    expected: Option<u64>,
    in_flight: SemaphorePermit<'_>,
    rows: &mut (dyn RowSink + '_),
) -> Result<Vec<u8>, Error> {
    let (mut splitter, mut length) = (Splitter::default(), 0);
    let mut in_flight = Some(in_flight);
    rows.begin();
    let mut next = response.chunk().await.map_err(transport)?;
    while let Some(piece) = next.take() {
        length += piece.len();
        if length > MAX_BODY_BYTES {
            return Err(Error::Unreadable { what: "an answer of at most 32 MiB".to_owned() });
        }
        // Where the length is not known, only the end itself tells that this was the last piece.
        let is_last = match expected {
            Some(expected) => length as u64 >= expected,
            None => {
                next = response.chunk().await.map_err(transport)?;
                next.is_none()
            }
        };
        if is_last && in_flight.take().is_some() {
            tokio::task::yield_now().await;
        }
        splitter.take(&piece, |row| rows.row(row));
        drop(piece);
        if expected.is_some() {
            next = response.chunk().await.map_err(transport)?;
        }
    }
    Ok(splitter.end())
}

/// The text of a header, if it is there and readable.
pub(crate) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `Retry-After` in seconds; the form with a date is not used by Azure Resource Manager.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    header(headers, "retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

pub(super) fn answer_of(status: StatusCode, headers: HeaderMap, bytes: &[u8]) -> Result<Answer, Error> {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::Throttled { retry_after: retry_after(&headers) });
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        if retry_after(&headers).is_some() {
            return Err(Error::Throttled { retry_after: retry_after(&headers) });
        }
        return Err(Error::Unavailable { what: format!("status {}", status.as_u16()) });
    }
    if !status.is_success() {
        return Err(Error::Refused(Box::new(refusal(status, &headers, bytes))));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Answer { status: status.as_u16(), body: Value::Null });
    }
    let body = serde_json::from_slice(bytes)
        .map_err(|_| Error::Unreadable { what: "JSON in the body of a successful answer".to_owned() })?;
    Ok(Answer { status: status.as_u16(), body })
}

/// Reads an error body in any of its shapes: wrapped in `error` or not, keys in any case, HTML, or nothing
/// ("Azure health data APIs", 1.12).
pub(crate) fn refusal(status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let error = match any_case(&body, "error") {
        Some(error @ Value::Object(_)) => error,
        _ => &body,
    };
    let text = |value: &Value, name: &str| any_case(value, name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut detail_codes: Vec<String> = any_case(error, "details")
        .and_then(Value::as_array)
        .map(|details| details.iter().map(|detail| text(detail, "code")).filter(|code| !code.is_empty()).collect())
        .unwrap_or_default();
    // Graph and Log Analytics nest the more precise code.
    let mut inner = any_case(error, "innererror");
    while let Some(one) = inner.filter(|_| detail_codes.len() < 20) {
        detail_codes.extend(Some(text(one, "code")).filter(|code| !code.is_empty()));
        inner = any_case(one, "innererror");
    }
    Refusal {
        status: status.as_u16(),
        code: text(error, "code").chars().take(100).collect(),
        detail_codes,
        message: text(error, "message").chars().take(1000).collect(),
        policies: policies(error),
        request_id: header(headers, "x-ms-request-id"),
        challenge: header(headers, WWW_AUTHENTICATE.as_str()),
    }
}

/// The names in `additionalInfo[].info` of a refusal by Azure Policy: of the assignment, else of the definition.
fn policies(error: &Value) -> Vec<String> {
    const NAMES: [&str; 4] =
        ["policyAssignmentDisplayName", "policyDefinitionDisplayName", "policyAssignmentName", "policyDefinitionName"];
    let entries = any_case(error, "additionalInfo").and_then(Value::as_array).into_iter().flatten();
    let name = |entry: &Value| {
        let info = any_case(entry, "info")?;
        let name = NAMES.iter().find_map(|name| any_case(info, name)?.as_str().filter(|text| !text.is_empty()))?;
        Some(name.chars().take(200).collect())
    };
    entries.filter_map(name).take(10).collect()
}

/// A member of an object by its name in any case.
pub(crate) fn any_case<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

pub(super) fn page_of(mut body: Value) -> Result<(Vec<Value>, Option<String>), Error> {
    let Some(Value::Array(rows)) = body.get_mut("value").map(Value::take) else {
        return Err(Error::Unreadable { what: "a page with a value array".to_owned() });
    };
    let next = body.get("nextLink").and_then(Value::as_str).filter(|link| !link.is_empty()).map(str::to_owned);
    Ok((rows, next))
}

#[cfg(test)]
mod tests {
    use super::super::Cloud;
    use super::*;

    const CLOUDS: [&str; 3] = ["AzurePublic", "AzureUSGovernment", "AzureChina"];

    #[test]
    fn in_each_cloud_a_next_page_is_on_its_own_resource_manager_only() {
        let clouds = CLOUDS.map(|name| Cloud::named(name).expect("a known cloud"));
        for cloud in &clouds {
            let allowed = |next: &str| next_page_allowed(&cloud.resource_manager, next, &[], MAX_PAGES).is_ok();
            let manager = cloud.resource_manager.as_str().trim_end_matches('/');
            assert!(allowed(&format!("{manager}/subscriptions?$skiptoken=x")));
            let host = cloud.resource_manager.host_str().expect("it has a host");
            for stranger in [
                format!("http://{host}/subscriptions"),
                format!("https://{host}:8443/subscriptions"),
                format!("https://{host}.evil.example/subscriptions"),
                format!("https://evil.example/{host}"),
                format!("https://{host}@evil.example/subscriptions"),
                format!("//{host}/subscriptions"),
                "/subscriptions?$skiptoken=x".to_owned(),
                cloud.authority("common"),
                cloud.graph.to_string(),
            ] {
                assert!(!allowed(&stranger), "{}: {stranger}", cloud.name);
            }
            for other in clouds.iter().filter(|other| other.name != cloud.name) {
                assert!(!allowed(other.resource_manager.as_str()), "{} in {}", other.name, cloud.name);
            }
        }
    }

    #[test]
    fn in_each_cloud_the_token_s_audience_is_the_host_that_it_is_sent_to() {
        for name in CLOUDS {
            let cloud = Cloud::named(name).expect("a known cloud");
            let audience: Url = cloud.resource_manager_audience.parse().expect("an address");
            let asked: Url = cloud.manager("/subscriptions?api-version=1").parse().expect("an address");
            assert_eq!(asked.origin(), audience.origin(), "{name}");
            let hosts = [&cloud.authority_host, &cloud.resource_manager, &cloud.graph].map(Url::host_str);
            assert!(hosts.iter().all(Option::is_some) && hosts[0] != hosts[1] && hosts[1] != hosts[2], "{name}");
        }
        let federation: std::collections::BTreeSet<_> =
            CLOUDS.iter().map(|name| Cloud::named(name).expect("a known cloud").federation_audience).collect();
        assert_eq!(federation.len(), 3, "a federated credential of one cloud is none in another");
    }
}
