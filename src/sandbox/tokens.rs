//! The sandbox's signing keys, the tokens signed with them, and their check at Resource Manager.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use super::tenants::PERSONAL_TENANT;
use crate::model::{ObjectId, TenantId, Timestamp};

/// One signing key.
pub(super) struct Key {
    pub kid: &'static str,
    sign: EncodingKey,
    verify: DecodingKey,
    modulus: String,
    exponent: String,
}

/// The two signing keys: one for every tenant, one pinned to the tenant of personal accounts.
#[derive(Debug)]
pub(super) struct Keys {
    pub any: Key,
    pub pinned: Key,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    fn load(kid: &'static str, pem: &'static [u8]) -> Self {
        const WHY: &str = "the PEM is part of this program";
        let sign = EncodingKey::from_rsa_pem(pem).expect(WHY);
        let jwk = Jwk::from_encoding_key(&sign, Algorithm::RS256).expect(WHY);
        let AlgorithmParameters::RSA(public) = jwk.algorithm else { unreachable!("{WHY}, and it is an RSA key") };
        let verify = DecodingKey::from_rsa_components(&public.n, &public.e).expect(WHY);
        Self { kid, sign, verify, modulus: public.n, exponent: public.e }
    }

    /// Signs claims, with this key's own id or another in the header.
    pub(super) fn sign(&self, claims: &Value, kid: &str) -> String {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, claims, &self.sign).expect("an RSA key signs any JSON")
    }

    /// Misuses the public modulus as a shared secret.
    pub(super) fn sign_hs256(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(self.kid.to_owned());
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(self.modulus.as_bytes()))
            .expect("a shared secret signs any JSON")
    }

    fn jwk(&self, issuer: &str) -> Value {
        json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": self.modulus,
            "e": self.exponent,
            "issuer": issuer,
        })
    }
}

impl Keys {
    pub(super) fn load() -> Self {
        Self {
            any: Key::load("sandbox-any-tenant", include_bytes!("keys/any.pem")),
            pinned: Key::load("sandbox-personal-accounts", include_bytes!("keys/pinned.pem")),
        }
    }

    /// The JSON Web Key Set of the discovery document.
    pub(super) fn key_set(&self, authority: &str) -> Value {
        json!({"keys": [
            self.any.jwk(&format!("{authority}/{{tenantid}}/v2.0")),
            self.pinned.jwk(&format!("{authority}/{PERSONAL_TENANT}/v2.0")),
        ]})
    }

    /// Checks a token's signature and gives its claims. Times are the caller's part.
    pub(super) fn claims(&self, token: &str) -> Option<Value> {
        let mut validation = Validation::new(Algorithm::RS256);
        // The sandbox has a clock of its own.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<Value>(token, &self.any.verify, &validation).ok().map(|decoded| decoded.claims)
    }
}

/// An unsigned token: `alg: none`.
pub(super) fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

/// base64url(SHA-256(verifier)) without padding, as PKCE wants it.
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// Who holds an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    pub tenant: TenantId,
    pub object_id: ObjectId,
    pub app: bool,
    pub mfa: bool,
    pub name: String,
    pub expires_at: i64,
    pub audience: String,
}

impl Principal {
    /// The holder of a genuine token; None when it is not one of ours or lacks what Resource Manager needs.
    pub(super) fn of(keys: &Keys, token: &str) -> Option<Self> {
        let claims = keys.claims(token)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let app = text("idtyp") == Some("app");
        if !app && !text("scp")?.split(' ').any(|scope| scope == "user_impersonation") {
            return None;
        }
        let has = |name: &str, wanted: &str| {
            claims.get(name).and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == wanted))
        };
        Some(Self {
            tenant: text("tid")?.parse().ok()?,
            // An application's `sub` is its object id, whatever a switch did to `oid`; a user's is another in each application.
            object_id: text(if app { "sub" } else { "oid" })?.parse().ok()?,
            app,
            mfa: has("amr", "mfa"),
            name: text("upn").or(text("appid")).unwrap_or_default().to_owned(),
            expires_at: claims.get("exp")?.as_i64()?,
            audience: text("aud")?.trim_end_matches('/').to_owned(),
        })
    }

    pub(super) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now.timestamp()
    }
}
