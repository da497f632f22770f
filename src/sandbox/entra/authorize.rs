//! The sign-in page of Entra, consent, and the way back to the application.

use super::super::State;
use super::super::exchange::{Reply, Request, field};
use super::super::pages::{self, Asks};
use super::super::switches::RefusedAt;
use super::super::tenants::{PERSONAL_TENANT, ServicePrincipal, User};
use super::super::world::World;
use super::{Refused, Segment, arm_audience, identity_only};
use crate::model::{ObjectId, Timestamp};

/// What stands behind an authorization code.
#[derive(Debug, Clone)]
pub(in super::super) struct Grant {
    pub(super) segment: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) user: ObjectId,
    pub(super) scope: String,
    pub(super) nonce: Option<String>,
    pub(super) mfa: bool,
    pub(super) issued_at: Timestamp,
    pub(super) used: bool,
}

/// A sign-in that may show its page.
struct SignIn {
    segment: Segment,
    redirect_uri: String,
    state: Option<String>,
    mode: String,
    scope: String,
    challenge: String,
    nonce: Option<String>,
    login_hint: Option<String>,
    step_up: bool,
}

/// What ends a sign-in before its page: a page of Entra's own, or an answer to the application.
enum Ended {
    Here(Refused),
    Back(Box<SignIn>, Refused),
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
    let registered = world.application.registration.exists;
    if !registered || !client_id.eq_ignore_ascii_case(&world.application.client_id.to_string()) {
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
    } else if let Some(refused) = arm_audience(&sign_in.scope).err().filter(|_| !identity_only(&sign_in.scope)) {
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
        Some(refused) => Err(Ended::Back(Box::new(sign_in), refused)),
    }
}

/// Exactly equal; for `http://localhost` the port does not count.
pub(super) fn same_redirect(known: &str, asked: &str) -> bool {
    let without_port = |text: &str| {
        let rest = text.strip_prefix("http://localhost")?;
        let rest = rest.strip_prefix(':').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        (rest.is_empty() || rest.starts_with(['/', '?'])).then(|| rest.to_owned())
    };
    known == asked || without_port(known).is_some_and(|known| without_port(asked) == Some(known))
}

pub(super) fn page(state: &mut State, request: &Request, segment: &str) -> Reply {
    match read_sign_in(&state.world, request, segment) {
        Err(ended) => end(state, ended),
        Ok(sign_in) => {
            let action = format!("{}?{}", request.path, request.query);
            let users = candidates(&state.world, &sign_in);
            let asks = Asks { manager: !identity_only(&sign_in.scope), hint: sign_in.login_hint.as_deref() };
            Reply::html(200, pages::sign_in(&state.world, &users, &asks, &action))
        }
    }
}

fn end(state: &mut State, ended: Ended) -> Reply {
    let now = state.world.now();
    match ended {
        Ended::Here(refused) => Reply::html(refused.status, pages::refused(refused.code, &refused.text)),
        Ended::Back(sign_in, refused) => {
            let id = state.world.fresh_id("trace").to_string();
            back(&sign_in, refused.fields(&id, now))
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

pub(super) fn sign_in(state: &mut State, request: &Request, segment: &str) -> Reply {
    let sign_in = match read_sign_in(&state.world, request, segment) {
        Ok(sign_in) => sign_in,
        Err(ended) => return end(state, ended),
    };
    let form = request.form();
    let cancelled = || Refused {
        subcode: Some("cancel"),
        ..Refused::new(400, "access_denied", 65_004, "User declined to consent to access the app.")
    };
    if field(&form, "action") != Some("accept") {
        return end(state, Ended::Back(Box::new(sign_in), cancelled()));
    }
    let upn = field(&form, "user").unwrap_or_default();
    let user = candidates(&state.world, &sign_in).into_iter().find(|user| user.upn.eq_ignore_ascii_case(upn)).cloned();
    let Some(user) = user else {
        let text = format!(
            "User account '{upn}' does not exist in the tenant and cannot access the application in that tenant."
        );
        return end(state, Ended::Here(Refused::new(400, "invalid_request", 50_020, text)));
    };
    if let Some(refused) = Refused::ordered(&state.world, RefusedAt::SignInPage) {
        return end(state, Ended::Here(refused));
    }
    if let Some(refused) = Refused::ordered(&state.world, RefusedAt::Callback) {
        return end(state, Ended::Back(Box::new(sign_in), refused));
    }
    if let Some((code, text)) = &user.sign_in_refused {
        return end(state, Ended::Here(Refused::new(400, "access_denied", *code, text.clone())));
    }
    let for_all = field(&form, "organization").is_some();
    let basic = identity_only(&sign_in.scope);
    match consent(&mut state.world, &user, for_all, basic) {
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

pub(super) fn segment_key(segment: Segment, text: &str) -> String {
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
/// `basic`: to tell who the user is and nothing more, which is no consent to act in his name.
fn consent(world: &mut World, user: &User, for_all: bool, basic: bool) -> Result<(), Consent> {
    let Some(tenant) = world.tenants.get(&user.tenant) else { return Err(Consent::AdminNeeded) };
    let principal = tenant.service_principal.as_ref();
    if principal.is_some_and(|principal| principal.disabled) {
        return Err(Consent::Disabled);
    }
    let known = |one: &ServicePrincipal| one.consented_for_all || one.consented.contains(&user.object_id);
    if principal.is_some_and(known) {
        return Ok(());
    }
    if !tenant.users_may_consent && !user.admin {
        return Err(Consent::AdminNeeded);
    }
    world.ensure_service_principal(user.tenant);
    if basic {
        return Ok(());
    }
    if let Some(principal) = world.tenants.get_mut(&user.tenant).and_then(|one| one.service_principal.as_mut()) {
        principal.consented.insert(user.object_id);
        principal.consented_for_all |= for_all && user.admin;
    }
    Ok(())
}
