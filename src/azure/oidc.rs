//! Who signed in: Entra's keys, and the checks of an ID token in the documented order
//! ("Identity, consent and onboarding contract", 2.7). The checks are pure; only the keys are fetched.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use super::request::{read_capped, retry_after, transport};
use super::wire::identity::{Discovery, IdClaims, JwtHeader, Key, KeySet};
use super::{Client, Error, backoff};
use crate::model::{ClientId, ObjectId, TenantId, Timestamp};

/// Keys are read anew after a day, and sooner for a key that we do not know, but not more often than this (2.7).
const KEYS_LAST: TimeDelta = TimeDelta::hours(24);
const KEYS_REST: TimeDelta = TimeDelta::minutes(5);

/// How far Entra's clock and ours may differ (2.7).
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// The tenant of all personal accounts.
const PERSONAL_ACCOUNTS: Uuid = Uuid::from_u128(0x9188_040d_6c67_4c5b_b112_36a3_04b6_6dad);

/// Where an issuer names its tenant.
const TENANT_PLACEHOLDER: &str = "{tenantid}";

/// The person who signed in. The names are foreign text, for display only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// The tenant he signed in to.
    pub tenant: TenantId,
    /// His object id in that tenant.
    pub object_id: ObjectId,
    /// His name.
    pub name: String,
    /// His sign-in name.
    pub user_name: String,
}

/// What an ID token must say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Our application.
    pub client_id: ClientId,
    /// The tenant of the sign-in, where it was to one tenant.
    pub tenant: Option<TenantId>,
    /// The nonce of the sign-in.
    pub nonce: &'a str,
}

/// Why an ID token is not accepted, by the step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenFault {
    /// It is no signed JWT with the claims that are needed.
    #[error("the ID token is malformed")]
    Malformed,
    /// It is not signed with RS256.
    #[error("the ID token is signed with another algorithm than RS256")]
    Algorithm,
    /// Its key is none of Entra's.
    #[error("the ID token names a key that Entra does not publish")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// It was made for another application.
    #[error("the ID token is meant for another application")]
    Audience,
    /// It has ended.
    #[error("the ID token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the ID token is not valid yet")]
    NotYetValid,
    /// It has another issuer than its tenant's.
    #[error("the ID token has the wrong issuer")]
    Issuer,
    /// Its key may not sign for its issuer.
    #[error("the key of the ID token may not sign for its issuer")]
    KeyIssuer,
    /// It is of another tenant than the sign-in was for.
    #[error("the ID token is of another tenant than the sign-in was for")]
    Tenant,
    /// It is of a personal account.
    #[error("the ID token is of a personal account")]
    PersonalAccount,
    /// It belongs to another sign-in.
    #[error("the ID token belongs to another sign-in")]
    Nonce,
    /// It is not of version 2.0.
    #[error("the ID token has another version than 2.0")]
    Version,
}

/// Entra's issuer and keys, as last read.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// The issuer, with `{tenantid}` in it.
    issuer: String,
    keys: Vec<Key>,
    read_at: Timestamp,
}

/// The keys, read once for all; `tried_at` keeps a flood of unknown key ids from becoming a flood of requests.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(tokio::sync::Mutex<Cached>);

#[derive(Debug, Default)]
struct Cached {
    keys: Option<Arc<Keys>>,
    tried_at: Option<Timestamp>,
}

/// Checks an ID token, in the order of section 2.7. Pure.
pub(crate) fn validate(
    token: &str,
    keys: &Keys,
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Person, IdTokenFault> {
    use IdTokenFault as Fault;
    let (message, signature) = token.rsplit_once('.').ok_or(Fault::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(Fault::Malformed)?;
    let header: JwtHeader = segment(header).ok_or(Fault::Malformed)?;
    // 1: never the algorithm that the token would like.
    if header.alg.as_deref() != Some("RS256") {
        return Err(Fault::Algorithm);
    }
    let key = keys.find(header.kid.as_deref()).ok_or(Fault::UnknownKey)?;
    // 2
    if !signed_by(key, message, signature) {
        return Err(Fault::Signature);
    }
    let claims: IdClaims = segment(claims).ok_or(Fault::Malformed)?;
    // 3
    if claims.aud.as_deref().and_then(|aud| aud.parse().ok()) != Some(expected.client_id) {
        return Err(Fault::Audience);
    }
    // 4
    let moment = |seconds: Option<i64>| Timestamp::from_timestamp(seconds?, 0);
    if moment(claims.exp).ok_or(Fault::Malformed)? + SKEW <= now {
        return Err(Fault::Expired);
    }
    if moment(claims.nbf).ok_or(Fault::Malformed)? - SKEW > now {
        return Err(Fault::NotYetValid);
    }
    // 5
    let tid = claims.tid.as_deref().ok_or(Fault::Malformed)?;
    let tenant: TenantId = tid.parse().map_err(|_| Fault::Malformed)?;
    let issuer = claims.iss.as_deref().ok_or(Fault::Malformed)?;
    if issuer != keys.issuer.replace(TENANT_PLACEHOLDER, tid) {
        return Err(Fault::Issuer);
    }
    // 6
    if key.issuer.as_ref().is_some_and(|of_key| of_key.replace(TENANT_PLACEHOLDER, tid) != issuer) {
        return Err(Fault::KeyIssuer);
    }
    // 7
    if tenant.guid() == PERSONAL_ACCOUNTS {
        return Err(Fault::PersonalAccount);
    }
    if expected.tenant.is_some_and(|expected| expected != tenant) {
        return Err(Fault::Tenant);
    }
    // 8
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(Fault::Nonce);
    }
    // 9
    if claims.ver.as_deref() != Some("2.0") {
        return Err(Fault::Version);
    }
    let object_id = claims.oid.as_deref().and_then(|oid| oid.parse().ok()).ok_or(Fault::Malformed)?;
    let shown = |text: Option<String>| text.unwrap_or_default().chars().take(200).collect();
    Ok(Person { tenant, object_id, name: shown(claims.name), user_name: shown(claims.preferred_username) })
}

/// One segment of a JWT as JSON.
pub(crate) fn segment<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn signed_by(key: &Key, message: &str, signature: &str) -> bool {
    let (Some(n), Some(e)) = (&key.n, &key.e) else {
        return false;
    };
    jsonwebtoken::DecodingKey::from_rsa_components(n, e).is_ok_and(|key| {
        let algorithm = jsonwebtoken::Algorithm::RS256;
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap_or(false)
    })
}

impl Keys {
    fn find(&self, kid: Option<&str>) -> Option<&Key> {
        let kid = kid?;
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }
}

impl Client {
    /// Who an ID token from the token endpoint is about.
    ///
    /// # Errors
    /// Outside: Entra's keys could not be read. Inside: why the token is not accepted.
    pub(crate) async fn person(
        &self,
        token: &SecretString,
        tenant: Option<TenantId>,
        nonce: &str,
    ) -> Result<Result<Person, IdTokenFault>, Error> {
        let token = token.expose_secret();
        let kid = token.split('.').next().and_then(segment::<JwtHeader>).and_then(|header| header.kid);
        let keys = self.keys(kid.as_deref()).await?;
        let expected = Expected { client_id: self.identity.client_id, tenant, nonce };
        Ok(validate(token, &keys, &expected, self.clock.now()))
    }

    /// Entra's keys: from memory, unless they are old or lack this one.
    async fn keys(&self, kid: Option<&str>) -> Result<Arc<Keys>, Error> {
        let mut cached = self.keys.0.lock().await;
        let now = self.clock.now();
        let rested = cached.tried_at.is_none_or(|tried| now - tried >= KEYS_REST);
        if let Some(keys) = &cached.keys {
            let fresh = now - keys.read_at < KEYS_LAST;
            let known = keys.find(kid).is_some();
            if (fresh && known) || !rested {
                return Ok(Arc::clone(keys));
            }
        }
        cached.tried_at = Some(now);
        match self.read_keys(now).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                cached.keys = Some(Arc::clone(&keys));
                Ok(keys)
            }
            // Old keys still tell true from false while Entra's documents cannot be read.
            Err(error) => cached.keys.clone().ok_or(error),
        }
    }

    async fn read_keys(&self, now: Timestamp) -> Result<Keys, Error> {
        let unreadable = |what: &str| Error::Unreadable { what: what.to_owned() };
        // One document for all tenants: its issuer is a template, and its keys name the issuers they may sign for.
        let discovery =
            self.discovery("organizations").await?.ok_or_else(|| unreadable("Entra's discovery document"))?;
        let issuer = discovery.issuer.filter(|issuer| issuer.contains(TENANT_PLACEHOLDER));
        let issuer = issuer.ok_or_else(|| unreadable("an issuer with {tenantid} in Entra's discovery document"))?;
        let address = discovery.jwks_uri.and_then(|uri| uri.parse::<Url>().ok());
        let address =
            address.filter(|uri| uri.scheme() == "https" || uri.origin() == self.cloud.authority_host.origin());
        let address = address.ok_or_else(|| unreadable("an https jwks_uri in Entra's discovery document"))?;
        let (_, body) = self.read_public(address.as_str()).await?;
        let set: KeySet = serde_json::from_value(body).map_err(|_| unreadable("Entra's key set"))?;
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Key>(key).ok());
        let keys =
            keys.filter(|key| key.kty.as_deref() == Some("RSA") && key.usage.as_deref().is_none_or(|u| u == "sig"));
        Ok(Keys { issuer, keys: keys.collect(), read_at: now })
    }

    /// The tenant that owns a verified domain. None: Entra knows no such domain.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Throttled`], [`Error::Unreadable`].
    pub(crate) async fn tenant_of_domain(&self, domain: &Domain) -> Result<Option<TenantId>, Error> {
        let Some(discovery) = self.discovery(&domain.0).await? else {
            return Ok(None);
        };
        let issuer = discovery.issuer.and_then(|issuer| issuer.parse::<Url>().ok());
        let tenant = issuer.as_ref().and_then(|issuer| issuer.path_segments()?.next()?.parse().ok());
        tenant.map(Some).ok_or_else(|| Error::Unreadable { what: "a tenant in the issuer of the domain".to_owned() })
    }

    async fn discovery(&self, segment: &str) -> Result<Option<Discovery>, Error> {
        let url = self.cloud.authority(&format!("{segment}/v2.0/.well-known/openid-configuration"));
        let (status, body) = self.read_public(&url).await?;
        if status != 200 {
            return Ok(None);
        }
        let unreadable = |_| Error::Unreadable { what: "Entra's discovery document".to_owned() };
        serde_json::from_value(body).map(Some).map_err(unreadable)
    }

    /// Reads a document that needs no credential: status and JSON (`Null` when it is none), with tries while the server fails.
    async fn read_public(&self, url: &str) -> Result<(u16, Value), Error> {
        let mut attempt = 1;
        loop {
            let (error, asked) = match self.http.get(url).send().await {
                Err(error) => (transport(error), None),
                Ok(response) => {
                    let (status, asked) = (response.status(), retry_after(response.headers()));
                    let body = read_capped(response).await?;
                    if status.as_u16() == 429 {
                        (Error::Throttled { retry_after: asked }, asked)
                    } else if status.is_server_error() {
                        (Error::Unavailable { what: format!("status {}", status.as_u16()) }, asked)
                    } else {
                        return Ok((status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null)));
                    }
                }
            };
            attempt += 1;
            match backoff::wait_before(attempt, asked, self.jitter()) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

/// A domain name, fit for a path segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Domain(String);

impl Domain {
    /// Reads a domain name of at least two labels. None for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let valid = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
        // An address in numbers is no domain.
        let named = text.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
        (valid && named).then_some(Self(text))
    }
}

#[cfg(test)]
#[path = "oidc_tests.rs"]
mod tests;
