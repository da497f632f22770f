//! ID tokens, good ones and those that must be refused.

use serde_json::json;

use super::super::Shared;
use super::super::switches::IdTokenTamper;
use super::super::tenants::{PERSONAL_TENANT, User};
use super::super::tokens;
use super::super::world::World;

/// The ID token of a user; None when it is left out by order.
pub(super) fn id_token(
    shared: &Shared,
    world: &World,
    user: &User,
    authority: &str,
    nonce: Option<&str>,
) -> Option<String> {
    let now = world.now().timestamp();
    let mut claims = json!({
        "aud": world.application.client_id,
        "iss": format!("{authority}/{}/v2.0", user.tenant),
        "iat": now, "nbf": now, "exp": now + 3600,
        "name": user.display_name,
        "oid": user.object_id,
        "preferred_username": user.upn,
        "rh": "0.sandbox",
        "sub": world.id(&format!("sub:{}", user.object_id)).simple().to_string(),
        "tid": user.tenant,
        "uti": world.id(&format!("uti:{}:{now}", user.object_id)).simple().to_string(),
        "ver": "2.0",
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    if user.guest {
        claims["acct"] = 1.into();
    }
    let keys = &shared.keys;
    let mut key = &keys.any;
    let mut kid = key.kid;
    match &world.entra.tamper {
        None => {}
        Some(IdTokenTamper::Missing) => return None,
        Some(IdTokenTamper::Garbage) => return Some("not-a-token".to_owned()),
        Some(IdTokenTamper::AlgNone) => return Some(tokens::unsigned(&claims)),
        Some(IdTokenTamper::Hs256) => return Some(key.sign_hs256(&claims)),
        Some(IdTokenTamper::BadSignature) => {
            // Another token's signature: right in form, wrong for these claims.
            let token = key.sign(&claims, kid);
            claims["name"] = "Mallory".into();
            let other = key.sign(&claims, kid);
            let (body, _) = token.rsplit_once('.')?;
            let (_, signature) = other.rsplit_once('.')?;
            return Some(format!("{body}.{signature}"));
        }
        Some(IdTokenTamper::Audience(audience)) => claims["aud"] = audience.clone().into(),
        Some(IdTokenTamper::Issuer(issuer)) => claims["iss"] = issuer.clone().into(),
        Some(IdTokenTamper::TenantClaim(tenant)) => claims["tid"] = tenant.clone().into(),
        Some(IdTokenTamper::ForeignTenant(tenant)) => {
            claims["tid"] = tenant.to_string().into();
            claims["iss"] = format!("{authority}/{tenant}/v2.0").into();
        }
        Some(IdTokenTamper::PersonalAccount) => {
            claims["tid"] = PERSONAL_TENANT.into();
            claims["iss"] = format!("{authority}/{PERSONAL_TENANT}/v2.0").into();
            (key, kid) = (&keys.pinned, keys.pinned.kid);
        }
        Some(IdTokenTamper::Nonce(nonce)) => claims["nonce"] = nonce.clone().into(),
        Some(IdTokenTamper::NoNonce) => {
            claims.as_object_mut()?.remove("nonce");
        }
        Some(IdTokenTamper::UnknownKid) => kid = "no-such-key",
        Some(IdTokenTamper::PinnedKey) => (key, kid) = (&keys.pinned, keys.pinned.kid),
        Some(IdTokenTamper::Expired) => {
            claims["iat"] = (now - 7200).into();
            claims["nbf"] = (now - 7200).into();
            claims["exp"] = (now - 3600).into();
        }
        Some(IdTokenTamper::NotYetValid) => claims["nbf"] = (now + 3600).into(),
        Some(IdTokenTamper::Version(version)) => claims["ver"] = version.clone().into(),
    }
    Some(key.sign(&claims, kid))
}
