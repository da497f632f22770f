//! The platform's endpoint for the tokens of a managed identity, as App Service and Functions have it.

use serde_json::json;

use super::exchange::{Reply, Request};
use super::{Shared, State};

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    let refused = |status: u16, message: &str| Reply::json(status, &json!({"statusCode": status, "message": message}));
    let identity = state.world.managed_identity.clone();
    if request.method != "GET" || request.path != "/msi/token" {
        return refused(404, "Not found.");
    }
    if request.header("x-identity-header") != Some(&identity.header) {
        return refused(403, "The X-IDENTITY-HEADER does not match.");
    }
    if request.param("api-version").as_deref() != Some("2019-08-01") {
        return refused(400, "The api-version is not supported.");
    }
    let client_id = identity.client_id.to_string();
    if !identity.assigned || request.param("client_id").as_deref() != Some(&client_id) {
        return refused(
            400,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        );
    }
    let Some(resource) = request.param("resource").filter(|one| one.starts_with("api://AzureADTokenExchange")) else {
        return refused(400, "The resource is not known.");
    };
    let now = state.world.now().timestamp();
    let end = now + i64::try_from(identity.token_life.as_secs()).unwrap_or(i64::MAX / 2);
    let home = state.world.application.home;
    let claims = json!({
        "aud": resource, "iss": shared.issuer(home), "iat": now, "nbf": now, "exp": end, "idtyp": "app",
        "oid": identity.principal_id, "sub": identity.principal_id, "tid": home, "ver": "2.0",
    });
    let token = shared.keys.any.sign(&claims, shared.keys.any.kid);
    state.keep_secret(&token);
    let body = json!({
        "access_token": token, "expires_on": end.to_string(), "resource": resource, "token_type": "Bearer",
        "client_id": client_id,
    });
    Reply::json(200, &body)
}
