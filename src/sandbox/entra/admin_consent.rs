//! The page on which an administrator consents for a whole tenant. Its answer names a tenant that nobody has proven.

use super::super::State;
use super::super::exchange::{Reply, Request, field};
use super::super::pages;
use super::super::switches::RefusedAt;
use super::super::tenants::{PERSONAL_TENANT, User};
use super::super::world::World;
use super::authorize::same_redirect;
use super::{Refused, Segment, arm_audience};

/// A request that may show its page.
struct Asked {
    segment: Segment,
    redirect_uri: String,
    state: Option<String>,
    scope: String,
}

fn asked(world: &World, request: &Request, segment: &str) -> Result<Asked, Reply> {
    let here = |code, text: &str| Err(Reply::html(400, pages::refused(code, text)));
    let param = |name: &str| request.param(name).filter(|value| !value.is_empty());
    let Some(segment) = Segment::of(world, segment).filter(|_| !segment.eq_ignore_ascii_case("common")) else {
        return here(90_002, "Tenant not found. Check that you have the correct tenant ID.");
    };
    if !param("client_id").is_some_and(|id| id.eq_ignore_ascii_case(&world.application.client_id.to_string())) {
        return here(700_016, "Application with this identifier was not found in the directory.");
    }
    let Some(redirect_uri) = param("redirect_uri") else {
        return here(900_971, "No reply address provided.");
    };
    if !world.application.redirect_uris.iter().any(|known| same_redirect(known, &redirect_uri)) {
        return here(50_011, "The redirect URI specified in the request does not match those of the application.");
    }
    let scope = param("scope").unwrap_or_default();
    if let Err(refused) = arm_audience(&scope) {
        return here(refused.code, &refused.text);
    }
    Ok(Asked { segment, redirect_uri, state: param("state"), scope })
}

fn candidates<'a>(world: &'a World, asked: &Asked) -> Vec<&'a User> {
    let fits = |user: &&User| match asked.segment {
        Segment::Tenant(tenant) => user.tenant == tenant,
        Segment::Any => !user.guest && user.tenant.to_string() != PERSONAL_TENANT,
    };
    let mut users: Vec<&User> = world.users.values().filter(fits).collect();
    users.sort_by(|a, b| (!a.admin, &a.upn).cmp(&(!b.admin, &b.upn)));
    users
}

pub(super) fn page(state: &mut State, request: &Request, segment: &str) -> Reply {
    match asked(&state.world, request, segment) {
        Err(reply) => reply,
        Ok(asked) => {
            let action = format!("{}?{}", request.path, request.query);
            Reply::html(200, pages::admin_consent(&state.world, &candidates(&state.world, &asked), &action))
        }
    }
}

pub(super) fn decide(state: &mut State, request: &Request, segment: &str) -> Reply {
    let asked = match asked(&state.world, request, segment) {
        Ok(asked) => asked,
        Err(reply) => return reply,
    };
    let form = request.form();
    let now = state.world.now();
    let refuse = |state: &mut State, refused: &Refused| {
        let id = state.world.fresh_id("trace").to_string();
        let mut fields = refused.fields(&id, now);
        // True even then, as Entra does.
        fields.push(("admin_consent".to_owned(), "True".to_owned()));
        back(&asked, fields)
    };
    if field(&form, "action") != Some("accept") {
        let refused = Refused::new(400, "permission_denied", 65_004, "The admin canceled the request.");
        return refuse(state, &refused);
    }
    if let Some(refused) = Refused::ordered(&state.world, RefusedAt::AdminConsent) {
        return refuse(state, &refused);
    }
    let upn = field(&form, "user").unwrap_or_default();
    let user = candidates(&state.world, &asked).into_iter().find(|user| user.upn.eq_ignore_ascii_case(upn)).cloned();
    let Some(user) = user else {
        return Reply::html(400, pages::refused(50_020, "The user account does not exist in the tenant."));
    };
    if !user.admin {
        return Reply::html(403, pages::refused(90_094, "Only an administrator can grant these permissions."));
    }
    state.world.consent(user.tenant);
    let fields = vec![
        ("admin_consent".to_owned(), "True".to_owned()),
        ("tenant".to_owned(), user.tenant.to_string()),
        ("scope".to_owned(), asked.scope.clone()),
    ];
    back(&asked, fields)
}

fn back(asked: &Asked, mut fields: Vec<(String, String)>) -> Reply {
    fields.extend(asked.state.clone().map(|state| ("state".to_owned(), state)));
    let Ok(mut url) = url::Url::parse(&asked.redirect_uri) else {
        return Reply::html(400, pages::refused(50_011, "The redirect URI is no address."));
    };
    url.query_pairs_mut().extend_pairs(&fields);
    Reply::redirect(url).with("cache-control", "no-store")
}
