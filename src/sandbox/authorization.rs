//! Roles and role assignments: what a principal may do on a subscription, decided here and nowhere else.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use super::world::World;
use crate::model::{ObjectId, SubscriptionId, Timestamp};

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
    /// Writes metrics, and nothing else.
    MonitoringMetricsPublisher,
}

impl Role {
    const ALL: [Self; 8] = [
        Self::Owner,
        Self::Contributor,
        Self::Reader,
        Self::MonitoringReader,
        Self::UserAccessAdministrator,
        Self::RbacAdministrator,
        Self::ServiceHealthSecurityReader,
        Self::MonitoringMetricsPublisher,
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
            Self::MonitoringMetricsPublisher => "3913510d-42f4-4e42-8a64-420c390055eb",
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
            Self::MonitoringMetricsPublisher => (&["Microsoft.Insights/Register/Action"], &[]),
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

/// One role assignment at a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAssignment {
    /// Its name, a GUID.
    pub name: Uuid,
    /// Its scope.
    pub subscription: SubscriptionId,
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
        subscription: SubscriptionId,
        role: Uuid,
        principal: ObjectId,
        principal_type: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            name,
            subscription,
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

    /// Its scope as a path.
    pub(super) fn scope(&self) -> String {
        format!("/subscriptions/{}", self.subscription)
    }

    /// Its resource id.
    pub fn id(&self) -> String {
        format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", self.scope(), self.name)
    }

    pub(super) fn to_json(&self) -> Value {
        let time = self.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let by = self.created_by.map(|by| by.to_string());
        json!({
            "properties": {
                "roleDefinitionId": format!(
                    "{}/providers/Microsoft.Authorization/roleDefinitions/{}", self.scope(), self.role),
                "principalId": self.principal,
                "principalType": self.principal_type,
                "scope": self.scope(),
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

impl World {
    /// True when a role assignment in effect allows the action. A refusal counts down assignments that wait for reads.
    pub(super) fn allows(&mut self, principal: ObjectId, subscription: SubscriptionId, action: &str) -> bool {
        let now = self.now();
        let mine = |one: &RoleAssignment| {
            one.principal == principal
                && one.subscription == subscription
                && Role::of(one.role).is_some_and(|role| role.allows(action))
        };
        if self.role_assignments.iter().any(|one| mine(one) && one.effective_at <= now && one.pending_reads == 0) {
            return true;
        }
        for one in self.role_assignments.iter_mut().filter(|one| mine(one)) {
            one.pending_reads = one.pending_reads.saturating_sub(1);
        }
        false
    }

    /// The roles in effect of a principal on a subscription.
    pub(super) fn roles(&self, principal: ObjectId, subscription: SubscriptionId) -> Vec<Role> {
        let now = self.now();
        let mine = self.role_assignments.iter().filter(|one| {
            one.principal == principal
                && one.subscription == subscription
                && one.effective_at <= now
                && one.pending_reads == 0
        });
        mine.filter_map(|one| Role::of(one.role)).collect()
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
