//! Subscriptions of the world, the management groups above them, and who has which role there.

use serde_json::{Map, Value};

use super::world::World;
use super::{Role, RoleAssignment};
use crate::model::{ManagementGroupId, ObjectId, Scope, SubscriptionId, TenantId};

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Its name.
    pub display_name: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// `Enabled`, `Warned`, `PastDue`, `Disabled`, `Deleted`.
    pub state: String,
    /// Tags; not sent when empty.
    pub tags: Map<String, Value>,
    /// The management group that it is in. None: the tenant's root, which has no row here.
    pub parent: Option<ManagementGroupId>,
}

/// A management group.
#[derive(Debug, Clone)]
pub struct ManagementGroup {
    /// Its id.
    pub id: ManagementGroupId,
    /// Its name.
    pub display_name: String,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The group above it.
    pub parent: Option<ManagementGroupId>,
}

impl World {
    /// Adds a subscription, enabled.
    pub fn subscription(&mut self, tenant: TenantId, display_name: &str) -> SubscriptionId {
        let id: SubscriptionId = self.id(&format!("subscription:{tenant}:{display_name}")).into();
        let subscription = Subscription {
            id,
            display_name: display_name.to_owned(),
            tenant,
            state: "Enabled".to_owned(),
            tags: Map::new(),
            parent: None,
        };
        self.subscriptions.insert(id, subscription);
        id
    }

    /// Moves a subscription to another tenant. As in Azure, all its role assignments are deleted by it.
    pub fn transfer(&mut self, subscription: SubscriptionId, to: TenantId) {
        if let Some(moved) = self.subscriptions.get_mut(&subscription) {
            moved.tenant = to;
            moved.parent = None;
            self.role_assignments.retain(|one| one.subscription() != Some(subscription));
        }
    }

    /// The id of the subscription of this name.
    pub fn subscription_named(&self, display_name: &str) -> Option<SubscriptionId> {
        self.subscriptions.values().find(|one| one.display_name == display_name).map(|one| one.id)
    }

    /// The subscriptions of a tenant, in order of id.
    pub fn subscriptions_of(&self, tenant: TenantId) -> Vec<SubscriptionId> {
        self.subscriptions.values().filter(|one| one.tenant == tenant).map(|one| one.id).collect()
    }

    /// Gives a principal a role on a subscription, in effect at once.
    pub fn assign(&mut self, subscription: SubscriptionId, principal: ObjectId, role: Role) {
        self.assign_at(Scope::Subscription(subscription), principal, role);
    }

    /// Gives a principal a role at a scope, in effect at once.
    pub fn assign_at(&mut self, scope: Scope, principal: ObjectId, role: Role) {
        let place = match &scope {
            Scope::Subscription(id) => id.to_string(),
            Scope::ManagementGroup(id) => id.to_string(),
        };
        let name = self.id(&format!("assignment:{place}:{principal}:{}", role.id()));
        let is_user = self.users.contains_key(&principal);
        let kind = if is_user { "User" } else { "ServicePrincipal" };
        let now = self.now();
        self.role_assignments.push(RoleAssignment::new(name, scope, role.id(), principal, kind, now));
    }

    /// Takes every role on a subscription from a principal.
    pub fn unassign(&mut self, subscription: SubscriptionId, principal: ObjectId) {
        self.role_assignments.retain(|one| one.subscription() != Some(subscription) || one.principal != principal);
    }

    /// Adds a management group of a tenant, below another one or at the root, with subscriptions in it.
    ///
    /// # Panics
    /// When the id is none.
    pub fn management_group(
        &mut self,
        tenant: TenantId,
        id: &str,
        parent: Option<&ManagementGroupId>,
        subscriptions: &[SubscriptionId],
    ) -> ManagementGroupId {
        let id: ManagementGroupId = id.parse().expect("the world's own ids are right");
        for subscription in subscriptions {
            if let Some(subscription) = self.subscriptions.get_mut(subscription) {
                subscription.parent = Some(id.clone());
            }
        }
        let group = ManagementGroup { id: id.clone(), display_name: id.to_string(), tenant, parent: parent.cloned() };
        self.management_groups.insert(id.clone(), group);
        id
    }
}
