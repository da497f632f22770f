//! What `doctor` asks to see that an installation works from end to end.

use chrono::DateTime;
use reqwest::header::DATE;

use super::request::{header, transport};
use super::{Client, Error};
use crate::model::{TenantId, Timestamp};

/// An answer without its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// HTTP status.
    pub status: u16,
    /// What time it is for the server.
    pub date: Option<Timestamp>,
}

impl Client {
    /// Asks an address that needs no credential, and sends none.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn knock(&self, url: &str) -> Result<Answered, Error> {
        let response = self.http.get(url).send().await.map_err(transport)?;
        let date = header(response.headers(), DATE.as_str());
        let date = date.and_then(|text| DateTime::parse_from_rfc2822(&text).ok()).map(|date| date.to_utc());
        Ok(Answered { status: response.status().as_u16(), date })
    }

    /// Asks Entra for its discovery document of a tenant.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn knock_at_entra(&self, tenant: TenantId) -> Result<Answered, Error> {
        self.knock(&self.cloud.authority(&format!("{tenant}/v2.0/.well-known/openid-configuration"))).await
    }

    /// How many subscriptions Resource Manager shows our application in a tenant: none is an answer too.
    ///
    /// # Errors
    /// Any [`Error`].
    pub async fn subscriptions_in(&self, tenant: TenantId) -> Result<usize, Error> {
        let token = self.app_token(tenant).await?;
        Ok(self.subscriptions(&token).await?.subscriptions.len())
    }
}
