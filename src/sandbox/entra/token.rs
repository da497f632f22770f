//! The token endpoint of Entra.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::super::exchange::{Reply, Request, field};
use super::super::office::GRAPH_AUDIENCE;
use super::super::switches::RefusedAt;
use super::super::tenants::User;
use super::super::tokens::challenge_of;
use super::super::world::World;
use super::super::{Shared, State};
use super::authorize::segment_key;
use super::client;
use super::id_token::id_token;
use super::{Refused, Segment, app_audience, arm_audience, identity_only, refused_body};
use crate::model::TenantId;

/// How long a code lives.
const CODE_LIFE: Duration = Duration::from_secs(600);

/// The audience of a token for a scope that names no resource.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request, authority: &str, segment: &str) -> Reply {
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
    let endpoint = format!("{authority}/{}/oauth2/v2.0/token", segment_key(place, segment));
    client::authenticate(shared, state, request, &form, &endpoint)?;
    let grant_type = required(&form, "grant_type")?;
    let place_of_order = if grant_type == "client_credentials" { RefusedAt::AppToken } else { RefusedAt::Redemption };
    if let Some(refused) = Refused::ordered(&state.world, place_of_order) {
        return Err(refused);
    }
    match grant_type {
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

pub(super) fn required<'a>(form: &'a [(String, String)], name: &str) -> Result<&'a str, Refused> {
    field(form, name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        Refused::new(400, "invalid_request", 900_144, text)
    })
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
    // Who somebody is is told by Graph: its token is worth nothing at Resource Manager.
    let basic = identity_only(&scope);
    let audience = if basic { GRAPH.to_owned() } else { arm_audience(&scope)? };
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
        "scope": if basic { scope.clone() } else { format!("{audience}/user_impersonation {audience}/.default") },
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
    let audience = app_audience(scope)?;
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
    if audience == GRAPH_AUDIENCE {
        let permissions = world.permissions(tenant);
        // A token without permissions has no such claim.
        if !permissions.is_empty() {
            claims["roles"] = json!(permissions);
        }
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
