//! Entra: discovery, keys, sign-in with consent, and the token endpoint.

mod admin_consent;
mod authorize;
mod client;
mod id_token;
mod token;

use serde_json::json;

use super::exchange::{Reply, Request};
use super::office::GRAPH_AUDIENCE;
use super::pages;
use super::switches::RefusedAt;
use super::world::World;
use super::{Shared, State};
use crate::model::{TenantId, Timestamp};

pub(super) use authorize::Grant;

/// Audiences of Resource Manager that are accepted as the resource of a scope.
pub(super) const ARM_AUDIENCES: [&str; 2] = ["https://management.azure.com", "https://management.core.windows.net"];

/// A refusal with an AADSTS code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: u16,
    pub error: &'static str,
    pub code: u32,
    pub text: String,
    pub claims: Option<String>,
    pub subcode: Option<&'static str>,
}

impl Refused {
    fn new(status: u16, error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { status, error, code, text: text.into(), claims: None, subcode: None }
    }

    /// The refusal on order at this place.
    fn ordered(world: &World, at: RefusedAt) -> Option<Self> {
        let ordered = world.entra.refusal.as_ref().filter(|one| one.at == at)?;
        let refused = Self::new(ordered.status, ordered.error, ordered.code, "Refused by order.");
        Some(Self { claims: ordered.claims.clone(), subcode: ordered.subcode, ..refused })
    }

    /// The fields of an answer to a redirect URI.
    fn fields(&self, id: &str, now: Timestamp) -> Vec<(String, String)> {
        let mut fields = vec![("error".to_owned(), self.error.to_owned())];
        if self.code > 0 {
            fields.push(("error_description".to_owned(), self.description(id, now)));
            fields
                .push(("error_uri".to_owned(), format!("https://login.microsoftonline.com/error?code={}", self.code)));
        }
        fields.extend(self.subcode.map(|subcode| ("error_subcode".to_owned(), subcode.to_owned())));
        fields
    }

    /// The description as Entra writes it, over several lines.
    pub(super) fn description(&self, id: &str, now: Timestamp) -> String {
        let time = now.format("%Y-%m-%d %H:%M:%SZ");
        format!("AADSTS{}: {}\r\nTrace ID: {id}\r\nCorrelation ID: {id}\r\nTimestamp: {time}", self.code, self.text)
    }
}

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    let authority = shared.authority.as_str().trim_end_matches('/').to_owned();
    let segments: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", [segment, "v2.0", ".well-known", "openid-configuration"]) => {
            discovery(&state.world, &authority, segment)
        }
        ("GET", [segment, "discovery", "v2.0", "keys"]) => match Segment::of(&state.world, segment) {
            Some(_) => Reply::json(200, &shared.keys.key_set(&authority)),
            None => tenant_unknown(segment, state.world.now()),
        },
        ("GET", [segment, "oauth2", "v2.0", "authorize"]) => authorize::page(state, request, segment),
        ("POST", [segment, "oauth2", "v2.0", "authorize"]) => authorize::sign_in(state, request, segment),
        ("GET", [segment, "v2.0", "adminconsent"]) => admin_consent::page(state, request, segment),
        ("POST", [segment, "v2.0", "adminconsent"]) => admin_consent::decide(state, request, segment),
        ("POST", [segment, "oauth2", "v2.0", "token"]) => token::answer(shared, state, request, &authority, segment),
        (_, [_, "oauth2", "v2.0", "token"]) => error_body(
            400,
            "invalid_request",
            900_561,
            "The endpoint only accepts POST requests. Received a GET request.",
            state.world.now(),
        ),
        _ => Reply::html(404, pages::refused(404, "The page was not found.")),
    }
}

/// The first segment of every path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment {
    Tenant(TenantId),
    /// `organizations` or `common`.
    Any,
}

impl Segment {
    fn of(world: &World, text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("organizations") || text.eq_ignore_ascii_case("common") {
            return Some(Self::Any);
        }
        let by_id = text.parse::<TenantId>().ok().filter(|id| world.tenants.contains_key(id));
        let by_domain = || world.tenants.values().find(|one| one.domain.eq_ignore_ascii_case(text)).map(|one| one.id);
        by_id.or_else(by_domain).map(Self::Tenant)
    }
}

fn tenant_unknown(segment: &str, now: Timestamp) -> Reply {
    let text = format!(
        "Tenant '{segment}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
    );
    error_body(400, "invalid_request", 90_002, &text, now)
}

/// The error body of the token endpoint.
pub(super) fn error_body(status: u16, error: &'static str, code: u32, text: &str, now: Timestamp) -> Reply {
    refused_body(&Refused::new(status, error, code, text), "00000000-0000-4000-8000-00000000eeee", now)
}

fn refused_body(refused: &Refused, id: &str, now: Timestamp) -> Reply {
    let mut body = json!({
        "error": refused.error,
        "error_description": refused.description(id, now),
        "error_codes": [refused.code],
        "timestamp": now.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        "trace_id": id,
        "correlation_id": id,
        "error_uri": format!("https://login.microsoftonline.com/error?code={}", refused.code),
    });
    if let Some(claims) = &refused.claims {
        body["claims"] = claims.clone().into();
    }
    Reply::json(refused.status, &body).with("cache-control", "no-store")
}

fn discovery(world: &World, authority: &str, segment: &str) -> Reply {
    let (tenant, path) = match Segment::of(world, segment) {
        Some(Segment::Tenant(id)) => (id.to_string(), id.to_string()),
        Some(Segment::Any) => ("{tenantid}".to_owned(), segment.to_owned()),
        None => return tenant_unknown(segment, world.now()),
    };
    let body = json!({
        "issuer": format!("{authority}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{authority}/{path}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{authority}/{path}/oauth2/v2.0/token"),
        "jwks_uri": format!("{authority}/{path}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "request_uri_parameter_supported": false,
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "ver"],
        "tenant_region_scope": null,
        "cloud_instance_name": "sandbox",
    });
    Reply::json(200, &body)
}

/// Services beside Resource Manager that applications get tokens for.
const SERVICES: [&str; 6] = [
    GRAPH_AUDIENCE,
    "https://api.loganalytics.io",
    "https://monitoring.azure.com",
    "https://monitoring.azure.com/",
    "https://monitor.azure.com",
    "https://eventgrid.azure.net",
];

/// The audience that an application asks for with its one scope.
fn app_audience(scope: &str) -> Result<String, Refused> {
    let service = scope.trim().strip_suffix("/.default").filter(|one| SERVICES.contains(one));
    service.map_or_else(|| arm_audience(scope), |service| Ok(service.to_owned()))
}

/// True for a scope that asks who somebody is and nothing more.
fn identity_only(scope: &str) -> bool {
    let mut names = scope.split_ascii_whitespace();
    names.clone().any(|one| one == "openid") && names.all(|one| ["openid", "profile", "email"].contains(&one))
}

/// The audience that a scope asks for. `openid`, `profile`, `email` and `offline_access` go with any resource.
fn arm_audience(scope: &str) -> Result<String, Refused> {
    let mut audience = None;
    for one in scope.split_ascii_whitespace() {
        if ["openid", "profile", "email", "offline_access"].contains(&one) {
            continue;
        }
        let resource = one.strip_suffix("/user_impersonation").or_else(|| one.strip_suffix("/.default"));
        let Some(resource) = resource else {
            return Err(Refused::new(400, "invalid_scope", 70_011, format!("The scope '{one}' is not valid.")));
        };
        if !ARM_AUDIENCES.contains(&resource.trim_end_matches('/')) {
            let text = format!("The resource principal named {resource} was not found in the tenant.");
            return Err(Refused::new(400, "invalid_resource", 500_011, text));
        }
        if audience.replace(resource.to_owned()).is_some_and(|before| before != resource) {
            return Err(Refused::new(400, "invalid_request", 28_003, "Only one resource per request."));
        }
    }
    audience.ok_or_else(|| Refused::new(400, "invalid_scope", 70_011, "The scope names no resource."))
}
