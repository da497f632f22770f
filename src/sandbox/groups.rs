//! Management groups: the list, one group, what is below it, and roles at it.

use serde_json::{Value, json};

use super::arm::{authorization_failed, error, get_only, page, versions};
use super::exchange::{Reply, Request};
use super::role_assignments::{self, At};
use super::subscriptions::ManagementGroup;
use super::tokens::Principal;
use super::{Role, Shared, State};
use crate::model::{ManagementGroupId, Scope};

const READ: &str = "Microsoft.Management/managementGroups/read";
const VERSIONS: &[&str] = &["2020-05-01", "2021-04-01", "2023-04-01"];

/// `rest`: the path below `managementGroups`, in lower case; `id`: the group in its own spelling.
pub(super) fn answer(
    shared: &Shared,
    state: &mut State,
    request: &Request,
    principal: Principal,
    rest: &[&str],
    id: Option<&str>,
) -> Result<Reply, Reply> {
    let Some(id) = id else {
        versions(request, VERSIONS)?;
        get_only(request)?;
        return list(shared, state, request, &principal);
    };
    let unknown = || error(404, "NotFound", &format!("The management group '{id}' cannot be found."));
    let group = id.parse::<ManagementGroupId>().ok().and_then(|id| state.world.management_groups.get(&id).cloned());
    // Whoever may not see a group is told the same as about one that does not exist in his tenant.
    let group = group.filter(|group| group.tenant == principal.tenant).ok_or_else(unknown)?;
    let scope = Scope::ManagementGroup(group.id.clone());
    let mut at = At { shared, state, request, principal, scope };
    match &rest[1..] {
        [] => {
            versions(request, VERSIONS)?;
            get_only(request)?;
            at.require(READ)?;
            Ok(Reply::json(200, &row(&group)))
        }
        ["descendants"] => {
            versions(request, VERSIONS)?;
            get_only(request)?;
            at.require(READ)?;
            descendants(&at, &group)
        }
        ["providers", "microsoft.authorization", "permissions"] => {
            versions(request, &["2022-04-01", "2018-07-01", "2015-07-01"])?;
            get_only(request)?;
            at.require("Microsoft.Authorization/permissions/read")?;
            let roles = at.state.world.roles(at.principal.object_id, &at.scope);
            let rows: Vec<Value> = roles.into_iter().map(Role::permissions).collect();
            Ok(Reply::json(200, &json!({"value": rows})))
        }
        ["providers", "microsoft.authorization", "roleassignments", name @ ..] => {
            versions(request, &["2022-04-01", "2020-10-01-preview", "2015-07-01"])?;
            role_assignments::answer(&mut at, name)
        }
        _ => Err(unknown()),
    }
}

fn row(group: &ManagementGroup) -> Value {
    json!({
        "id": Scope::ManagementGroup(group.id.clone()),
        "type": "Microsoft.Management/managementGroups",
        "name": group.id,
        "properties": {"tenantId": group.tenant, "displayName": group.display_name},
    })
}

/// The groups that the caller may read. Who may read none is refused, as Azure does.
fn list(shared: &Shared, state: &mut State, request: &Request, principal: &Principal) -> Result<Reply, Reply> {
    let all: Vec<_> =
        state.world.management_groups.values().filter(|one| one.tenant == principal.tenant).cloned().collect();
    let mut rows = Vec::new();
    for group in all {
        if state.world.allows_at(principal.object_id, &Scope::ManagementGroup(group.id.clone()), READ) {
            rows.push(row(&group));
        }
    }
    if rows.is_empty() {
        return Err(authorization_failed(principal, READ, "/providers/Microsoft.Management"));
    }
    page(shared, request, rows, state.world.arm.page_size)
}

fn descendants(at: &At<'_>, group: &ManagementGroup) -> Result<Reply, Reply> {
    let world = &at.state.world;
    let below = world.subscriptions_below(&group.id).into_iter().map(|id| {
        let subscription = &world.subscriptions[&id];
        let parent = subscription.parent.clone().map(Scope::ManagementGroup);
        json!({
            "id": Scope::Subscription(id),
            "type": "/subscriptions",
            "name": id,
            "properties": {"displayName": subscription.display_name, "parent": {"id": parent}},
        })
    });
    let groups = world.management_groups.values().filter(|one| one.parent.as_ref() == Some(&group.id)).map(|one| {
        let mut row = row(one);
        row["type"] = "/managementGroups".into();
        row["properties"] = json!({"displayName": one.display_name, "parent": {"id": at.scope}});
        row
    });
    page(at.shared, at.request, groups.chain(below).collect(), world.arm.page_size)
}
