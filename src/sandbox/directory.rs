//! Microsoft Graph, as far as a registration needs it: applications, their credentials, service principals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use super::exchange::{Reply, Request};
use super::registration::FederatedCredential;
use super::world::{ClientSecret, World};
use super::{Shared, State};
use crate::azure::PublicCertificate;
use crate::model::Timestamp;

/// Members of an application that may be written and are kept as they are.
const WRITABLE: [&str; 6] =
    ["displayName", "signInAudience", "web", "requiredResourceAccess", "api", "servicePrincipalLockConfiguration"];

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message, "innerError": {}}}))
}

fn bad(message: &str) -> Reply {
    error(400, "Request_BadRequest", message)
}

fn not_found(what: &str) -> Reply {
    let message =
        format!("Resource '{what}' does not exist or one of its queried reference-property objects are not present.");
    error(404, "Request_ResourceNotFound", &message)
}

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    dispatch(shared, state, request).unwrap_or_else(|refusal| refusal)
}

fn dispatch(shared: &Shared, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    if super::office::is_ours(request) {
        return Ok(super::office::answer(shared, state, request));
    }
    authorize(shared, state, request)?;
    let Some(path) = request.path.strip_prefix("/v1.0/") else {
        return Err(bad("Invalid version."));
    };
    let segments: Vec<&str> = path.split('/').collect();
    let body =
        || serde_json::from_slice::<Value>(&request.body).map_err(|_| bad("Unable to read JSON request payload."));
    let reads = &mut state.world.application.registration.replication_reads;
    if request.method != "GET" && segments.len() > 1 && *reads > 0 {
        *reads -= 1;
        return Err(not_found(segments[1]));
    }
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", ["applications"]) => Ok(list(&state.world, request)),
        ("POST", ["applications"]) => create(&mut state.world, body()?),
        ("POST", ["servicePrincipals"]) => create_principal(&mut state.world, &body()?),
        ("GET", [one]) if one.starts_with("servicePrincipals(") => {
            known(&state.world, one)?;
            let home = state.world.application.home;
            let tenant = state.world.tenants.get(&home);
            let principal =
                tenant.and_then(|tenant| tenant.service_principal.as_ref()).ok_or_else(|| not_found(one))?;
            let id = state.world.application.client_id;
            Ok(Reply::json(
                200,
                &json!({"id": principal.object_id, "appId": id, "accountEnabled": !principal.disabled}),
            ))
        }
        ("GET", [one]) | ("GET", ["applications", one]) => {
            known(&state.world, one)?;
            let with_keys = request.param("$select").is_some_and(|select| select.contains("keyCredentials"));
            Ok(Reply::json(200, &state.world.registration_document(with_keys)))
        }
        ("PATCH", ["applications", id]) => {
            known(&state.world, id)?;
            change(&mut state.world, body()?)?;
            Ok(Reply::empty(204))
        }
        ("POST", ["applications", id, "addPassword"]) => {
            known(&state.world, id)?;
            add_password(state, &body()?)
        }
        (method @ ("GET" | "POST"), ["applications", id, "federatedIdentityCredentials"]) => {
            known(&state.world, id)?;
            if method == "GET" { Ok(federated(&state.world)) } else { federate(&mut state.world, &body()?) }
        }
        _ => Err(bad("Resource not found for the segment.")),
    }
}

/// A delegated token of Graph with the permission to write applications.
fn authorize(shared: &Shared, state: &State, request: &Request) -> Result<(), Reply> {
    let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let empty = || error(401, "InvalidAuthenticationToken", "Access token is empty.");
    let claims = shared.keys.claims(token.ok_or_else(empty)?);
    let invalid = || error(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.");
    let claims = claims.filter(|claims| claims["aud"] == shared.graph_audience()).ok_or_else(invalid)?;
    if claims["exp"].as_i64().is_none_or(|end| end <= state.world.now().timestamp()) {
        return Err(error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."));
    }
    let scopes = claims["scp"].as_str().unwrap_or_default();
    if !scopes.split(' ').any(|scope| scope == "Application.ReadWrite.All") {
        return Err(error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."));
    }
    Ok(())
}

/// Refuses unless the segment names the registration: by object id, or by application id in parentheses.
fn known(world: &World, segment: &str) -> Result<(), Reply> {
    let registration = &world.application.registration;
    let by_app = segment.split_once("(appId='").and_then(|(_, rest)| rest.strip_suffix("')"));
    let fits = match by_app {
        Some(id) => id.eq_ignore_ascii_case(&world.application.client_id.to_string()),
        None => segment.eq_ignore_ascii_case(&registration.object_id.to_string()),
    };
    if registration.exists && fits { Ok(()) } else { Err(not_found(segment)) }
}

fn list(world: &World, request: &Request) -> Reply {
    let name = world.application.registration.document.get("displayName").and_then(Value::as_str).unwrap_or_default();
    let wanted = format!("displayName eq '{}'", name.replace('\'', "''"));
    let found = world.application.registration.exists && request.param("$filter").is_none_or(|filter| filter == wanted);
    let rows = if found { vec![world.registration_document(false)] } else { Vec::new() };
    Reply::json(200, &json!({ "value": rows }))
}

fn create(world: &mut World, body: Value) -> Result<Reply, Reply> {
    if body.get("passwordCredentials").is_some() {
        return Err(bad("Credentials of type passwordCredentials cannot be set on creation."));
    }
    if body["displayName"].as_str().is_none_or(str::is_empty) {
        return Err(bad("Invalid value specified for property 'displayName' of resource 'Application'."));
    }
    world.unregister();
    world.application.registration.exists = true;
    change(world, body)?;
    Ok(Reply::json(201, &world.registration_document(false)))
}

fn change(world: &mut World, body: Value) -> Result<(), Reply> {
    let Value::Object(body) = body else { return Err(bad("An object is expected.")) };
    if let Some(uris) = body.get("web").and_then(|web| web.get("redirectUris")).and_then(Value::as_array) {
        let uris: Vec<String> = uris.iter().filter_map(|uri| uri.as_str().map(str::to_owned)).collect();
        let fits = |uri: &String| {
            let secure = uri.starts_with("https://");
            let local = ["http://localhost", "http://127.0.0.1"].iter().any(|start| uri.starts_with(start));
            (secure || local) && uri.len() <= 256 && !uri.contains(['!', '$', '\'', '(', ')', ',', ';', '*'])
        };
        if !uris.iter().all(fits) {
            return Err(bad("Reply address must use the https scheme or be a localhost address."));
        }
        world.application.redirect_uris = uris;
    }
    if let Some(keys) = body.get("keyCredentials").and_then(Value::as_array) {
        let mut certificates = Vec::new();
        for key in keys {
            let der = key["key"].as_str().and_then(|text| STANDARD.decode(text).ok());
            // A key that is there already may come without its value.
            let kept = || {
                let registered = &world.application.registration.certificates;
                registered.iter().find(|one| key["customKeyIdentifier"] == one.thumbprint()).cloned()
            };
            let certificate = der.and_then(|der| PublicCertificate::from_der(&der).ok()).or_else(kept);
            certificates.push(certificate.ok_or_else(|| bad("Key value is invalid certificate."))?);
        }
        world.application.registration.certificates = certificates;
    }
    for (name, value) in body {
        if WRITABLE.contains(&name.as_str()) {
            world.application.registration.document.insert(name, value);
        }
    }
    Ok(())
}

fn create_principal(world: &mut World, body: &Value) -> Result<Reply, Reply> {
    let id = world.application.client_id.to_string();
    let fits = world.application.registration.exists && body["appId"] == id;
    let reads = &mut world.application.registration.replication_reads;
    if !fits || *reads > 0 {
        *reads = reads.saturating_sub(1);
        let message = format!(
            "When using this permission, the backing application of the service principal being created must in the local tenant: '{id}'."
        );
        return Err(error(400, "NoBackingApplicationObject", &message));
    }
    let home = world.application.home;
    if world.service_principal(home).is_some() {
        let message = "The service principal cannot be created, updated, or restored because the service principal name is already in use.";
        return Err(error(409, "Request_MultipleObjectsWithSameKeyValue", message));
    }
    let object_id = world.ensure_service_principal(home);
    Ok(Reply::json(201, &json!({"id": object_id, "appId": id, "accountEnabled": true})))
}

fn add_password(state: &mut State, body: &Value) -> Result<Reply, Reply> {
    let now = state.world.now();
    let asked = &body["passwordCredential"];
    let end = match asked["endDateTime"].as_str().map(str::parse::<Timestamp>) {
        None => now + TimeDelta::days(730),
        Some(Ok(end)) if end > now => end,
        Some(_) => return Err(bad("Invalid value specified for property 'endDateTime'.")),
    };
    let value = format!("added~{}", state.world.fresh_id("secret").simple());
    let secret = ClientSecret { value: value.clone(), expires_at: Some(end) };
    let key_id = state.world.secret_key_id(&secret);
    state.world.application.secrets.push(secret);
    Ok(Reply::json(
        200,
        &json!({
            "displayName": asked["displayName"],
            "endDateTime": end.to_rfc3339_opts(SecondsFormat::Secs, true),
            "hint": &value[..3],
            "keyId": key_id,
            "secretText": value,
        }),
    ))
}

fn federated(world: &World) -> Reply {
    let rows: Vec<_> = world.application.registration.federated.iter().map(row).collect();
    Reply::json(200, &json!({ "value": rows }))
}

fn row(one: &FederatedCredential) -> Value {
    json!({"name": one.name, "issuer": one.issuer, "subject": one.subject, "audiences": [one.audience]})
}

fn federate(world: &mut World, body: &Value) -> Result<Reply, Reply> {
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (Some(name), Some(issuer), Some(subject), Some([Value::String(audience)])) =
        (text("name"), text("issuer"), text("subject"), body["audiences"].as_array().map(Vec::as_slice))
    else {
        return Err(bad("A federated identity credential has name, issuer, subject and exactly one audience."));
    };
    if !(3..=120).contains(&name.len()) || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~".contains(c)) {
        return Err(bad("Invalid value specified for property 'name'."));
    }
    let all = &mut world.application.registration.federated;
    if all.iter().any(|one| one.name == name || (one.issuer == issuer && one.subject == subject)) {
        let message = "FederatedIdentityCredential with this name, or with this issuer and subject, already exists.";
        return Err(error(409, "Request_MultipleObjectsWithSameKeyValue", message));
    }
    if all.len() >= 20 {
        return Err(bad("The maximum number of federated identity credentials is 20."));
    }
    let one = FederatedCredential { name, issuer, subject, audience: audience.clone() };
    let reply = Reply::json(201, &row(&one));
    all.push(one);
    Ok(reply)
}
