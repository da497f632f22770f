//! Entra: discovery, keys, sign-in with consent, and the token endpoint.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::exchange::{Reply, Request, field};
use super::pages;
use super::tokens::{self, challenge_of};
use super::world::{IdTokenTamper, PERSONAL_TENANT, User, World};
use super::{Shared, State};
use crate::model::{ObjectId, TenantId, Timestamp};

/// Audiences of Resource Manager that are accepted as the resource of a scope.
pub(super) const ARM_AUDIENCES: [&str; 2] = ["https://management.azure.com", "https://management.core.windows.net"];

/// How long a code lives.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// What stands behind an authorization code.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    segment: String,
    redirect_uri: String,
    challenge: String,
    user: ObjectId,
    scope: String,
    nonce: Option<String>,
    mfa: bool,
    issued_at: Timestamp,
    used: bool,
}

/// A refusal with an AADSTS code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub status: u16,
    pub error: &'static str,
    pub code: u32,
    pub text: String,
}

impl Refused {
    fn new(status: u16, error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { status, error, code, text: text.into() }
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
        ("GET", [segment, "oauth2", "v2.0", "authorize"]) => authorize(state, request, segment),
        ("POST", [segment, "oauth2", "v2.0", "authorize"]) => sign_in(state, request, segment),
        ("POST", [segment, "oauth2", "v2.0", "token"]) => token(shared, state, request, &authority, segment),
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
    let body = json!({
        "error": refused.error,
        "error_description": refused.description(id, now),
        "error_codes": [refused.code],
        "timestamp": now.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        "trace_id": id,
        "correlation_id": id,
        "error_uri": format!("https://login.microsoftonline.com/error?code={}", refused.code),
    });
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

/// A sign-in that may show its page.
pub(super) struct SignIn {
    segment: Segment,
    redirect_uri: String,
    state: Option<String>,
    mode: String,
    scope: String,
    challenge: String,
    nonce: Option<String>,
    pub login_hint: Option<String>,
    step_up: bool,
}

/// What ends a sign-in before its page: a page of Entra's own, or an answer to the application.
enum Ended {
    Here(Refused),
    Back(SignIn, Refused),
}

fn read_sign_in(world: &World, request: &Request, segment: &str) -> Result<SignIn, Ended> {
    let here = |code, text: &str| Err(Ended::Here(Refused::new(400, "invalid_request", code, text)));
    let param = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let Some(segment) = Segment::of(world, segment) else {
        return here(90_002, "Tenant not found. Check that you have the correct tenant ID.");
    };
    let Some(client_id) = param("client_id") else {
        return here(900_144, "The request body must contain the following parameter: 'client_id'.");
    };
    if !client_id.eq_ignore_ascii_case(&world.application.client_id.to_string()) {
        return here(700_016, "Application with this identifier was not found in the directory.");
    }
    let Some(redirect_uri) = param("redirect_uri") else {
        return here(900_971, "No reply address provided.");
    };
    if !world.application.redirect_uris.iter().any(|known| same_redirect(known, &redirect_uri)) {
        return here(
            50_011,
            "The redirect URI specified in the request does not match the redirect URIs configured for the application.",
        );
    }
    let claims = param("claims").unwrap_or_default();
    let prompt = param("prompt");
    let sign_in = SignIn {
        segment,
        redirect_uri,
        state: param("state"),
        mode: param("response_mode").unwrap_or_else(|| "query".to_owned()),
        scope: param("scope").unwrap_or_default(),
        challenge: param("code_challenge").unwrap_or_default(),
        nonce: param("nonce"),
        login_hint: param("login_hint"),
        step_up: claims.contains("acrs") || prompt.as_deref() == Some("login"),
    };
    let wrong = if param("response_type").as_deref() != Some("code") {
        Some(Refused::new(400, "unsupported_response_type", 700_054, "response_type must be 'code'."))
    } else if sign_in.challenge.is_empty() || param("code_challenge_method").as_deref() != Some("S256") {
        Some(Refused::new(400, "invalid_request", 50_147, "A code_challenge with the method S256 is required."))
    } else if !["query", "form_post"].contains(&sign_in.mode.as_str()) {
        Some(Refused::new(400, "invalid_request", 900_144, "response_mode must be 'query' or 'form_post'."))
    } else if let Err(refused) = arm_audience(&sign_in.scope) {
        Some(refused)
    } else {
        match prompt.as_deref() {
            None | Some("login" | "consent" | "select_account") => None,
            Some("none") => Some(Refused::new(
                400,
                "login_required",
                50_058,
                "A silent sign-in request was sent but no user is signed in.",
            )),
            Some(_) => Some(Refused::new(400, "invalid_request", 90_023, "The prompt value is not supported.")),
        }
    };
    match wrong {
        None => Ok(sign_in),
        Some(refused) => Err(Ended::Back(sign_in, refused)),
    }
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

/// Exactly equal; for `http://localhost` the port does not count.
fn same_redirect(known: &str, asked: &str) -> bool {
    let without_port = |text: &str| {
        let rest = text.strip_prefix("http://localhost")?;
        let rest = rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| rest.to_owned())
    };
    known == asked || without_port(known).is_some_and(|known| without_port(asked) == Some(known))
}

fn authorize(state: &mut State, request: &Request, segment: &str) -> Reply {
    match read_sign_in(&state.world, request, segment) {
        Err(ended) => end(state, ended),
        Ok(sign_in) => {
            let action = format!("{}?{}", request.path, request.query);
            let users = candidates(&state.world, &sign_in);
            Reply::html(200, pages::sign_in(&state.world, &users, sign_in.login_hint.as_deref(), &action))
        }
    }
}

fn end(state: &mut State, ended: Ended) -> Reply {
    let now = state.world.now();
    match ended {
        Ended::Here(refused) => Reply::html(refused.status, pages::refused(refused.code, &refused.text)),
        Ended::Back(sign_in, refused) => {
            let id = state.world.fresh_id("trace").to_string();
            let mut fields = vec![
                ("error".to_owned(), refused.error.to_owned()),
                ("error_description".to_owned(), refused.description(&id, now)),
                ("error_uri".to_owned(), format!("https://login.microsoftonline.com/error?code={}", refused.code)),
            ];
            if refused.code == 65_004 {
                fields.push(("error_subcode".to_owned(), "cancel".to_owned()));
            }
            back(&sign_in, fields)
        }
    }
}

/// Back to the application, with what it has to know.
fn back(sign_in: &SignIn, mut fields: Vec<(String, String)>) -> Reply {
    fields.extend(sign_in.state.clone().map(|state| ("state".to_owned(), state)));
    if sign_in.mode == "form_post" {
        return Reply::html(200, pages::form_post(&sign_in.redirect_uri, &fields)).with("cache-control", "no-store");
    }
    let Ok(mut url) = url::Url::parse(&sign_in.redirect_uri) else {
        return Reply::html(400, pages::refused(50_011, "The redirect URI is no address."));
    };
    url.query_pairs_mut().extend_pairs(&fields);
    Reply::redirect(url).with("cache-control", "no-store")
}

/// Who may sign in here.
fn candidates<'a>(world: &'a World, sign_in: &SignIn) -> Vec<&'a User> {
    let fits = |user: &&User| match sign_in.segment {
        Segment::Tenant(tenant) => user.tenant == tenant,
        // Without a tenant, users land in their home tenant.
        Segment::Any => !user.guest && user.tenant.to_string() != PERSONAL_TENANT,
    };
    let mut users: Vec<&User> = world.users.values().filter(fits).collect();
    users.sort_by(|a, b| a.upn.cmp(&b.upn));
    users
}

fn sign_in(state: &mut State, request: &Request, segment: &str) -> Reply {
    let sign_in = match read_sign_in(&state.world, request, segment) {
        Ok(sign_in) => sign_in,
        Err(ended) => return end(state, ended),
    };
    let form = request.form();
    let cancelled = || Refused::new(400, "access_denied", 65_004, "User declined to consent to access the app.");
    if field(&form, "action") != Some("accept") {
        return end(state, Ended::Back(sign_in, cancelled()));
    }
    let upn = field(&form, "user").unwrap_or_default();
    let user = candidates(&state.world, &sign_in).into_iter().find(|user| user.upn.eq_ignore_ascii_case(upn)).cloned();
    let Some(user) = user else {
        let text = format!(
            "User account '{upn}' does not exist in the tenant and cannot access the application in that tenant."
        );
        return end(state, Ended::Here(Refused::new(400, "invalid_request", 50_020, text)));
    };
    if let Some((code, text)) = &user.sign_in_refused {
        return end(state, Ended::Here(Refused::new(400, "access_denied", *code, text.clone())));
    }
    let for_all = field(&form, "organization").is_some();
    match consent(&mut state.world, &user, for_all) {
        Ok(()) => {}
        Err(Consent::AdminNeeded) => {
            let action = format!("{}?{}", request.path, request.query);
            return Reply::html(200, pages::admin_needed(&state.world, &user, &action));
        }
        Err(Consent::Disabled) => {
            let text = "The application is disabled in this tenant.";
            return end(state, Ended::Here(Refused::new(400, "unauthorized_client", 7_000_112, text)));
        }
    }
    let code = format!("0.sandbox-{}{}", state.world.fresh_id("code").simple(), state.world.fresh_id("code").simple());
    let grant = Grant {
        segment: segment_key(sign_in.segment, segment),
        redirect_uri: sign_in.redirect_uri.clone(),
        challenge: sign_in.challenge.clone(),
        user: user.object_id,
        scope: sign_in.scope.clone(),
        nonce: sign_in.nonce.clone(),
        mfa: sign_in.step_up && user.mfa_registered,
        issued_at: state.world.now(),
        used: false,
    };
    state.keep_secret(&code);
    state.grants.insert(code.clone(), grant);
    let session = state.world.fresh_id("session").to_string();
    back(&sign_in, vec![("code".to_owned(), code), ("session_state".to_owned(), session)])
}

fn segment_key(segment: Segment, text: &str) -> String {
    match segment {
        Segment::Tenant(id) => id.to_string(),
        Segment::Any => text.to_ascii_lowercase(),
    }
}

enum Consent {
    AdminNeeded,
    Disabled,
}

/// Consents, or finds consent; the first consent in a tenant makes the service principal there.
fn consent(world: &mut World, user: &User, for_all: bool) -> Result<(), Consent> {
    let Some(tenant) = world.tenants.get(&user.tenant) else { return Err(Consent::AdminNeeded) };
    let principal = tenant.service_principal.as_ref();
    if principal.is_some_and(|principal| principal.disabled) {
        return Err(Consent::Disabled);
    }
    let known = |one: &super::ServicePrincipal| one.consented_for_all || one.consented.contains(&user.object_id);
    if principal.is_some_and(known) {
        return Ok(());
    }
    if !tenant.users_may_consent && !user.admin {
        return Err(Consent::AdminNeeded);
    }
    world.ensure_service_principal(user.tenant);
    if let Some(principal) = world.tenants.get_mut(&user.tenant).and_then(|one| one.service_principal.as_mut()) {
        principal.consented.insert(user.object_id);
        principal.consented_for_all |= for_all && user.admin;
    }
    Ok(())
}

fn token(shared: &Shared, state: &mut State, request: &Request, authority: &str, segment: &str) -> Reply {
    let now = state.world.now();
    match issue(shared, state, request, authority, segment) {
        Ok(body) => Reply::json(200, &body).with("cache-control", "no-store").with("pragma", "no-cache"),
        Err(refused) => {
            let id = state.world.fresh_id("trace").to_string();
            refused_body(&refused, &id, now)
        }
    }
}

fn issue(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    authority: &str,
    segment: &str,
) -> Result<Value, Refused> {
    let form_type = "application/x-www-form-urlencoded";
    if !request.header("content-type").is_some_and(|kind| kind.starts_with(form_type)) {
        return Err(Refused::new(400, "invalid_request", 900_144, format!("The content type must be {form_type}.")));
    }
    let form = request.form();
    let place = Segment::of(&state.world, segment).ok_or_else(|| {
        Refused::new(400, "invalid_request", 90_002, format!("Tenant '{segment}' not found. Check the tenant ID."))
    })?;
    authenticate_client(&state.world, request, &form)?;
    match required(&form, "grant_type")? {
        "authorization_code" => redeem(shared, state, &form, authority, &segment_key(place, segment)),
        "client_credentials" => {
            let Segment::Tenant(tenant) = place else {
                let text =
                    "The client credentials grant is not supported over the /common or /organizations endpoints.";
                return Err(Refused::new(400, "invalid_request", 9_001_023, text));
            };
            for_application(shared, state, &form, tenant)
        }
        other => {
            let text = format!("The app requested an unsupported grant type '{other}'.");
            Err(Refused::new(400, "unsupported_grant_type", 70_003, text))
        }
    }
}

fn required<'a>(form: &'a [(String, String)], name: &str) -> Result<&'a str, Refused> {
    field(form, name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        Refused::new(400, "invalid_request", 900_144, text)
    })
}

/// Client id and secret, from the form or HTTP Basic.
fn authenticate_client(world: &World, request: &Request, form: &[(String, String)]) -> Result<(), Refused> {
    use base64::Engine as _;
    let unauthorized = |code, text: &str| Err(Refused::new(401, "invalid_client", code, text));
    let decode = |text: &str| {
        let joined = format!("v={text}");
        url::form_urlencoded::parse(joined.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic ")).and_then(|value| {
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((decode(id)?, decode(secret)?))
    });
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (required(form, "client_id")?.to_owned(), field(form, "client_secret").map(str::to_owned)),
    };
    if !id.eq_ignore_ascii_case(&world.application.client_id.to_string()) {
        let text = format!("Application with identifier '{id}' was not found in the directory.");
        return Err(Refused::new(400, "unauthorized_client", 700_016, text));
    }
    let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
        return unauthorized(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        );
    };
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

fn redeem(
    shared: &Shared,
    state: &mut State,
    form: &[(String, String)],
    authority: &str,
    segment: &str,
) -> Result<Value, Refused> {
    let invalid = |code, text: &str| Err(Refused::new(400, "invalid_grant", code, text));
    let (code, redirect_uri) = (required(form, "code")?, required(form, "redirect_uri")?);
    let now = state.world.now();
    let Some(grant) = state.grants.get_mut(code) else {
        return invalid(9_002_313, "Invalid request. Request is malformed or invalid.");
    };
    if grant.used {
        return invalid(54_005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code.");
    }
    if grant.segment != segment {
        return invalid(700_005, "Provided Authorization Code is intended to use against other tenant, thus rejected.");
    }
    if now - grant.issued_at > chrono::Duration::from_std(CODE_LIFE).unwrap_or_default() {
        return invalid(70_008, "The provided authorization code or refresh token has expired due to inactivity.");
    }
    if grant.redirect_uri != redirect_uri {
        return invalid(50_112, "The redirect URI does not match the one of the authorization request.");
    }
    let verifier = field(form, "code_verifier").unwrap_or_default();
    if !(43..=128).contains(&verifier.len()) {
        return invalid(501_481, "The size of the Code_Verifier must be between 43 and 128.");
    }
    if challenge_of(verifier) != grant.challenge {
        return invalid(501_481, "The Code_Verifier does not match the code_challenge of the authorization request.");
    }
    grant.used = true;
    let grant = grant.clone();
    // The scope may be left out; it is then that of the sign-in.
    let scope = field(form, "scope").unwrap_or(&grant.scope).to_owned();
    let audience = arm_audience(&scope)?;
    let Some(user) = state.world.users.get(&grant.user).cloned() else {
        return invalid(50_034, "The user account does not exist in the directory.");
    };
    let disabled = state.world.tenants.get(&user.tenant).and_then(|one| one.service_principal.as_ref());
    match disabled {
        None => return invalid(65_001, "The user or administrator has not consented to use the application."),
        Some(principal) if principal.disabled => {
            return Err(Refused::new(400, "unauthorized_client", 7_000_112, "The application is disabled."));
        }
        Some(_) => {}
    }
    let access = shared.keys.any.sign(&user_claims(&state.world, &user, &audience, grant.mfa), shared.keys.any.kid);
    state.keep_secret(&access);
    let life = state.world.entra.access_token_life.as_secs();
    let mut body = json!({
        "token_type": "Bearer",
        "scope": format!("{audience}/user_impersonation {audience}/.default"),
        "expires_in": life,
        "ext_expires_in": life,
        "access_token": access,
    });
    if grant.scope.split(' ').any(|one| one == "openid")
        && let Some(token) = id_token(shared, &state.world, &user, authority, grant.nonce.as_deref())
    {
        state.keep_secret(&token);
        body["id_token"] = token.into();
    }
    Ok(body)
}

fn user_claims(world: &World, user: &User, audience: &str, mfa: bool) -> Value {
    let now = world.now().timestamp();
    let issuer = format!("https://sts.windows.net/{}/", user.tenant);
    let mut claims = json!({
        "aud": audience, "iss": issuer, "iat": now, "nbf": now,
        "exp": now + i64::try_from(world.entra.access_token_life.as_secs()).unwrap_or(i64::MAX / 2),
        "acr": "1", "amr": if mfa { vec!["pwd", "mfa"] } else { vec!["pwd"] },
        "appid": world.application.client_id, "appidacr": "1", "idtyp": "user", "name": user.display_name,
        "oid": user.object_id, "scp": "user_impersonation", "sub": world.id(&format!("arm-sub:{}", user.object_id)),
        "tid": user.tenant, "unique_name": user.upn, "upn": user.upn, "ver": "1.0",
    });
    if mfa {
        claims["acrs"] = json!(["p1"]);
    }
    claims
}

fn id_token(shared: &Shared, world: &World, user: &User, authority: &str, nonce: Option<&str>) -> Option<String> {
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

fn for_application(
    shared: &Shared,
    state: &mut State,
    form: &[(String, String)],
    tenant: TenantId,
) -> Result<Value, Refused> {
    let scope = required(form, "scope")?;
    if scope.split_ascii_whitespace().any(|one| !one.ends_with("/.default")) {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier."
        );
        return Err(Refused::new(400, "invalid_scope", 1_002_012, text));
    }
    let audience = arm_audience(scope)?;
    let world = &mut state.world;
    let now = world.now();
    let client_id = world.application.client_id;
    let principal = world.tenants.get(&tenant).and_then(|one| one.service_principal.clone());
    let delay = chrono::Duration::from_std(world.entra.replication_delay).unwrap_or_default();
    let Some(principal) = principal.filter(|one| one.created_at + delay <= now) else {
        return Err(if world.entra.missing_principal_code == 700_016 {
            let text = format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
            Refused::new(400, "unauthorized_client", 700_016, text)
        } else {
            let text =
                format!("The client application {client_id} is missing service principal in the tenant {tenant}.");
            Refused::new(401, "invalid_client", 7_000_229, text)
        });
    };
    if principal.disabled {
        let text = format!("Application '{client_id}' is disabled.");
        return Err(Refused::new(400, "unauthorized_client", 7_000_112, text));
    }
    let life = world.entra.access_token_life.as_secs();
    let issuer = format!("https://sts.windows.net/{tenant}/");
    let stamp = now.timestamp();
    let mut claims = json!({
        "aud": audience, "iss": issuer, "iat": stamp, "nbf": stamp,
        "exp": stamp + i64::try_from(life).unwrap_or(i64::MAX / 2),
        "appid": client_id, "appidacr": "1", "idp": issuer, "idtyp": "app",
        "oid": world.entra.app_token_oid.unwrap_or(principal.object_id),
        "rh": "0.sandbox", "sub": principal.object_id, "tid": tenant,
        "uti": world.fresh_id("uti").simple().to_string(), "ver": "1.0",
        "xms_tcdt": principal.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
    });
    if world.entra.app_token_without_oid
        && let Some(claims) = claims.as_object_mut()
    {
        claims.remove("oid");
    }
    let refresh_in = world.entra.refresh_in;
    let token = shared.keys.any.sign(&claims, shared.keys.any.kid);
    state.keep_secret(&token);
    let mut body = json!({"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token});
    if let Some(refresh_in) = refresh_in {
        body["refresh_in"] = refresh_in.as_secs().into();
    }
    Ok(body)
}
