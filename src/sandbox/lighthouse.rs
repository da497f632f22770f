//! Azure Lighthouse: registration definitions say who of which tenant gets which roles; a registration assignment makes them true.

use serde_json::{Value, json};
use uuid::Uuid;

use super::arm::{Call, authorization_failed, error, method_not_allowed, page};
use super::authorization::{Delegation, Role};
use super::exchange::Reply;
use crate::model::{ObjectId, TenantId};

/// The role that lets the managing tenant end its delegation; it reads nothing.
const DELETE_ROLE: &str = "91c1777a-f3dc-4fae-b103-61d183457e46";

pub(super) fn answer(call: &mut Call<'_>, kind: &str, name: &[&str]) -> Result<Reply, Reply> {
    let name = match name {
        [] => None,
        [name] => {
            Some(name.parse::<Uuid>().map_err(|_| error(400, "InvalidResourceName", "The name must be a GUID."))?)
        }
        _ => return Err(error(404, "NotFound", "There is nothing below a registration.")),
    };
    match (call.request.method.as_str(), kind, name) {
        ("GET", "registrationassignments", None) => {
            call.require("Microsoft.ManagedServices/registrationAssignments/read")?;
            let id = call.subscription;
            let mut names: Vec<(Uuid, Uuid)> = call
                .state
                .world
                .delegations
                .iter()
                .filter(|one| one.subscription == id)
                .map(|one| (one.name, one.definition))
                .collect();
            names.dedup();
            let rows = names.into_iter().map(|(name, definition)| assignment(call, name, definition)).collect();
            page(call.shared, call.request, rows, call.state.world.arm.page_size)
        }
        ("PUT", "registrationdefinitions", Some(name)) => {
            may_delegate(call)?;
            define(call, name)
        }
        ("PUT", "registrationassignments", Some(name)) => {
            may_delegate(call)?;
            assign(call, name)
        }
        ("DELETE", "registrationassignments", Some(name)) => {
            may_delegate(call)?;
            let subscription = call.subscription;
            call.state.world.delegations.retain(|one| one.subscription != subscription || one.name != name);
            Ok(Reply::empty(200))
        }
        _ => Err(method_not_allowed(call.request)),
    }
}

/// Only a member of the customer's own tenant who may assign roles delegates.
fn may_delegate(call: &mut Call<'_>) -> Result<(), Reply> {
    let action = "Microsoft.Authorization/roleAssignments/write";
    call.require(action)?;
    let guest = call.state.world.users.get(&call.principal.object_id).is_none_or(|user| user.guest);
    if guest {
        return Err(authorization_failed(&call.principal, action, &format!("/subscriptions/{}", call.subscription)));
    }
    Ok(())
}

fn body(call: &Call<'_>) -> Result<Value, Reply> {
    serde_json::from_slice(&call.request.body)
        .map_err(|_| error(400, "InvalidRequestContent", "The request content is not valid JSON."))
}

fn define(call: &mut Call<'_>, name: Uuid) -> Result<Reply, Reply> {
    let body = body(call)?;
    let invalid = |message: &str| error(400, "InvalidRegistrationDefinitionCreateRequest", message);
    let properties = &body["properties"];
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    if text(properties, "registrationDefinitionName").is_none_or(|name| name.is_empty()) {
        return Err(invalid("The registration definition name is missing."));
    }
    let managing: Option<TenantId> = text(properties, "managedByTenantId").and_then(|id| id.parse().ok());
    if managing.is_none_or(|tenant| tenant == call.principal.tenant) {
        return Err(invalid("The managing tenant must be another tenant."));
    }
    let authorizations = properties["authorizations"].as_array().filter(|all| !all.is_empty());
    for one in authorizations.ok_or_else(|| invalid("The authorizations are missing."))? {
        if text(one, "principalId").and_then(|id| id.parse::<ObjectId>().ok()).is_none() {
            return Err(invalid("Each principal must be a GUID."));
        }
        // The bare GUID, no path.
        let role = text(one, "roleDefinitionId").unwrap_or_default();
        let known = role.parse::<Uuid>().ok().filter(|_| role.len() == 36);
        let fits = known.is_some_and(|id| Role::of(id).map_or(role == DELETE_ROLE, Role::may_be_delegated));
        if !fits {
            return Err(invalid("The role cannot be delegated."));
        }
    }
    call.state.world.registrations.insert((call.subscription, name), body.clone());
    let id = format!(
        "/subscriptions/{}/providers/Microsoft.ManagedServices/registrationDefinitions/{name}",
        call.subscription
    );
    let mut answer = json!({"id": id, "name": name, "type": "Microsoft.ManagedServices/registrationDefinitions"});
    answer["properties"] = properties.clone();
    answer["properties"]["provisioningState"] = "Succeeded".into();
    Ok(Reply::json(201, &answer))
}

fn assignment(call: &Call<'_>, name: Uuid, definition: Uuid) -> Value {
    let below = format!("/subscriptions/{}/providers/Microsoft.ManagedServices", call.subscription);
    json!({
        "id": format!("{below}/registrationAssignments/{name}"),
        "name": name,
        "type": "Microsoft.ManagedServices/registrationAssignments",
        "properties": {
            "registrationDefinitionId": format!("{below}/registrationDefinitions/{definition}"),
            "provisioningState": "Succeeded",
        },
    })
}

fn assign(call: &mut Call<'_>, name: Uuid) -> Result<Reply, Reply> {
    let body = body(call)?;
    let wanted = body["properties"]["registrationDefinitionId"].as_str().unwrap_or_default();
    let definition = wanted.rsplit('/').next().and_then(|id| id.parse::<Uuid>().ok());
    let known =
        definition.and_then(|id| Some((id, call.state.world.registrations.get(&(call.subscription, id))?.clone())));
    let Some((definition, registered)) = known else {
        return Err(error(404, "RegistrationDefinitionNotFound", "The registration definition was not found."));
    };
    let properties = &registered["properties"];
    let parse = |value: &Value| value.as_str().and_then(|id| id.parse::<Uuid>().ok());
    let world = &mut call.state.world;
    let delay = chrono::Duration::from_std(world.arm.delegation_delay).unwrap_or_default();
    let effective_at = world.now() + delay;
    world.delegations.retain(|one| one.subscription != call.subscription || one.name != name);
    for one in properties["authorizations"].as_array().into_iter().flatten() {
        let (Some(principal), Some(role), Some(managing)) =
            (parse(&one["principalId"]), parse(&one["roleDefinitionId"]), parse(&properties["managedByTenantId"]))
        else {
            continue;
        };
        world.delegations.push(Delegation {
            name,
            definition,
            subscription: call.subscription,
            managing_tenant: managing.into(),
            principal: principal.into(),
            role,
            effective_at,
        });
    }
    Ok(Reply::json(201, &assignment(call, name, definition)))
}
