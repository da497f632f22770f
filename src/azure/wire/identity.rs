//! Entra's discovery document, signing keys and ID-token claims (OpenID Connect Discovery 1.0; "Identity, consent and
//! onboarding contract", 2.7).

use serde::Deserialize;

/// `{authority}/v2.0/.well-known/openid-configuration`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Discovery {
    /// The issuer; for `organizations` a template with `{tenantid}`.
    pub issuer: Option<String>,
    /// Where the signing keys are.
    pub jwks_uri: Option<String>,
}

/// A key set.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct KeySet {
    /// The keys, of any kind.
    pub keys: Vec<serde_json::Value>,
}

/// One key.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Key {
    pub kty: Option<String>,
    #[serde(rename = "use")]
    pub usage: Option<String>,
    pub kid: Option<String>,
    /// Modulus and exponent, base64url.
    pub n: Option<String>,
    pub e: Option<String>,
    /// Entra's own member: which issuer may sign with the key, as a template or for one tenant.
    pub issuer: Option<String>,
}

/// The header of a JWT.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JwtHeader {
    pub alg: Option<String>,
    pub kid: Option<String>,
}

/// The claims of a v2.0 ID token that we read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct IdClaims {
    pub aud: Option<String>,
    pub iss: Option<String>,
    pub exp: Option<i64>,
    pub nbf: Option<i64>,
    pub tid: Option<String>,
    pub oid: Option<String>,
    pub nonce: Option<String>,
    pub ver: Option<String>,
    pub name: Option<String>,
    pub preferred_username: Option<String>,
}

/// The claims of an app-only token for Resource Manager that we read (4.4).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AppClaims {
    pub oid: Option<String>,
    pub tid: Option<String>,
    pub appid: Option<String>,
    pub azp: Option<String>,
    pub scp: Option<serde_json::Value>,
}
