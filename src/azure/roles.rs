//! Roles: may this user assign them, and the assignment of Reader to our service principal
//! ("Identity, consent and onboarding contract", 5.3 to 5.5).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::wire::roles::{API_VERSION, Permission, RoleAssignment};
use super::{AccessToken, Client, Error};
use crate::model::{ObjectId, Scope, SubscriptionId, TenantId, Timestamp};

/// The built-in role Reader, the same in every cloud.
pub(crate) const READER: Uuid = Uuid::from_u128(0xacdd_72a7_3385_48ef_bd42_f606_fba8_1ae7);

/// The built-in role Service Health Security Reader: the texts of security advisories.
pub(crate) const SECURITY_READER: Uuid = Uuid::from_u128(0x1a92_8ab0_1fee_43cf_9266_f9d8_c22a_8ddb);

/// The namespace of our assignments' names: a fixed GUID of our own. The same grant made twice has the same name.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f4c_9d0e_8a3b_4c57_9e61_7d5a_1b08_c3f2);

/// The action that a user needs.
const ASSIGN: &str = "Microsoft.Authorization/roleAssignments/write";

/// The action that removing needs.
const REMOVE: &str = "Microsoft.Authorization/roleAssignments/delete";

/// The waits while the principal of an assignment spreads in the directory; a `deadline` may end them earlier.
const REPLICATION_WAITS: [u64; 5] = [2, 4, 6, 8, 10];

/// The grant of a role at one scope to our service principal.
#[derive(Debug, Clone)]
pub(crate) struct ReaderGrant {
    pub scope: Scope,
    /// The role definition.
    pub role: Uuid,
    pub tenant: TenantId,
    /// Our service principal in that tenant.
    pub principal: ObjectId,
    /// What the customer reads beside the assignment in the portal.
    pub description: String,
}

/// A role assignment that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// The full id.
    pub id: String,
    /// True when it stood before.
    pub adopted: bool,
}

/// A role assignment that somebody made for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundAssignment {
    /// The full id.
    pub id: String,
    /// Where it was made.
    pub scope: Scope,
    /// The role definition.
    pub role: Option<Uuid>,
    /// Who made it, where Azure says so.
    pub made_by: Option<ObjectId>,
}

impl ReaderGrant {
    /// The assignment's name, deterministic (5.4). Pure.
    /// `seed`: empty but for a name that somebody else has used.
    fn name(&self, cloud: &str, seed: &str) -> Uuid {
        let Self { tenant, principal, role, .. } = self;
        let text = format!("{cloud}|{tenant}|{}|{role}|{principal}{seed}", self.scope).to_ascii_lowercase();
        Uuid::new_v5(&NAMESPACE, text.as_bytes())
    }

    fn body(&self) -> Value {
        let definition = format!("/providers/Microsoft.Authorization/roleDefinitions/{}", self.role);
        let role = match &self.scope {
            Scope::Subscription(_) => format!("{}{definition}", self.scope),
            // A built-in role belongs to no subscription.
            Scope::ManagementGroup(_) => definition,
        };
        json!({ "properties": {
            "roleDefinitionId": role,
            "principalId": self.principal,
            // Without it Azure looks the principal up in a directory that may not have it yet.
            "principalType": "ServicePrincipal",
            "description": self.description,
        } })
    }

    /// True when an assignment is this one under any name. Pure.
    fn is(&self, assignment: &RoleAssignment) -> bool {
        let Some(properties) = &assignment.properties else {
            return false;
        };
        let role = properties.role_definition_id.as_deref().and_then(|id| id.rsplit('/').next());
        let principal = properties.principal_id.as_deref().and_then(|id| id.parse().ok());
        role.and_then(|id| id.parse().ok()) == Some(self.role)
            && principal == Some(self.principal)
            && properties.scope.as_deref().is_some_and(|scope| scope.eq_ignore_ascii_case(&self.scope.to_string()))
    }
}

impl Client {
    /// Whether the token's user may assign roles on a subscription, as far as Azure tells beforehand: "no" is to be believed,
    /// "yes" is worth a try.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn may_assign_roles(
        &self,
        subscription: SubscriptionId,
        token: &AccessToken,
    ) -> Result<bool, Error> {
        self.may(subscription, ASSIGN, token).await
    }

    /// The same for the removal of role assignments.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn may_remove_roles(
        &self,
        subscription: SubscriptionId,
        token: &AccessToken,
    ) -> Result<bool, Error> {
        self.may(subscription, REMOVE, token).await
    }

    async fn may(&self, subscription: SubscriptionId, action: &str, token: &AccessToken) -> Result<bool, Error> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/permissions?api-version={API_VERSION}"
        );
        let listing = self.arm_list(&path, token).await?;
        let entries = listing.rows.into_iter().filter_map(|row| serde_json::from_value::<Permission>(row).ok());
        let entries: Vec<_> = entries.collect();
        Ok(allows(&entries, action))
    }

    /// Assigns the role, or adopts the assignment that is there already. While the directory does not know the principal yet,
    /// tries again until the deadline.
    ///
    /// # Errors
    /// Any of [`Client::arm`].
    pub(crate) async fn assign_reader(
        &self,
        grant: &ReaderGrant,
        token: &AccessToken,
        deadline: Timestamp,
    ) -> Result<Assigned, Error> {
        let id = |seed: &str| {
            let name = grant.name(self.cloud.name, seed);
            format!("{}/providers/Microsoft.Authorization/roleAssignments/{name}", grant.scope)
        };
        let mut seeds = ["", "|2"].into_iter();
        let mut id_now = id(seeds.next().unwrap_or_default());
        let body = grant.body();
        let mut waits = REPLICATION_WAITS.into_iter();
        loop {
            let path = format!("{id_now}?api-version={API_VERSION}");
            let error = match self.arm(Method::PUT, &path, token, Some(&body)).await {
                Ok(answer) => {
                    // 201: made now; 200: stood before.
                    return Ok(Assigned { id: id_now, adopted: answer.status == 200 });
                }
                Err(error) => error,
            };
            // The name stands for something else and cannot be pointed elsewhere: another name, once.
            if error.has_code("RoleAssignmentUpdateNotPermitted")
                && let Some(seed) = seeds.next()
            {
                id_now = id(seed);
                continue;
            }
            if error.has_code("RoleAssignmentExists") {
                let standing = self.standing_assignment(grant, token).await?;
                return standing.map(|id| Assigned { id, adopted: true }).ok_or(error);
            }
            match waits.next().map(Duration::from_secs) {
                Some(wait) if error.has_code("PrincipalNotFound") && self.clock.now() + wait <= deadline => {
                    self.clock.sleep(wait).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// The id of the assignment that already grants this, under whatever name.
    async fn standing_assignment(&self, grant: &ReaderGrant, token: &AccessToken) -> Result<Option<String>, Error> {
        let path = format!(
            "{}/providers/Microsoft.Authorization/roleAssignments?api-version={API_VERSION}&$filter=principalId%20eq%20'{}'",
            grant.scope, grant.principal
        );
        let listing = self.arm_list(&path, token).await?;
        let mut rows = listing.rows.into_iter().filter_map(|row| serde_json::from_value::<RoleAssignment>(row).ok());
        let standing = rows.find(|row| grant.is(row)).and_then(|row| row.id);
        Ok(standing.filter(|id| id.len() <= 500))
    }

    /// The assignment that lets a principal read a subscription, at the subscription or above it, where the token's holder
    /// can see one. None: access comes by another way, such as a group.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn assignment_of(
        &self,
        subscription: SubscriptionId,
        principal: ObjectId,
        token: &AccessToken,
    ) -> Result<Option<FoundAssignment>, Error> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments?api-version={API_VERSION}\
             &$filter=atScope()%20and%20assignedTo('{principal}')"
        );
        let listing = self.arm_list(&path, token).await?;
        let rows = listing.rows.into_iter().filter_map(|row| serde_json::from_value::<RoleAssignment>(row).ok());
        let found = rows.filter_map(|row| found(row, principal));
        // Reader first: another role of ours may be there too.
        Ok(found.min_by_key(|one| (one.role != Some(READER), one.id.clone())))
    }
}

fn found(row: RoleAssignment, principal: ObjectId) -> Option<FoundAssignment> {
    let properties = row.properties?;
    if properties.principal_id.as_deref().and_then(|id| id.parse().ok()) != Some(principal) {
        return None;
    }
    let role = properties.role_definition_id.as_deref().and_then(|id| id.rsplit('/').next()?.parse().ok());
    Some(FoundAssignment {
        id: row.id.filter(|id| id.len() <= 500)?,
        scope: properties.scope?.parse().ok()?,
        role,
        made_by: properties.created_by.and_then(|id| id.parse().ok()),
    })
}

/// A role assignment of a principal, as somebody else reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldRole {
    /// The full id.
    pub id: String,
    /// The scope, such as `/subscriptions/{id}`.
    pub scope: String,
    /// The role definition.
    pub role: Option<Uuid>,
}

impl Client {
    /// The role assignments of a principal that reach a subscription, inherited ones included, with the token of whoever may
    /// read them (5.5).
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn roles_held(
        &self,
        subscription: SubscriptionId,
        principal: ObjectId,
        token: &AccessToken,
    ) -> Result<Vec<HeldRole>, Error> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.Authorization/roleAssignments?api-version={API_VERSION}&$filter=principalId%20eq%20'{principal}'"
        );
        let listing = self.arm_list(&path, token).await?;
        if let Some(error) = listing.broken_off {
            return Err(error);
        }
        let rows = listing.rows.into_iter().filter_map(|row| serde_json::from_value::<RoleAssignment>(row).ok());
        let held = |row: RoleAssignment| {
            let properties = row.properties?;
            let holder: ObjectId = properties.principal_id.as_deref()?.parse().ok()?;
            let role = properties.role_definition_id.as_deref().and_then(|id| id.rsplit('/').next()?.parse().ok());
            (holder == principal).then_some(HeldRole { id: row.id?, scope: properties.scope?, role })
        };
        Ok(rows.filter_map(held).filter(|held| is_assignment_id(&held.id)).collect())
    }

    /// Removes a role assignment. One that is gone counts as removed.
    ///
    /// # Errors
    /// Any of [`Client::arm`].
    pub(crate) async fn remove_role(&self, assignment_id: &str, token: &AccessToken) -> Result<(), Error> {
        let path = format!("{assignment_id}?api-version={API_VERSION}");
        match self.arm(Method::DELETE, &path, token, None).await {
            Ok(_) => Ok(()),
            Err(error) if error.has_code("RoleAssignmentNotFound") => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// True for the full id of a role assignment and nothing else: it becomes a path. Pure.
fn is_assignment_id(id: &str) -> bool {
    let harmless = id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_' | '(' | ')'));
    let tail = id.to_ascii_lowercase();
    let name = tail.split("/providers/microsoft.authorization/roleassignments/").nth(1);
    harmless
        && id.len() <= 500
        && id.starts_with('/')
        && !id.contains("..")
        && name.is_some_and(|name| name.parse::<Uuid>().is_ok())
}

/// The name of a built-in role that we assign, else the definition's id. Pure.
pub(crate) fn role_name(role: Option<Uuid>) -> String {
    match role {
        Some(READER) => "Reader".to_owned(),
        Some(SECURITY_READER) => "Service Health Security Reader".to_owned(),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    }
}

/// True when an entry's actions have it and its exceptions do not. Pure.
fn allows(entries: &[Permission], action: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, action));
    entries.iter().any(|entry| any(&entry.actions) && !any(&entry.not_actions))
}

/// Azure's patterns: no case, and `*` stands for any text, slashes included. Pure.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> ReaderGrant {
        let id = "00000000-0000-4000-8000-000000000001";
        ReaderGrant {
            scope: Scope::Subscription(id.parse().expect("a GUID")),
            role: READER,
            tenant: id.parse().expect("a GUID"),
            principal: id.parse().expect("a GUID"),
            description: String::new(),
        }
    }

    fn entry(actions: &[&str], not_actions: &[&str]) -> Permission {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Permission { actions: own(actions), not_actions: own(not_actions) }
    }

    #[test]
    fn an_owner_may_assign_roles_and_a_contributor_or_reader_may_not() {
        assert!(allows(&[entry(&["*"], &[])], ASSIGN));
        assert!(allows(&[entry(&["*/read", "microsoft.authorization/*"], &[])], ASSIGN));
        let contributor = entry(&["*"], &["Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"]);
        assert!(!allows(std::slice::from_ref(&contributor), ASSIGN));
        assert!(!allows(&[entry(&["*/read"], &[])], ASSIGN));
        assert!(!allows(&[], ASSIGN));
        // An exception takes from its own entry only.
        assert!(allows(&[contributor, entry(&["Microsoft.Authorization/roleAssignments/*"], &[])], ASSIGN));
    }

    #[test]
    fn a_star_stands_for_any_text_and_the_rest_for_itself() {
        for (pattern, fits) in [
            ("*", true),
            (ASSIGN, true),
            ("Microsoft.Authorization/*/write", true),
            ("*/write", true),
            ("*roleAssignments*", true),
            ("*write*write", false),
            ("Microsoft.Authorization/roleAssignments", false),
            ("", false),
        ] {
            assert_eq!(matches(pattern, ASSIGN), fits, "{pattern}");
        }
    }

    #[test]
    fn the_same_grant_has_the_same_name_and_another_cloud_or_principal_has_another() {
        let name = grant().name("AzurePublic", "");
        assert_eq!(name, grant().name("azurepublic", ""));
        assert_ne!(name, grant().name("AzureChina", ""));
        let other = ReaderGrant { principal: Uuid::nil().into(), ..grant() };
        assert_ne!(name, other.name("AzurePublic", ""));
        let other = ReaderGrant { role: SECURITY_READER, ..grant() };
        assert_ne!(name, other.name("AzurePublic", ""));
    }

    #[test]
    fn only_the_full_id_of_a_role_assignment_becomes_a_path() {
        let name = "00000000-0000-4000-8000-000000000001";
        let tail = format!("/providers/Microsoft.Authorization/roleAssignments/{name}");
        assert!(is_assignment_id(&format!("/subscriptions/{name}{tail}")));
        assert!(is_assignment_id(&format!("/providers/Microsoft.Management/managementGroups/root{tail}")));
        for id in [
            format!("/subscriptions/{name}"),
            format!("{tail}?x=1"),
            format!("/a/..{tail}"),
            format!("//evil.example{tail}#"),
        ] {
            assert!(!is_assignment_id(&id), "{id}");
        }
    }

    #[test]
    fn only_the_same_role_scope_and_principal_is_adopted() {
        let assignment = |role: &str, principal: &str, scope: &str| -> RoleAssignment {
            let properties = json!({ "roleDefinitionId": role, "principalId": principal, "scope": scope });
            serde_json::from_value(json!({ "id": "/x", "properties": properties })).expect("a role assignment")
        };
        let id = "00000000-0000-4000-8000-000000000001";
        let (reader, scope) = (format!("/providers/X/roleDefinitions/{READER}"), format!("/SUBSCRIPTIONS/{id}"));
        assert!(grant().is(&assignment(&reader, id, &scope)));
        assert!(!grant().is(&assignment(id, id, &scope)));
        assert!(!grant().is(&assignment(&reader, &READER.to_string(), &scope)));
        assert!(!grant().is(&assignment(&reader, id, &format!("{scope}/resourceGroups/x"))));
    }
}
