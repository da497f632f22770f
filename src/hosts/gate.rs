//! Who may pass, on hosts without the Functions host in front: the functions/ files say which routes there are and which
//! of them need a key.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use url::form_urlencoded;
use warp::http::{HeaderMap, HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::api::problem::Problem;
use crate::functions::{AuthLevel, Functions, Lookup, Trigger};
use crate::settings::ApiKey;

/// The gate.
#[derive(Debug, Clone)]
pub struct Gate {
    functions: Functions,
    keys: Keys,
}

/// What opens functions of the level `function`.
#[derive(Debug, Clone)]
enum Keys {
    /// No keys are set: only this machine, asking for it by a loopback name.
    ThisMachine,
    /// One of these.
    Held(Vec<Held>),
}

#[derive(Debug, Clone)]
struct Held {
    name: String,
    hash: [u8; 32],
}

/// What the gate looks at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method, upper case.
    pub method: &'a str,
    /// The whole path.
    pub path: &'a str,
    /// The raw query, without its question mark.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such function.
    NoFunction,
    /// There is one, but for these methods.
    Method(Vec<String>),
    /// The function needs a key.
    NoKey,
    /// The key is not one of ours.
    WrongKey,
    /// No keys are set, and the request was not made to a loopback name.
    NotThisMachine,
}

impl Gate {
    /// A gate that asks for keys; without any, it lets only this machine through to functions that need one.
    pub fn new(functions: Functions, keys: &[ApiKey]) -> Self {
        let held: Vec<Held> =
            keys.iter().filter_map(|key| Some(Held { name: key.name.clone(), hash: from_hex(&key.sha256)? })).collect();
        // Keys that are set but unreadable must never open the gate to everybody.
        let keys = if keys.is_empty() { Keys::ThisMachine } else { Keys::Held(held) };
        Self { functions, keys }
    }

    /// Lets a request pass or says why not.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, asked: Asked<'_>) -> Result<(), Refusal> {
        let function = match self.functions.find(asked.method, asked.path) {
            Lookup::Found(function) => function,
            Lookup::OtherMethods(methods) => return Err(Refusal::Method(methods.to_vec())),
            Lookup::Nothing => return Err(Refusal::NoFunction),
        };
        match &function.trigger {
            Trigger::Http { auth: AuthLevel::Anonymous, .. } => Ok(()),
            Trigger::Http { auth: AuthLevel::Function, .. } => self.check_key(asked, &function.name),
            Trigger::Timer { .. } | Trigger::Queue { .. } => Err(Refusal::NoFunction),
        }
    }

    fn check_key(&self, asked: Asked<'_>, function: &str) -> Result<(), Refusal> {
        match &self.keys {
            // A tunnel or a proxy in front of a loopback listener would else open the API to the world.
            Keys::ThisMachine if is_for_this_machine(asked.headers) => Ok(()),
            Keys::ThisMachine => Err(Refusal::NotThisMachine),
            Keys::Held(held) => {
                let key = key_of(asked).ok_or(Refusal::NoKey)?;
                let hash = digest(&SHA256, key.as_bytes());
                let mut holder = None;
                // All are compared, so that time tells nothing of which one nearly fits.
                for held in held {
                    if verify_slices_are_equal(hash.as_ref(), &held.hash).is_ok() {
                        holder = Some(&held.name);
                    }
                }
                let holder = holder.ok_or(Refusal::WrongKey)?;
                tracing::debug!(function, key.name = holder, "let through by key");
                Ok(())
            }
        }
    }
}

impl Refusal {
    /// The answer to the caller.
    pub fn into_response(self) -> Response {
        match self {
            Self::NoFunction => Problem::not_found().into_response(),
            Self::Method(methods) => {
                let allow = methods.join(", ");
                let detail = format!("This address takes {allow}.");
                let mut response =
                    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
                        .into_response();
                if let Ok(value) = HeaderValue::from_str(&allow) {
                    response.headers_mut().insert(header::ALLOW, value);
                }
                response
            }
            Self::NoKey => unauthorized(
                "A key is needed: in the header x-functions-key, as the query parameter code, or as a bearer token.",
            ),
            Self::WrongKey => unauthorized("The key is not one of PARTNER_API_KEYS."),
            Self::NotThisMachine => unauthorized(
                "PARTNER_API_KEYS is not set, so only this machine may ask, at a loopback address such as localhost.",
            ),
        }
    }
}

fn unauthorized(detail: &str) -> Response {
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// The key that came with the request. The first two places are the Functions host's, in its order.
fn key_of(asked: Asked<'_>) -> Option<String> {
    if let Some(value) = asked.headers.get("x-functions-key") {
        return value.to_str().ok().map(str::to_owned);
    }
    if let Some((_, value)) = form_urlencoded::parse(asked.query.as_bytes()).find(|(name, _)| name == "code") {
        return Some(value.into_owned());
    }
    let value = asked.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "x-forwarded-host"].iter().any(|name| headers.contains_key(*name));
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // [::1]:80, 127.0.0.1:80, localhost
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback =
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback && !forwarded
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of `secret-key`.
    const HASH: &str = "85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa";

    fn gate() -> Gate {
        Gate::new(Functions::embedded(), &[ApiKey { name: "portal".to_owned(), sha256: HASH.to_owned() }])
    }

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn check(gate: &Gate, path: &str, list: &[(&'static str, &'static str)]) -> Result<(), Refusal> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        gate.check(Asked { method: "GET", path, query, headers: &headers(list) })
    }

    #[test]
    fn the_constant_is_the_hash_of_the_key() {
        assert_eq!(from_hex(HASH).unwrap(), digest(&SHA256, b"secret-key").as_ref());
    }

    #[test]
    fn a_key_is_taken_from_three_places_in_order() {
        let path = "/api/v1/customers";
        assert_eq!(check(&gate(), path, &[("x-functions-key", "secret-key")]), Ok(()));
        assert_eq!(check(&gate(), "/api/v1/customers?a=b&code=secret%2Dkey", &[]), Ok(()));
        assert_eq!(check(&gate(), path, &[("authorization", "bearer secret-key")]), Ok(()));
        assert_eq!(check(&gate(), path, &[]), Err(Refusal::NoKey));
        assert_eq!(check(&gate(), path, &[("authorization", "Basic secret-key")]), Err(Refusal::NoKey));
        assert_eq!(check(&gate(), path, &[("x-functions-key", "")]), Err(Refusal::WrongKey));
        let both = [("x-functions-key", "wrong"), ("authorization", "Bearer secret-key")];
        assert_eq!(check(&gate(), path, &both), Err(Refusal::WrongKey));
    }

    #[test]
    fn anonymous_functions_need_no_key_and_unknown_routes_say_nothing_of_keys() {
        assert_eq!(check(&gate(), "/api/consent/start", &[]), Ok(()));
        assert_eq!(check(&gate(), "/api/probe/live", &[]), Ok(()));
        assert_eq!(check(&gate(), "/api/secret", &[]), Err(Refusal::NoFunction));
        assert_eq!(check(&gate(), "/PollTimer", &[]), Err(Refusal::NoFunction));
        assert_eq!(check(&gate(), "/api/consent/grant", &[]), Err(Refusal::Method(vec!["POST".to_owned()])));
    }

    #[test]
    fn without_keys_only_this_machine_passes() {
        let gate = Gate::new(Functions::embedded(), &[]);
        let path = "/api/v1/customers";
        for host in ["localhost:7071", "127.0.0.1", "[::1]:80", "LOCALHOST"] {
            assert_eq!(check(&gate, path, &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["monitor.example", "10.0.0.1:80", "", "localhost.evil.example", "[::2]:80"] {
            assert_eq!(check(&gate, path, &[("host", host)]), Err(Refusal::NotThisMachine), "{host}");
        }
        let tunnelled = [("host", "localhost"), ("x-forwarded-for", "203.0.113.7")];
        assert_eq!(check(&gate, path, &tunnelled), Err(Refusal::NotThisMachine));
        assert_eq!(check(&gate, "/api/probe/live", &[("host", "monitor.example")]), Ok(()));
    }

    #[test]
    fn keys_that_cannot_be_read_open_nothing() {
        let keys = [ApiKey { name: "portal".to_owned(), sha256: "not hex".to_owned() }];
        let gate = Gate::new(Functions::embedded(), &keys);
        assert_eq!(check(&gate, "/api/v1/customers", &[("host", "localhost")]), Err(Refusal::NoKey));
    }
}
