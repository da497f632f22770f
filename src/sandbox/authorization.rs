//! Roles and role assignments: what a principal may do on a subscription, decided here and nowhere else.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use super::tokens::Principal;
use super::world::World;
use crate::model::{ManagementGroupId, ObjectId, Scope, SubscriptionId, TenantId, Timestamp};

/// Built-in roles that the sandbox knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but access.
    Contributor,
    /// Reads everything.
    Reader,
    /// Reads everything, and more of monitoring.
    MonitoringReader,
    /// Access only.
    UserAccessAdministrator,
    /// Role assignments only.
    RbacAdministrator,
    /// Resource Health, with the texts of security advisories.
    ServiceHealthSecurityReader,
}

impl Role {
    const ALL: [Self; 7] = [
        Self::Owner,
        Self::Contributor,
        Self::Reader,
        Self::MonitoringReader,
        Self::UserAccessAdministrator,
        Self::RbacAdministrator,
        Self::ServiceHealthSecurityReader,
    ];

    /// The id of the role definition, the same in every tenant.
    pub fn id(self) -> Uuid {
        let id = match self {
            Self::Owner => "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
            Self::Contributor => "b24988ac-6180-42a0-ab88-20f7382dd24c",
            Self::Reader => "acdd72a7-3385-48ef-bd42-f606fba81ae7",
            Self::MonitoringReader => "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
            Self::UserAccessAdministrator => "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
            Self::RbacAdministrator => "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
            Self::ServiceHealthSecurityReader => "1a928ab0-1fee-43cf-9266-f9d8c22a8ddb",
        };
        Uuid::parse_str(id).expect("the ids above are GUIDs")
    }

    /// The role of a definition's id.
    pub fn of(id: Uuid) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.id() == id)
    }

    /// What it allows, and what it takes out of that.
    fn actions(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Owner => (&["*"], &[]),
            Self::Contributor => (
                &["*"],
                &[
                    "Microsoft.Authorization/*/Delete",
                    "Microsoft.Authorization/*/Write",
                    "Microsoft.Authorization/elevateAccess/Action",
                ],
            ),
            Self::Reader => (&["*/read"], &[]),
            Self::MonitoringReader => {
                (&["*/read", "Microsoft.OperationalInsights/workspaces/search/action", "Microsoft.Support/*"], &[])
            }
            Self::UserAccessAdministrator => (&["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"], &[]),
            Self::RbacAdministrator => (
                &[
                    "Microsoft.Authorization/roleAssignments/write",
                    "Microsoft.Authorization/roleAssignments/delete",
                    "*/read",
                    "Microsoft.Support/*",
                ],
                &[],
            ),
            Self::ServiceHealthSecurityReader => (
                &[
                    "Microsoft.ResourceHealth/events/read",
                    "Microsoft.ResourceHealth/events/fetchEventDetails/action",
                    "Microsoft.ResourceHealth/events/listSecurityAdvisoryImpactedResources/action",
                    "Microsoft.ResourceHealth/events/impactedResources/read",
                ],
                &[],
            ),
        }
    }

    fn allows(self, action: &str) -> bool {
        let (actions, not_actions) = self.actions();
        let any = |patterns: &[&str]| patterns.iter().any(|pattern| action_matches(pattern, action));
        any(actions) && !any(not_actions)
    }

    /// True when Lighthouse may delegate it: built-in, and neither Owner nor one that writes access.
    pub(super) fn may_be_delegated(self) -> bool {
        !matches!(self, Self::Owner | Self::UserAccessAdministrator | Self::RbacAdministrator)
    }

    /// The row of the permissions API.
    pub(super) fn permissions(self) -> Value {
        let (actions, not_actions) = self.actions();
        json!({"actions": actions, "notActions": not_actions, "dataActions": [], "notDataActions": []})
    }
}

/// Compares an action with a pattern: case does not matter, `*` stands for anything, slashes too.
fn action_matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// One role assignment at a subscription or management group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its name, a GUID.
    pub name: Uuid,
    /// Its scope.
    pub scope: Scope,
    /// The role definition.
    pub role: Uuid,
    /// Who has it.
    pub principal: ObjectId,
    /// `User`, `ServicePrincipal` or `Group`.
    pub principal_type: String,
    /// The text given with it.
    pub description: Option<String>,
    /// Who made it.
    pub created_by: Option<ObjectId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it decides.
    pub effective_at: Timestamp,
    /// How many more reads it will not yet decide.
    pub pending_reads: u32,
}

impl RoleAssignment {
    pub(super) fn new(
        name: Uuid,
        scope: Scope,
        role: Uuid,
        principal: ObjectId,
        principal_type: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            scope,
            role,
            principal,
            principal_type: principal_type.to_owned(),
            description: None,
            created_by: None,
            created_at: now,
            effective_at: now,
            pending_reads: 0,
        }
    }

    /// The subscription, when that is its scope.
    pub fn subscription(&self) -> Option<SubscriptionId> {
        match self.scope {
            Scope::Subscription(id) => Some(id),
            Scope::ManagementGroup(_) => None,
        }
    }

    /// Its resource id.
    pub fn id(&self) -> String {
        format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", self.scope, self.name)
    }

    pub(super) fn to_json(&self) -> Value {
        let time = self.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let by = self.created_by.map(|by| by.to_string());
        // A built-in role belongs to no management group.
        let place = self.subscription().map(|_| self.scope.to_string()).unwrap_or_default();
        json!({
            "properties": {
                "roleDefinitionId": format!(
                    "{place}/providers/Microsoft.Authorization/roleDefinitions/{}", self.role),
                "principalId": self.principal,
                "principalType": self.principal_type,
                "scope": self.scope,
                "description": self.description,
                "condition": null,
                "conditionVersion": null,
                "createdOn": time,
                "updatedOn": time,
                "createdBy": by,
                "updatedBy": by,
                "delegatedManagedIdentityResourceId": null,
            },
            "id": self.id(),
            "type": "Microsoft.Authorization/roleAssignments",
            "name": self.name,
        })
    }
}

/// A role on a subscription for a principal of another tenant (Azure Lighthouse).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The registration assignment's name.
    pub name: Uuid,
    /// The registration definition's name.
    pub definition: Uuid,
    /// What is delegated.
    pub subscription: SubscriptionId,
    /// Whom it is delegated to.
    pub managing_tenant: TenantId,
    /// Who there has the role.
    pub principal: ObjectId,
    /// The role definition.
    pub role: Uuid,
    /// From when on it decides.
    pub effective_at: Timestamp,
}

impl World {
    /// True when an assignment at this scope decides at that one: the same, or a management group above it.
    fn reaches(&self, from: &Scope, to: &Scope) -> bool {
        if from == to {
            return true;
        }
        let Scope::ManagementGroup(from) = from else { return false };
        let mut above = match to {
            Scope::Subscription(id) => self.subscriptions.get(id).and_then(|one| one.parent.clone()),
            Scope::ManagementGroup(id) => self.management_groups.get(id).and_then(|one| one.parent.clone()),
        };
        // A tree has no more levels than groups.
        for _ in 0..=self.management_groups.len() {
            match above {
                Some(id) if id == *from => return true,
                Some(id) => above = self.management_groups.get(&id).and_then(|one| one.parent.clone()),
                None => return false,
            }
        }
        false
    }

    /// True when a role assignment in effect allows the action on a subscription. A refusal counts down assignments that
    /// wait for reads.
    pub(super) fn allows(&mut self, principal: ObjectId, subscription: SubscriptionId, action: &str) -> bool {
        let now = self.now();
        let delegated = |one: &Delegation| {
            one.subscription == subscription && one.principal == principal && one.effective_at <= now
        };
        self.allows_at(principal, &Scope::Subscription(subscription), action)
            || self
                .delegations
                .iter()
                .any(|one| delegated(one) && Role::of(one.role).is_some_and(|role| role.allows(action)))
    }

    /// The same at any scope, delegations apart.
    pub(super) fn allows_at(&mut self, principal: ObjectId, scope: &Scope, action: &str) -> bool {
        let now = self.now();
        let mine: Vec<usize> = (0..self.role_assignments.len())
            .filter(|at| {
                let one = &self.role_assignments[*at];
                one.principal == principal
                    && Role::of(one.role).is_some_and(|role| role.allows(action))
                    && self.reaches(&one.scope, scope)
            })
            .collect();
        let decides = |at: &usize| {
            let one = &self.role_assignments[*at];
            one.effective_at <= now && one.pending_reads == 0
        };
        if mine.iter().any(decides) {
            return true;
        }
        for at in mine {
            let one = &mut self.role_assignments[at];
            one.pending_reads = one.pending_reads.saturating_sub(1);
        }
        false
    }

    /// The roles in effect of a principal at a scope.
    pub(super) fn roles(&self, principal: ObjectId, scope: &Scope) -> Vec<Role> {
        let now = self.now();
        let mine = self.role_assignments.iter().filter(|one| {
            one.principal == principal
                && self.reaches(&one.scope, scope)
                && one.effective_at <= now
                && one.pending_reads == 0
        });
        mine.filter_map(|one| Role::of(one.role)).collect()
    }

    /// The assignments at a scope and above it.
    pub(super) fn assignments_at(&self, scope: &Scope) -> Vec<&RoleAssignment> {
        self.role_assignments.iter().filter(|one| self.reaches(&one.scope, scope)).collect()
    }

    /// The subscriptions below a management group, at any depth.
    pub fn subscriptions_below(&self, group: &ManagementGroupId) -> Vec<SubscriptionId> {
        let group = Scope::ManagementGroup(group.clone());
        self.subscriptions.keys().copied().filter(|id| self.reaches(&group, &Scope::Subscription(*id))).collect()
    }

    /// The subscriptions that a token can be for: its tenant's own, and those delegated to its holder.
    pub(super) fn within_reach(&self, principal: &Principal) -> Vec<SubscriptionId> {
        let own = |one: &&super::Subscription| one.tenant == principal.tenant || self.is_delegated(one.id, principal);
        self.subscriptions.values().filter(own).map(|one| one.id).collect()
    }

    /// True when the holder of a token has a delegation on the subscription.
    pub(super) fn is_delegated(&self, subscription: SubscriptionId, principal: &Principal) -> bool {
        self.delegations.iter().any(|one| {
            one.subscription == subscription
                && one.managing_tenant == principal.tenant
                && one.principal == principal.object_id
                && one.effective_at <= self.now()
        })
    }

    /// Delegates a subscription to our application in its home tenant, in effect at once: what a customer's deployment of a
    /// Lighthouse template ends with.
    pub fn delegate(&mut self, subscription: SubscriptionId, role: Role) {
        let home = self.application.home;
        let Some(principal) = self.service_principal(home) else { return };
        let name = self.id(&format!("delegation:{subscription}:{}", role.id()));
        self.delegations.push(Delegation {
            name,
            definition: name,
            subscription,
            managing_tenant: home,
            principal,
            role: role.id(),
            effective_at: self.now(),
        });
    }

    /// Sets how long, and how many reads, new role assignments take to come into effect.
    pub fn propagation(&mut self, delay: Duration, reads: u32) {
        self.arm.propagation_delay = delay;
        self.arm.propagation_reads = reads;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contributor_writes_everything_but_role_assignments() {
        assert!(Role::Contributor.allows("Microsoft.Compute/virtualMachines/write"));
        assert!(!Role::Contributor.allows("Microsoft.Authorization/roleAssignments/write"));
        assert!(Role::Contributor.allows("Microsoft.Authorization/roleAssignments/read"));
    }

    #[test]
    fn a_reader_reads_and_nothing_more() {
        assert!(Role::Reader.allows("microsoft.resourcehealth/events/READ"));
        assert!(!Role::Reader.allows("Microsoft.ResourceHealth/events/fetchEventDetails/action"));
        assert!(!Role::Reader.allows("Microsoft.Authorization/roleAssignments/delete"));
    }

    #[test]
    fn who_administers_access_assigns_roles() {
        for role in [Role::Owner, Role::UserAccessAdministrator, Role::RbacAdministrator] {
            assert!(role.allows("Microsoft.Authorization/roleAssignments/write"), "{role:?}");
        }
        assert!(!Role::ServiceHealthSecurityReader.allows("Microsoft.Resources/subscriptions/read"));
    }
}
