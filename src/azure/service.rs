//! One call to a service beside Resource Manager: Microsoft Graph, Log Analytics, the ingestion of metrics.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use secrecy::ExposeSecret as _;

use super::request::{Answer, answer_of, read_capped_at, transport};
use super::{AccessToken, Client, Error};

/// A call as it is sent.
pub(super) struct Ask<'a> {
    pub method: Method,
    pub url: &'a str,
    pub token: &'a AccessToken,
    /// Content type and bytes.
    pub body: Option<(&'static str, Vec<u8>)>,
    pub headers: &'a [(&'static str, String)],
    /// How long the answer may take, where that is not as usual.
    pub patience: Option<Duration>,
    /// The largest answer that is read.
    pub most_bytes: usize,
}

impl<'a> Ask<'a> {
    /// A call without a body.
    pub(super) fn new(method: Method, url: &'a str, token: &'a AccessToken) -> Self {
        const MOST: usize = 32 * 1024 * 1024;
        Self { method, url, token, body: None, headers: &[], patience: None, most_bytes: MOST }
    }

    /// With a body of JSON.
    pub(super) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(("application/json", body.to_string().into_bytes()));
        self
    }
}

/// Whatever was answered, with the status.
pub(super) struct Told {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Told {
    /// The answer, or what its status means.
    pub(super) fn answer(self) -> Result<Answer, Error> {
        let status = reqwest::StatusCode::from_u16(self.status)
            .map_err(|_| Error::Unreadable { what: "a status of HTTP".to_owned() })?;
        answer_of(status, self.headers, &self.bytes)
    }
}

impl Client {
    /// Asks once. Any status is an answer.
    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Told, Error> {
        // Graph reads the one, Azure Monitor the other.
        let id = self.request_id().to_string();
        let mut request = self
            .http
            .request(ask.method.clone(), ask.url)
            .bearer_auth(ask.token.secret.expose_secret())
            .header("client-request-id", id.as_str())
            .header("x-ms-client-request-id", id.as_str());
        for (name, value) in ask.headers {
            request = request.header(*name, value);
        }
        if let Some(patience) = ask.patience {
            request = request.timeout(patience);
        }
        if let Some((kind, bytes)) = ask.body {
            request = request.header(CONTENT_TYPE, kind).body(bytes);
        }
        let response = request.send().await.map_err(transport)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = read_capped_at(response, ask.most_bytes).await?;
        tracing::debug!(http.method = %ask.method, http.status = status, "asked a service of Azure");
        Ok(Told { status, headers, bytes })
    }
}
