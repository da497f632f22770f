//! What a token of ours says about itself, for whoever looks for a fault: never the token.

use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::Value;

use super::oidc::segment;
use super::{Client, Error, Service};
use crate::model::{TenantId, Timestamp};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenFacts {
    /// Where it came from: `memory` or `Entra`.
    pub source: &'static str,
    /// The service that it was asked for.
    pub audience: String,
    /// `aud` of the token. Missing, like all that follows, when the token is no JWT.
    pub aud: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `ver`.
    pub version: Option<String>,
    /// `tid`.
    pub tenant_id: Option<String>,
    /// `appid` or `azp`.
    pub application_id: Option<String>,
    /// `oid`: our service principal in the tenant.
    pub object_id: Option<String>,
    /// How we proved who we are: `secret` or `certificate` (an assertion).
    pub proof: Option<&'static str>,
    /// Application permissions.
    pub roles: Vec<String>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Client {
    /// What our application's token for a service says. Asks for one when none is kept.
    ///
    /// # Errors
    /// As [`Client::app_token_for`].
    pub async fn token_facts(&self, tenant: TenantId, service: Service) -> Result<TokenFacts, Error> {
        let source = if self.has_app_token(tenant, service) { "memory" } else { "Entra" };
        let token = self.app_token_for(tenant, service).await?;
        let claims: Value = token.secret.expose_secret().split('.').nth(1).and_then(segment).unwrap_or_default();
        let text = |name: &str| claims[name].as_str().map(str::to_owned);
        let proof = match claims["appidacr"].as_str().or(claims["azpacr"].as_str()) {
            Some("1") => Some("secret"),
            Some("2") => Some("certificate"),
            _ => None,
        };
        let roles = claims["roles"].as_array().into_iter().flatten();
        Ok(TokenFacts {
            source,
            audience: self.cloud.audience(service),
            aud: text("aud"),
            issuer: text("iss"),
            version: text("ver"),
            tenant_id: text("tid"),
            application_id: text("appid").or_else(|| text("azp")),
            object_id: text("oid"),
            proof,
            roles: roles.filter_map(|role| role.as_str().map(str::to_owned)).collect(),
            issued_at: claims["iat"].as_i64().and_then(|at| Timestamp::from_timestamp(at, 0)),
            expires_at: token.expires_at,
        })
    }

    /// The partner's own tenant.
    pub fn home(&self) -> TenantId {
        self.identity.tenant_id
    }

    /// The tenant of a domain name. None: nobody has it, or it is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Throttled`], [`Error::Unreadable`].
    pub async fn tenant_named(&self, domain: &str) -> Result<Option<TenantId>, Error> {
        match super::Domain::parse(domain) {
            Some(domain) => self.tenant_of_domain(&domain).await,
            None => Ok(None),
        }
    }
}
