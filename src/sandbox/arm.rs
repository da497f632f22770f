//! Resource Manager's front door: api-versions, tokens, tenants, subscriptions; then the providers.

use serde_json::{Value, json};

use super::entra::ARM_AUDIENCES;
use super::exchange::{Reply, Request};
use super::role_assignments::{self, At};
use super::subscriptions::Subscription;
use super::tokens::Principal;
use super::world::World;
use super::{Shared, State, activity, emerging, graph, groups, health, lighthouse, logs};
use crate::model::{Scope, SubscriptionId, TenantId};

/// An error body in the front door's shape.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// What every call to a subscription has passed: a good token of the right tenant, and a known subscription.
pub(super) struct Call<'a> {
    pub shared: &'a Shared,
    pub state: &'a mut State,
    pub request: &'a Request,
    pub principal: Principal,
    pub subscription: SubscriptionId,
}

impl Call<'_> {
    /// Refuses unless a role assignment in effect allows the action.
    pub(super) fn require(&mut self, action: &str) -> Result<(), Reply> {
        if self.state.world.allows(self.principal.object_id, self.subscription, action) {
            return Ok(());
        }
        let scope = format!("/subscriptions/{}", self.subscription);
        Err(authorization_failed(&self.principal, action, &scope))
    }
}

/// The refusal for want of a role.
pub(super) fn authorization_failed(principal: &Principal, action: &str, scope: &str) -> Reply {
    let message = format!(
        "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        principal.name, principal.object_id,
    );
    error(403, "AuthorizationFailed", &message).with("x-ms-failure-cause", "gateway")
}

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    dispatch(shared, state, request).unwrap_or_else(|refusal| refusal)
}

fn dispatch(shared: &Shared, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let path = request.path.trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["tenants"] => {
            versions(request, &["2022-12-01", "2021-01-01", "2020-01-01"])?;
            let principal = authenticate(shared, state, request, None)?;
            get_only(request)?;
            Ok(tenants(&state.world, &principal))
        }
        ["subscriptions"] => {
            versions(request, &["2022-12-01", "2021-01-01", "2020-01-01"])?;
            let principal = authenticate(shared, state, request, None)?;
            get_only(request)?;
            subscriptions(shared, state, request, &principal)
        }
        ["providers", "microsoft.resourcegraph", "resources"] => {
            versions(request, &["2024-04-01", "2022-10-01", "2021-03-01", "2019-04-01"])?;
            let principal = authenticate(shared, state, request, None)?;
            Ok(graph::answer(state, request, &principal))
        }
        ["providers", "microsoft.resourcehealth", "emergingissues", name @ ..] => {
            versions(request, health::VERSIONS)?;
            authenticate(shared, state, request, None)?;
            get_only(request)?;
            emerging::answer(&state.world, name).ok_or_else(|| not_found(&request.path))
        }
        ["providers", "microsoft.resourcehealth", "events", ..] => {
            versions(request, health::VERSIONS)?;
            let principal = authenticate(shared, state, request, None)?;
            // Tenant-level events need a role of the directory: no role of Azure opens them.
            if request.method == "GET" && state.world.directory_readers.contains(&principal.object_id) {
                let own = state.world.tenant_events.iter().filter(|(tenant, _)| *tenant == principal.tenant);
                let none = SubscriptionId::from(uuid::Uuid::nil());
                let rows = own.map(|(_, event)| event.to_json(none, &state.world.health, false)).collect();
                return page(shared, request, rows, state.world.arm.page_size);
            }
            let action = "Microsoft.ResourceHealth/events/read";
            Err(authorization_failed(&principal, action, "/providers/Microsoft.ResourceHealth"))
        }
        ["providers", "microsoft.management", "managementgroups", rest @ ..] => {
            let principal = authenticate(shared, state, request, None)?;
            // Ids keep their spelling.
            groups::answer(shared, state, request, principal, rest, segments.get(3).copied())
        }
        ["subscriptions", id, rest @ ..] => {
            let mut call = open(shared, state, request, id)?;
            match rest {
                [] => {
                    versions(request, &["2022-12-01", "2021-01-01", "2020-01-01"])?;
                    get_only(request)?;
                    call.require("Microsoft.Resources/subscriptions/read")?;
                    let subscription = &call.state.world.subscriptions[&call.subscription];
                    Ok(Reply::json(200, &subscription_json(&call.state.world, subscription)))
                }
                ["providers", "microsoft.authorization", "permissions"] => {
                    versions(request, &["2022-04-01", "2018-07-01", "2015-07-01"])?;
                    get_only(request)?;
                    call.require("Microsoft.Authorization/permissions/read")?;
                    let scope = Scope::Subscription(call.subscription);
                    let roles = call.state.world.roles(call.principal.object_id, &scope);
                    let rows: Vec<Value> = roles.into_iter().map(super::Role::permissions).collect();
                    Ok(Reply::json(200, &json!({"value": rows})))
                }
                ["providers", "microsoft.authorization", "roleassignments", name @ ..] => {
                    versions(request, &["2022-04-01", "2020-10-01-preview", "2020-08-01-preview", "2015-07-01"])?;
                    let Call { shared, state, request, principal, subscription } = call;
                    let scope = Scope::Subscription(subscription);
                    role_assignments::answer(&mut At { shared, state, request, principal, scope }, name)
                }
                ["providers", "microsoft.managedservices", kind, name @ ..] => {
                    versions(request, &["2022-10-01", "2020-02-01-preview", "2019-09-01"])?;
                    lighthouse::answer(&mut call, kind, name)
                }
                ["providers", "microsoft.insights", "eventtypes", "management", "values"] => {
                    activity::answer(&mut call)
                }
                ["resourcegroups"] => {
                    versions(request, &["2021-04-01", "2022-09-01"])?;
                    health::groups(&mut call)
                }
                ["resourcegroups", _, "providers", "microsoft.resourcehealth", "availabilitystatuses"] => {
                    versions(request, health::VERSIONS)?;
                    let name = percent_decoded(segments[3]);
                    health::group_availability(&mut call, &name)
                }
                ["providers", "microsoft.operationalinsights", "workspaces"] => {
                    versions(request, &["2022-10-01", "2021-06-01", "2020-08-01"])?;
                    get_only(request)?;
                    call.require("Microsoft.OperationalInsights/workspaces/read")?;
                    let here = call.state.world.monitor.workspaces.iter();
                    let rows = here.filter(|one| one.subscription == call.subscription).map(logs::row).collect();
                    page(shared, request, rows, call.state.world.arm.page_size)
                }
                ["resourcegroups", .., "query"] | ["resourcegroups", .., "providers", "microsoft.insights", "logs"] => {
                    let by_provider = lower.ends_with(&["microsoft.insights", "logs"]);
                    versions(request, &[if by_provider { "2018-03-01-preview" } else { "2017-10-01" }])?;
                    let end = if by_provider { "/providers/microsoft.insights/logs" } else { "/query" };
                    let whole = request.path.trim_end_matches('/');
                    let path = &whole[..whole.len().saturating_sub(end.len())];
                    let workspace = logs::named(&call.state.world, path).ok_or_else(|| not_found(&request.path))?;
                    if !logs::may_query(&mut call.state.world, &call.principal, &workspace) {
                        let action = "Microsoft.OperationalInsights/workspaces/query/read";
                        return Err(authorization_failed(&call.principal, action, &workspace.resource_id));
                    }
                    Ok(logs::query(call.state, request, &workspace))
                }
                ["providers", "microsoft.resourcehealth"] => {
                    versions(request, &["2021-04-01", "2022-09-01"])?;
                    get_only(request)?;
                    call.require("Microsoft.Resources/subscriptions/providers/read")?;
                    let missing = call.state.world.arm.unregistered.contains(&call.subscription);
                    let state = if missing { "NotRegistered" } else { "Registered" };
                    let id = format!("/subscriptions/{}/providers/Microsoft.ResourceHealth", call.subscription);
                    let body = json!({"id": id, "namespace": "Microsoft.ResourceHealth", "registrationState": state});
                    Ok(Reply::json(200, &body))
                }
                ["providers", "microsoft.resourcehealth", kind, ..] => {
                    versions(request, health::VERSIONS)?;
                    // Tracking ids keep their spelling.
                    let more = &segments[5..];
                    if call.state.world.arm.unregistered.contains(&call.subscription) {
                        let message = "The subscription is not registered to use namespace 'Microsoft.ResourceHealth'. See https://aka.ms/rps-not-found for how to register subscriptions.";
                        return Err(error(409, "MissingSubscriptionRegistration", message));
                    }
                    health::answer(&mut call, kind, more)
                }
                _ => Err(not_found(&request.path)),
            }
        }
        _ => Err(not_found(&request.path)),
    }
}

/// A segment of a path as it was meant.
fn percent_decoded(segment: &str) -> String {
    // A form's field is decoded the same way, but for the plus sign.
    let field = format!("x={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(field.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn not_found(path: &str) -> Reply {
    error(404, "NotFound", &format!("The resource at '{path}' was not found."))
}

pub(super) fn get_only(request: &Request) -> Result<(), Reply> {
    if request.method == "GET" { Ok(()) } else { Err(method_not_allowed(request)) }
}

pub(super) fn method_not_allowed(request: &Request) -> Reply {
    error(405, "MethodNotAllowed", &format!("The method '{}' is not allowed here.", request.method))
}

pub(super) fn versions(request: &Request, known: &[&str]) -> Result<(), Reply> {
    let Some(version) = request.param("api-version") else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(error(400, "MissingApiVersionParameter", message));
    };
    if known.contains(&version.as_str()) {
        return Ok(());
    }
    let message = format!(
        "The resource type could not be found for api version '{version}'. The supported api-versions are '{}'.",
        known.join(",")
    );
    Err(error(400, "InvalidResourceType", &message))
}

fn challenge(tenant: Option<TenantId>, description: &str) -> String {
    let authority = tenant.map_or("common".to_owned(), |tenant| tenant.to_string());
    format!(
        "Bearer authorization_uri=\"https://login.windows.net/{authority}\", error=\"invalid_token\", error_description=\"{description}\""
    )
}

/// The holder of the bearer token. `tenant`: whom the challenge names.
fn authenticate(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    tenant: Option<TenantId>,
) -> Result<Principal, Reply> {
    let Some(token) = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
        let description = "The authentication failed because of missing 'Authorization' header.";
        return Err(error(
            401,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
        .with("www-authenticate", challenge(tenant, description)));
    };
    let invalid = |code: &str, message: &str| {
        Err(error(401, code, message).with("www-authenticate", challenge(tenant, "The access token is invalid.")))
    };
    let principal = match state.verified.get(token) {
        Some(principal) => principal.clone(),
        None => match Principal::of(&shared.keys, token) {
            Some(principal) => {
                if state.verified.len() >= super::KEPT {
                    state.verified.clear();
                }
                state.verified.insert(token.to_owned(), principal.clone());
                principal
            }
            None => return invalid("InvalidAuthenticationToken", "The access token is invalid."),
        },
    };
    if !ARM_AUDIENCES.contains(&principal.audience.as_str()) {
        let message = "The access token has been obtained for wrong audience or resource.";
        return invalid("InvalidAuthenticationTokenAudience", message);
    }
    let now = state.world.now();
    if principal.expired(now) {
        let message = format!("The access token expiry UTC time is earlier than current UTC time '{now}'.");
        return invalid("ExpiredAuthenticationToken", &message);
    }
    Ok(principal)
}

/// Passes a call to a subscription through: known id, good token, right tenant.
fn open<'a>(shared: &'a Shared, state: &'a mut State, request: &'a Request, id: &str) -> Result<Call<'a>, Reply> {
    let Ok(subscription) = id.parse::<SubscriptionId>() else {
        let message = format!("The provided subscription identifier '{id}' is malformed or invalid.");
        return Err(error(400, "InvalidSubscriptionId", &message));
    };
    let known = state.world.subscriptions.get(&subscription).filter(|one| one.state != "Deleted");
    let Some(home) = known.map(|one| one.tenant) else {
        let message = format!("The subscription '{subscription}' could not be found.");
        return Err(error(404, "SubscriptionNotFound", &message));
    };
    let principal = authenticate(shared, state, request, Some(home))?;
    if principal.tenant != home && !state.world.is_delegated(subscription, &principal) {
        let message = format!(
            "The access token is from the wrong issuer 'https://sts.windows.net/{}/'. It must match the tenant 'https://sts.windows.net/{home}/' associated with this subscription. Please use the authority (URL) 'https://login.windows.net/{home}' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, but information about new tenant could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.",
            principal.tenant
        );
        return Err(error(401, "InvalidAuthenticationTokenTenant", &message)
            .with("www-authenticate", challenge(Some(home), "The access token is from the wrong issuer.")));
    }
    Ok(Call { shared, state, request, principal, subscription })
}

fn tenants(world: &World, principal: &Principal) -> Reply {
    // A guest sees the home tenant too; the sign-in name joins the two users.
    let mine = |tenant: &TenantId| {
        *tenant == principal.tenant
            || (!principal.app && world.users.values().any(|user| user.tenant == *tenant && user.upn == principal.name))
    };
    let row = |tenant: &super::Tenant| {
        json!({
            "id": format!("/tenants/{}", tenant.id),
            "tenantId": tenant.id,
            "countryCode": "US",
            "displayName": tenant.display_name,
            "domains": [tenant.domain],
            "tenantCategory": "Home",
            "defaultDomain": tenant.domain,
            "tenantType": "AAD",
        })
    };
    let rows: Vec<Value> = world.tenants.values().filter(|tenant| mine(&tenant.id)).map(row).collect();
    Reply::json(200, &json!({"value": rows}))
}

/// The tenants that a subscription is delegated to.
pub(super) fn managed_by(world: &World, id: SubscriptionId) -> Vec<Value> {
    let mut tenants: Vec<TenantId> =
        world.delegations.iter().filter(|one| one.subscription == id).map(|one| one.managing_tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    tenants.into_iter().map(|tenant| json!({"tenantId": tenant})).collect()
}

fn subscription_json(world: &World, subscription: &Subscription) -> Value {
    let mut row = json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "subscriptionId": subscription.id,
        "tenantId": subscription.tenant,
        "displayName": subscription.display_name,
        "state": subscription.state,
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": managed_by(world, subscription.id),
    });
    if !subscription.tags.is_empty() {
        row["tags"] = Value::Object(subscription.tags.clone());
    }
    row
}

/// The subscriptions of the token's tenant, and those delegated to it, that its holder may read.
fn subscriptions(shared: &Shared, state: &mut State, request: &Request, principal: &Principal) -> Result<Reply, Reply> {
    let ids = state.world.within_reach(principal);
    let mut rows = Vec::new();
    for id in ids {
        if state.world.allows(principal.object_id, id, "Microsoft.Resources/subscriptions/read") {
            let subscription = &state.world.subscriptions[&id];
            if subscription.state != "Deleted" {
                rows.push(subscription_json(&state.world, subscription));
            }
        }
    }
    page(shared, request, rows, state.world.arm.page_size)
}

/// One page of rows, with a link to the next while there is one.
pub(super) fn page(shared: &Shared, request: &Request, rows: Vec<Value>, size: usize) -> Result<Reply, Reply> {
    let start = skip(request)?;
    let total = rows.len();
    let rows: Vec<Value> = rows.into_iter().skip(start).take(size.max(1)).collect();
    let end = start + rows.len();
    let mut body = json!({"value": rows});
    if end < total {
        body["nextLink"] = next_link(shared, request, end).into();
    }
    Ok(Reply::json(200, &body))
}

/// How many rows the request's `$skiptoken` has passed.
pub(super) fn skip(request: &Request) -> Result<usize, Reply> {
    let Some(token) = request.param("$skiptoken") else { return Ok(0) };
    let offset = token.strip_prefix("sandbox-").and_then(|offset| offset.parse().ok());
    offset.ok_or_else(|| error(400, "InvalidSkipToken", "The skip token is invalid."))
}

/// The same request, from a row on.
pub(super) fn next_link(shared: &Shared, request: &Request, offset: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let kept = url::form_urlencoded::parse(request.query.as_bytes());
    query.extend_pairs(kept.filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken")));
    query.append_pair("$skipToken", &format!("sandbox-{offset}"));
    format!("{}{}?{}", shared.manager.as_str().trim_end_matches('/'), request.path, query.finish())
}
