//! The role assignment API of a subscription or management group: create, read, list, delete.

use serde_json::{Value, json};
use uuid::Uuid;

use super::arm::{authorization_failed, error, get_only, method_not_allowed, page};
use super::authorization::{Role, RoleAssignment};
use super::exchange::{Reply, Request};
use super::tokens::Principal;
use super::{Shared, State};
use crate::model::{ObjectId, Scope, TenantId};

const WRITE: &str = "Microsoft.Authorization/roleAssignments/write";
const DELETE: &str = "Microsoft.Authorization/roleAssignments/delete";
const READ: &str = "Microsoft.Authorization/roleAssignments/read";

/// A call at a scope: a good token of the right tenant, and a known scope.
pub(super) struct At<'a> {
    pub shared: &'a Shared,
    pub state: &'a mut State,
    pub request: &'a Request,
    pub principal: Principal,
    pub scope: Scope,
}

impl At<'_> {
    /// Refuses unless a role assignment in effect allows the action.
    pub(super) fn require(&mut self, action: &str) -> Result<(), Reply> {
        let world = &mut self.state.world;
        let allowed = match self.scope {
            Scope::Subscription(id) => world.allows(self.principal.object_id, id, action),
            Scope::ManagementGroup(_) => world.allows_at(self.principal.object_id, &self.scope, action),
        };
        if allowed { Ok(()) } else { Err(authorization_failed(&self.principal, action, &self.scope.to_string())) }
    }

    /// The tenant of the scope.
    fn tenant(&self) -> Option<TenantId> {
        let world = &self.state.world;
        match &self.scope {
            Scope::Subscription(id) => world.subscriptions.get(id).map(|one| one.tenant),
            Scope::ManagementGroup(id) => world.management_groups.get(id).map(|one| one.tenant),
        }
    }
}

pub(super) fn answer(call: &mut At<'_>, name: &[&str]) -> Result<Reply, Reply> {
    let [name] = name else {
        get_only(call.request)?;
        call.require(READ)?;
        return list(call);
    };
    let name = name.parse::<Uuid>().map_err(|_| {
        error(
            400,
            "InvalidRoleAssignmentId",
            &format!("The role assignment ID '{name}' is not valid. It must be a GUID."),
        )
    })?;
    match call.request.method.as_str() {
        "GET" => {
            call.require(READ)?;
            let found = find(call, name).map(|at| call.state.world.role_assignments[at].to_json());
            found.map(|body| Reply::json(200, &body)).ok_or_else(|| {
                error(404, "RoleAssignmentNotFound", &format!("The role assignment '{name}' is not found."))
            })
        }
        "PUT" => {
            may_write(call, WRITE)?;
            create(call, name)
        }
        "DELETE" => {
            may_write(call, DELETE)?;
            match find(call, name) {
                Some(at) => Ok(Reply::json(200, &call.state.world.role_assignments.remove(at).to_json())),
                None => Ok(Reply::empty(204)),
            }
        }
        _ => Err(method_not_allowed(call.request)),
    }
}

fn find(call: &At<'_>, name: Uuid) -> Option<usize> {
    let here = |one: &RoleAssignment| one.name == name && one.scope == call.scope;
    call.state.world.role_assignments.iter().position(here)
}

/// What stands before a write: multi-factor authentication, the role, and a subscription that can be written.
fn may_write(call: &mut At<'_>, action: &str) -> Result<(), Reply> {
    if call.state.world.arm.require_mfa && !call.principal.app && !call.principal.mfa {
        let message = "Resource was disallowed by Azure: Users must use MFA for Create operation. Users must authenticate with multi-factor authentication to create or update resources. See https://aka.ms/MFAforAzure.";
        let refusal = match call.state.world.arm.mfa_by_policy {
            true => disallowed_by_policy("Users must use MFA for Create operation", "Users must use MFA."),
            false => error(401, "RequestDisallowedByAzure", message),
        };
        if !call.state.world.arm.mfa_challenge {
            return Err(refusal);
        }
        use base64::Engine as _;
        let claims = json!({"access_token": {"acrs": {"essential": true, "values": ["p1"]}}}).to_string();
        let claims = base64::engine::general_purpose::STANDARD.encode(claims);
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"insufficient_claims\", claims=\"{claims}\""
        );
        return Err(refusal.with("www-authenticate", challenge));
    }
    let arm = &call.state.world.arm;
    if !call.principal.app && arm.conditional_administrators.contains(&call.principal.object_id) {
        let message = format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope '{}' or the scope is invalid, or an ABAC condition is not fulfilled. If access was recently granted, please refresh your credentials.",
            call.principal.name, call.principal.object_id, call.scope
        );
        return Err(error(403, "AuthorizationFailed", &message).with("x-ms-failure-cause", "gateway"));
    }
    let Scope::Subscription(id) = call.scope else { return call.require(action) };
    if arm.deny_assignments.contains(&id) {
        let message = format!(
            "The client '{}' with object id '{}' has permission to perform action '{action}' on scope '{}'; however, the access is denied because of the deny assignment with name 'Blueprint lock' and Id '00000000000040008000000000000d00' at scope '{}'.",
            call.principal.name, call.principal.object_id, call.scope, call.scope
        );
        return Err(error(403, "DenyAssignmentAuthorizationFailed", &message));
    }
    let (locked, policy) = (arm.locked.contains(&id), arm.policy.clone());
    call.require(action)?;
    let subscription = &call.state.world.subscriptions[&id];
    if action == WRITE && !["Enabled", "Warned", "PastDue"].contains(&subscription.state.as_str()) {
        let message = format!(
            "The subscription '{id}' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled."
        );
        return Err(error(409, "ReadOnlyDisabledSubscription", &message));
    }
    if locked {
        let message = format!(
            "The scope '{}' cannot perform write operation because following scope(s) are locked: '{}'. Please remove the lock and try again.",
            call.scope, call.scope
        );
        return Err(error(409, "ScopeLocked", &message));
    }
    if let Some(name) = policy {
        return Err(disallowed_by_policy(&name, "Resource was disallowed by policy."));
    }
    Ok(())
}

/// A refusal by Azure Policy, with what refused.
fn disallowed_by_policy(name: &str, message: &str) -> Reply {
    let info = json!({
        "policyDefinitionDisplayName": name,
        "policyAssignmentDisplayName": name,
        "policyAssignmentScope": "/providers/Microsoft.Management/managementGroups/root",
        "policyDefinitionEffect": "deny",
    });
    let body = json!({"error": {
        "code": "RequestDisallowedByPolicy",
        "message": format!("{message} Policy identifiers: '[{{\"policyAssignment\":{{\"name\":\"{name}\"}}}}]'."),
        "additionalInfo": [{"type": "PolicyViolation", "info": info}],
    }});
    Reply::json(403, &body)
}

/// What a PUT asks for.
struct Wanted {
    role: Uuid,
    principal: ObjectId,
    principal_type: Option<String>,
    description: Option<String>,
}

fn wanted(call: &At<'_>) -> Result<Wanted, Reply> {
    let bad = |code: &str, message: &str| error(400, code, message);
    let body: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| bad("InvalidRequestContent", "The request content was invalid and could not be deserialized."))?;
    let properties = &body["properties"];
    let text = |name: &str| properties[name].as_str();
    let principal = text("principalId")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| bad("InvalidPrincipalId", "A valid principal ID must be provided for role assignment."))?;
    let definition = text("roleDefinitionId").unwrap_or_default();
    let lower = definition.to_ascii_lowercase();
    let (scope, role) = lower
        .rsplit_once("/providers/microsoft.authorization/roledefinitions/")
        .ok_or_else(|| bad("InvalidRoleDefinitionId", "The role definition ID is not valid."))?;
    let here = call.scope.to_string().to_ascii_lowercase();
    let role = role.parse::<Uuid>().ok().filter(|id| Role::of(*id).is_some());
    let Some(role) = role.filter(|_| scope.is_empty() || scope == here) else {
        let message = format!("The specified role definition with ID '{definition}' does not exist.");
        return Err(bad("RoleDefinitionDoesNotExist", &message));
    };
    let principal_type = text("principalType").map(str::to_owned);
    if let Some(kind) = &principal_type
        && !["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"].contains(&kind.as_str())
    {
        return Err(bad("InvalidPrincipalType", &format!("The principal type '{kind}' is not valid.")));
    }
    let description = text("description").map(str::to_owned);
    if description.as_ref().is_some_and(|text| text.len() > 2048) {
        return Err(bad("RoleAssignmentDescriptionTooLong", "The description is longer than 2 KB."));
    }
    Ok(Wanted { role, principal, principal_type, description })
}

fn create(call: &mut At<'_>, name: Uuid) -> Result<Reply, Reply> {
    let wanted = wanted(call)?;
    let (scope, now) = (call.scope.clone(), call.state.world.now());
    let world = &mut call.state.world;
    let same =
        |one: &RoleAssignment| one.scope == scope && one.role == wanted.role && one.principal == wanted.principal;
    // Names are unique in the whole cloud.
    if let Some(existing) = world.role_assignments.iter().find(|one| one.name == name) {
        if !same(existing) {
            let message = "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.";
            return Err(error(400, "RoleAssignmentUpdateNotPermitted", message));
        }
        if !world.arm.identical_put_conflicts {
            return Ok(Reply::json(200, &existing.to_json()));
        }
    }
    if let Some(existing) = world.role_assignments.iter().find(|one| same(one)) {
        let message = format!(
            "The role assignment already exists. The ID of the conflicting role assignment is {}",
            existing.name.simple()
        );
        return Err(error(409, "RoleAssignmentExists", &message));
    }
    let count = world.role_assignments.iter().filter(|one| one.scope == scope).count();
    let limit = match scope {
        Scope::Subscription(_) => world.arm.role_assignment_limit,
        Scope::ManagementGroup(_) => world.arm.group_role_assignment_limit,
    };
    if count >= limit {
        let message = "No more role assignments can be created. The limit of role assignments is reached.";
        return Err(error(400, "RoleAssignmentLimitExceeded", message));
    }
    let kind = principal_type(call, &wanted)?;
    let world = &mut call.state.world;
    let delay = chrono::Duration::from_std(world.arm.propagation_delay).unwrap_or_default();
    let mut made = RoleAssignment::new(name, scope, wanted.role, wanted.principal, &kind, now);
    made.description = wanted.description;
    made.created_by = Some(call.principal.object_id);
    made.effective_at = now + delay;
    made.pending_reads = world.arm.propagation_reads;
    let body = made.to_json();
    world.role_assignments.push(made);
    Ok(Reply::json(201, &body))
}

/// Looks the principal up, unless its type is given: then it is believed, as Azure does.
fn principal_type(call: &mut At<'_>, wanted: &Wanted) -> Result<String, Reply> {
    let Some(tenant) = call.tenant() else {
        return Err(error(404, "NotFound", "The scope was not found."));
    };
    let world = &mut call.state.world;
    let not_found = || {
        let message = format!(
            "Principal {} does not exist in the directory {tenant}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.",
            wanted.principal.guid().simple()
        );
        Err(error(400, "PrincipalNotFound", &message))
    };
    if world.arm.principal_not_found > 0 {
        world.arm.principal_not_found -= 1;
        return not_found();
    }
    let fresh_for = chrono::Duration::from_std(world.arm.principal_fresh_for).unwrap_or_default();
    let service_principal = world.tenants.get(&tenant).and_then(|one| one.service_principal.as_ref());
    let service_principal = service_principal.filter(|one| one.object_id == wanted.principal);
    let is_user = world.users.get(&wanted.principal).is_some_and(|user| user.tenant == tenant);
    let known = match (is_user, service_principal) {
        (true, _) => Some("User"),
        (_, Some(_)) => Some("ServicePrincipal"),
        _ => None,
    };
    match (&wanted.principal_type, known) {
        (Some(given), Some(known)) if given != known => {
            let message = format!(
                "The PrincipalId '{}' has type '{known}', which is different from specified PrinciaplType '{given}'.",
                wanted.principal.guid().simple()
            );
            Err(error(400, "UnmatchedPrincipalType", &message))
        }
        (Some(given), _) => Ok(given.clone()),
        (None, Some(_)) if service_principal.is_some_and(|one| world.now() - one.created_at < fresh_for) => not_found(),
        (None, Some(known)) => Ok(known.to_owned()),
        (None, None) => not_found(),
    }
}

fn list(call: &At<'_>) -> Result<Reply, Reply> {
    let filter = call.request.param("$filter").unwrap_or_default();
    let mut principal = None;
    for part in filter.split(" and ").map(str::trim).filter(|part| !part.is_empty()) {
        let lower = part.to_ascii_lowercase();
        let quoted = || part.split('\'').nth(1).and_then(|id| id.parse::<ObjectId>().ok());
        if lower == "atscope()" {
            continue;
        }
        if !lower.starts_with("principalid eq '") && !lower.starts_with("assignedto('") {
            return Err(error(400, "UnsupportedQuery", &format!("The filter '{part}' is not supported.")));
        }
        principal =
            Some(quoted().ok_or_else(|| error(400, "BadRequest", "The principal ID in the filter is no GUID."))?);
    }
    let world = &call.state.world;
    let wanted = |one: &&RoleAssignment| principal.is_none_or(|principal| one.principal == principal);
    let rows = world.assignments_at(&call.scope).into_iter().filter(wanted).map(RoleAssignment::to_json).collect();
    page(call.shared, call.request, rows, world.arm.page_size)
}
