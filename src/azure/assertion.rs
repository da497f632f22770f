//! How our application says who it is at the token endpoint: with a secret, or with an assertion that is signed by our
//! certificate, given by the platform to our managed identity, or written by somebody else to a file
//! ("Identity, consent and onboarding contract", 4.1 to 4.3).

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::Url;

use super::request::{any_case, read_capped, retry_after, transport};
use super::time::parse_time;
use super::{Client, Error};
use crate::model::Timestamp;
use crate::settings::Credential;

/// The kind of our assertions.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A managed identity's token is asked for again when this much of its life is left.
const RENEW_BEFORE_END: Duration = Duration::from_secs(5 * 60);

/// One with less life than this is not used, even when the platform gives no new one.
const LEAST_LIFE: Duration = Duration::from_secs(60);

/// How long the platform is left alone after it failed: one try, not one per customer.
const REST: Duration = Duration::from_secs(5);

/// The largest token file that we read.
const MOST_BYTES: u64 = 64 * 1024;

/// The managed identity's token, which serves for every tenant.
#[derive(Debug, Default)]
pub(crate) struct IdentityToken(tokio::sync::Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    token: Option<(SecretString, Timestamp)>,
    /// What went wrong, and until when that stands.
    failed: Option<(Failed, Timestamp)>,
}

#[derive(Debug, Clone)]
enum Failed {
    Unusable(String),
    Unavailable(String),
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unusable(what) => Self::Credential { what },
            Failed::Unavailable(what) => Self::Unavailable { what },
        }
    }
}

impl Client {
    /// The fields of a token request that say who asks. `token_endpoint` is where they are sent.
    ///
    /// # Errors
    /// [`Error::Credential`], when our side has nothing to show; [`Error::Unavailable`] while the platform fails.
    pub(super) async fn proof(&self, token_endpoint: &str) -> Result<Vec<(&'static str, SecretString)>, Error> {
        let assertion = match &self.identity.credential {
            Credential::ClientSecret { secret, .. } => return Ok(vec![("client_secret", secret.clone())]),
            Credential::Certificate(certificate) => certificate
                .assertion(self.identity.client_id, token_endpoint, self.request_id(), self.clock.now())
                .into(),
            Credential::NamedKey(key) => {
                key.assertion(self.identity.client_id, token_endpoint, self.request_id(), self.clock.now()).into()
            }
            Credential::ManagedIdentity { client_id, endpoint, header } => {
                self.identity_token(client_id, endpoint, header).await?
            }
            Credential::TokenFile(path) => token_of_file(path).await?,
        };
        Ok(vec![("client_assertion_type", JWT_BEARER.into()), ("client_assertion", assertion)])
    }

    /// The managed identity's token: from memory while it lives, with one request in flight.
    async fn identity_token(
        &self,
        client_id: &str,
        endpoint: &Url,
        header: &SecretString,
    ) -> Result<SecretString, Error> {
        let mut kept = self.identity_token.0.lock().await;
        let now = self.clock.now();
        let lives = |kept: &Kept, least: Duration| {
            kept.token.as_ref().filter(|(_, end)| now + least < *end).map(|(token, _)| token.clone())
        };
        if let Some(token) = lives(&kept, RENEW_BEFORE_END) {
            return Ok(token);
        }
        let failed = match kept.failed.as_ref().filter(|(_, until)| now < *until) {
            Some((failed, _)) => failed.clone(),
            None => match self.ask_for_identity_token(client_id, endpoint, header).await {
                Ok((token, end)) => {
                    *kept = Kept { token: Some((token.clone(), end)), failed: None };
                    return Ok(token);
                }
                Err(failed) => {
                    kept.failed = Some((failed.clone(), now + REST));
                    failed
                }
            },
        };
        lives(&kept, LEAST_LIFE).ok_or_else(|| failed.into())
    }

    async fn ask_for_identity_token(
        &self,
        client_id: &str,
        endpoint: &Url,
        header: &SecretString,
    ) -> Result<(SecretString, Timestamp), Failed> {
        let unavailable = |error: Error| Failed::Unavailable(error.to_string());
        let response = self
            .http
            .get(endpoint.clone())
            .query(&[
                ("api-version", "2019-08-01"),
                ("resource", self.cloud.federation_audience),
                ("client_id", client_id),
            ])
            .header("X-IDENTITY-HEADER", header.expose_secret())
            .send()
            .await
            .map_err(|error| unavailable(transport(error)))?;
        let (status, asked) = (response.status(), retry_after(response.headers()));
        let body = read_capped(response).await.map_err(unavailable)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        tracing::debug!(http.status = status.as_u16(), "asked the platform for the managed identity's token");
        match status {
            StatusCode::OK => {
                let token = any_case(&body, "access_token").and_then(Value::as_str).filter(|text| !text.is_empty());
                let end = any_case(&body, "expires_on").and_then(parse_time);
                match (token, end) {
                    (Some(token), Some(end)) => Ok((token.into(), end)),
                    _ => Err(Failed::Unusable("the platform's answer has no access_token and expires_on".to_owned())),
                }
            }
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => Err(Failed::Unusable(format!(
                "the managed identity {client_id} is not assigned to this app (status {} of its endpoint)",
                status.as_u16()
            ))),
            status if status.is_server_error() || status.as_u16() == 429 || asked.is_some() => {
                Err(Failed::Unavailable(format!("status {} of the managed identity's endpoint", status.as_u16())))
            }
            status => Err(Failed::Unusable(format!("status {} of the managed identity's endpoint", status.as_u16()))),
        }
    }
}

/// The token in a file, read anew each time: somebody else renews it there.
async fn token_of_file(path: &Path) -> Result<SecretString, Error> {
    let unusable = |what: String| Error::Credential { what: format!("the federated token file {what}") };
    let size =
        tokio::fs::metadata(path).await.map_err(|error| unusable(format!("cannot be read: {}", error.kind())))?;
    if size.len() > MOST_BYTES {
        return Err(unusable("is larger than any token".to_owned()));
    }
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| unusable(format!("cannot be read: {}", error.kind())))?;
    let token = text.trim();
    if token.split('.').count() != 3 {
        return Err(unusable("holds no token".to_owned()));
    }
    Ok(token.into())
}
