//! What is said to AWS beside S3: single calls of its JSON protocol, signed here, in place of an SDK.

pub mod secret;
mod sign;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use crate::outside::Clock;
use crate::settings::AwsAccount;

/// Waits between tries. Lambda calls a failed timer again by itself, after a minute.
pub(super) const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// One thing that a service can be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// The service, as signatures name it.
    pub service: &'static str,
    /// `x-amz-target`.
    pub target: &'static str,
    /// The version of the protocol that the service speaks.
    pub media_type: &'static str,
    /// The service, as people name it.
    pub name: &'static str,
}

/// Why AWS did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service could not be reached.
    #[error("{service} could not be reached")]
    Unreachable {
        /// The service.
        service: &'static str,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The service refused the call, or a part of it.
    #[error("{service} refused: {code} (status {status})")]
    Refused {
        /// The service.
        service: &'static str,
        /// HTTP status.
        status: u16,
        /// The service's code, such as `QueueDoesNotExist`.
        code: String,
    },
}

#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default, rename = "__type")]
    kind: String,
}

/// One call; gives the answer's body. Of the address only scheme and host count: what is asked for is in the body.
pub(super) async fn call(
    http: &reqwest::Client,
    clock: &dyn Clock,
    account: &AwsAccount,
    operation: Operation,
    address: &url::Url,
    body: Vec<u8>,
) -> Result<Bytes, Error> {
    let mut endpoint = address.clone();
    endpoint.set_path("/");
    let mut headers = BTreeMap::from([
        ("content-type", operation.media_type.to_owned()),
        ("host", host(&endpoint)),
        ("x-amz-date", clock.now().format("%Y%m%dT%H%M%SZ").to_string()),
        ("x-amz-target", operation.target.to_owned()),
    ]);
    if let Some(token) = &account.session_token {
        headers.insert("x-amz-security-token", token.expose_secret().to_owned());
    }
    let authorization = sign::authorization(account, operation.service, "POST", "/", &headers, &body);
    let mut request =
        http.post(endpoint).header(AUTHORIZATION, authorization).header(CONTENT_TYPE, operation.media_type);
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        request = request.header(*name, value);
    }
    // The address holds an account number, which has no place in a log.
    let unreachable =
        |error: reqwest::Error| Error::Unreachable { service: operation.name, source: error.without_url() };
    let response = request.body(body).send().await.map_err(unreachable)?;
    let status = response.status();
    let bytes = response.bytes().await.map_err(unreachable)?;
    if !status.is_success() {
        let fault: Fault = serde_json::from_slice(&bytes).unwrap_or_default();
        // "com.amazonaws.sqs#QueueDoesNotExist"
        let code = fault.kind.rsplit('#').next().unwrap_or_default().to_owned();
        return Err(Error::Refused { service: operation.name, status: status.as_u16(), code });
    }
    Ok(bytes)
}

/// The error for an answer that is none.
pub(super) fn not_understood(operation: Operation) -> Error {
    let code = "an answer that is not understood".to_owned();
    Error::Refused { service: operation.name, status: 200, code }
}

impl Error {
    /// True when the same call may do better later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, code, .. } => *status >= 500 || *status == 429 || code.contains("Throttl"),
        }
    }
}

/// As the HTTP client sends it.
fn host(url: &url::Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}
