//! Who asks the token endpoint: the application, with a secret or a signed assertion.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use super::super::exchange::{Request, field};
use super::super::world::World;
use super::super::{Shared, State};
use super::Refused;
use super::token::required;
use crate::model::Timestamp;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest life of an assertion signed by a certificate, in seconds.
const LONGEST_LIFE: i64 = 600;

fn unauthorized<T>(code: u32, text: &str) -> Result<T, Refused> {
    Err(Refused::new(401, "invalid_client", code, text))
}

/// Client id and secret, from the form or HTTP Basic; or client id and assertion.
pub(super) fn authenticate(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    form: &[(String, String)],
    endpoint: &str,
) -> Result<(), Refused> {
    let decode = |text: &str| {
        let joined = format!("v={text}");
        url::form_urlencoded::parse(joined.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|value| {
        let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((decode(id)?, decode(secret)?))
    });
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (required(form, "client_id")?.to_owned(), field(form, "client_secret").map(str::to_owned)),
    };
    let application = &state.world.application;
    if !application.registration.exists || !id.eq_ignore_ascii_case(&application.client_id.to_string()) {
        let text = format!("Application with identifier '{id}' was not found in the directory.");
        return Err(Refused::new(400, "unauthorized_client", 700_016, text));
    }
    if let Some(code) = state.world.entra.client_refused {
        return unauthorized(code, "The client was refused by order.");
    }
    if let Some(kind) = field(form, "client_assertion_type") {
        if kind != JWT_BEARER {
            return unauthorized(50_012, "The client assertion type is not supported.");
        }
        let token = required(form, "client_assertion")?.to_owned();
        state.keep_secret(&token);
        return assertion(shared, state, &token, endpoint);
    }
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        return unauthorized(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        );
    };
    of_secret(&state.world, &secret)
}

fn of_secret(world: &World, secret: &str) -> Result<(), Refused> {
    let now = world.now();
    match world.application.secrets.iter().find(|known| known.value == secret) {
        None => unauthorized(
            7_000_215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.",
        ),
        Some(known) if known.expires_at.is_some_and(|end| end <= now) => {
            unauthorized(7_000_222, "The provided client secret keys for the app are expired.")
        }
        Some(_) => Ok(()),
    }
}

fn part(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn assertion(shared: &Shared, state: &mut State, token: &str, endpoint: &str) -> Result<(), Refused> {
    let parts: Vec<_> = token.split('.').collect();
    let read = match parts.as_slice() {
        [header, claims, _] => part(header).zip(part(claims)),
        _ => None,
    };
    let Some((header, claims)) = read else {
        return unauthorized(50_012, "The client assertion is not a well-formed JWT.");
    };
    let client_id = state.world.application.client_id.to_string();
    if claims["iss"] == client_id || claims["sub"] == client_id {
        of_certificate(state, token, &header, &claims, endpoint)
    } else {
        federated(shared, state, token)
    }
}

/// An assertion that the application signed itself.
fn of_certificate(
    state: &mut State,
    token: &str,
    header: &Value,
    claims: &Value,
    endpoint: &str,
) -> Result<(), Refused> {
    let now = state.world.now();
    let same = |encoded: &Value, hash: &[u8]| {
        let text = encoded.as_str().unwrap_or_default();
        !text.is_empty() && (text == URL_SAFE_NO_PAD.encode(hash) || text == STANDARD.encode(hash))
    };
    let registered = state.world.application.registration.certificates.iter().find(|one| {
        same(&header["x5t#S256"], digest(&SHA256, &one.der).as_ref())
            || same(&header["x5t"], digest(&SHA1_FOR_LEGACY_USE_ONLY, &one.der).as_ref())
    });
    let Some(registered) = registered else {
        return unauthorized(
            700_027,
            "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]",
        );
    };
    let algorithm = match header["alg"].as_str() {
        Some("PS256") => &RSA_PSS_2048_8192_SHA256,
        Some("RS256") => &RSA_PKCS1_2048_8192_SHA256,
        _ => return unauthorized(50_012, "The algorithm of the client assertion is not supported."),
    };
    let (message, signature) = token.rsplit_once('.').unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    let key = UnparsedPublicKey::new(algorithm, &registered.public_key);
    if key.verify(message.as_bytes(), &signature).is_err() {
        return unauthorized(700_027, "Client assertion failed signature validation.");
    }
    if now < registered.not_before || registered.not_after <= now {
        return unauthorized(
            700_027,
            "Client assertion failed signature validation. [Reason - The key used is expired.]",
        );
    }
    if claims["iss"] != claims["sub"] {
        return unauthorized(50_048, "Subject mismatches Issuer claim in the client assertion.");
    }
    if claims["aud"] != endpoint {
        return unauthorized(50_013, "Assertion failed: the audience is not the token endpoint that was asked.");
    }
    in_time(claims, now, Some(LONGEST_LIFE))?;
    let id = claims["jti"].as_str().unwrap_or_default();
    if id.is_empty() || !state.assertions.insert(id.to_owned()) {
        return unauthorized(50_013, "Assertion failed: it has no jti, or was used before.");
    }
    Ok(())
}

fn in_time(claims: &Value, now: Timestamp, longest: Option<i64>) -> Result<(), Refused> {
    let now = now.timestamp();
    let (begin, end) = (claims["nbf"].as_i64().unwrap_or(i64::MAX), claims["exp"].as_i64().unwrap_or_default());
    let too_long = longest.is_some_and(|longest| end > now + longest);
    if begin > now || end <= now || too_long {
        return unauthorized(700_024, "Client assertion is not within its valid time range.");
    }
    Ok(())
}

/// A token of another issuer, which a federated credential trusts.
fn federated(shared: &Shared, state: &State, token: &str) -> Result<(), Refused> {
    let all = &state.world.application.registration.federated;
    if all.is_empty() {
        return unauthorized(70_021, "No matching federated identity record found for presented assertion.");
    }
    // Every issuer of the sandbox signs with the same key.
    let Some(claims) = shared.keys.claims(token) else {
        return unauthorized(50_012, "Client assertion contains an invalid signature.");
    };
    let by_issuer: Vec<_> = all.iter().filter(|one| claims["iss"] == one.issuer).collect();
    if by_issuer.is_empty() {
        return unauthorized(700_211, "No matching federated identity record found for presented assertion issuer.");
    }
    let by_subject: Vec<_> = by_issuer.into_iter().filter(|one| claims["sub"] == one.subject).collect();
    if by_subject.is_empty() {
        return unauthorized(700_213, "No matching federated identity record found for presented assertion subject.");
    }
    if !by_subject.iter().any(|one| claims["aud"] == one.audience) {
        return unauthorized(700_212, "No matching federated identity record found for presented assertion audience.");
    }
    in_time(&claims, state.world.now(), None)
}
