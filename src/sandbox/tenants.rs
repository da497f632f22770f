//! Tenants of the world, who is in them, and our application's service principal there.

use std::collections::BTreeSet;

use super::Role;
use super::world::World;
use crate::model::{ObjectId, TenantId, Timestamp};

/// The tenant in which all personal Microsoft accounts live.
pub const PERSONAL_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// A tenant of Entra.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name.
    pub display_name: String,
    /// Its domain, such as `contoso.example`.
    pub domain: String,
    /// False: only administrators may consent to applications.
    pub users_may_consent: bool,
    /// The service principal of the application, once consented.
    pub service_principal: Option<ServicePrincipal>,
    /// How often a service principal was made: each has an object id of its own.
    generation: u32,
}

/// The application's copy in a tenant.
#[derive(Debug, Clone)]
pub struct ServicePrincipal {
    /// Its object id in this tenant.
    pub object_id: ObjectId,
    /// Since when.
    pub created_at: Timestamp,
    /// Sign-in disabled by the customer.
    pub disabled: bool,
    /// An administrator consented for everybody.
    pub consented_for_all: bool,
    /// Users who consented for themselves.
    pub consented: BTreeSet<ObjectId>,
}

/// A user in one tenant.
#[derive(Debug, Clone)]
pub struct User {
    /// Object id in this tenant.
    pub object_id: ObjectId,
    /// The tenant.
    pub tenant: TenantId,
    /// Sign-in name.
    pub upn: String,
    /// Name for people.
    pub display_name: String,
    /// May consent for the whole tenant, and where users may not.
    pub admin: bool,
    /// At home in another tenant.
    pub guest: bool,
    /// Can pass a step-up to multi-factor authentication.
    pub mfa_registered: bool,
    /// Entra refuses the sign-in on its own page with this AADSTS code and text.
    pub sign_in_refused: Option<(u32, String)>,
}

impl World {
    /// Adds a tenant; its domain is its name in lower case without blanks, below `.example`.
    pub fn tenant(&mut self, display_name: &str) -> TenantId {
        let id: TenantId = self.id(&format!("tenant:{display_name}")).into();
        let label: String =
            display_name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let tenant = Tenant {
            id,
            display_name: display_name.to_owned(),
            domain: format!("{label}.example"),
            users_may_consent: true,
            service_principal: None,
            generation: 0,
        };
        self.tenants.insert(id, tenant);
        id
    }

    /// The id of the tenant of this name.
    pub fn tenant_named(&self, display_name: &str) -> Option<TenantId> {
        self.tenants.values().find(|tenant| tenant.display_name == display_name).map(|tenant| tenant.id)
    }

    /// Adds a user. `name` becomes the sign-in name at the tenant's domain: "Olivia Owner" is `olivia.owner@...`.
    pub fn user(&mut self, tenant: TenantId, display_name: &str) -> ObjectId {
        let domain = self.tenants.get(&tenant).map_or("unknown.example", |tenant| &tenant.domain);
        let upn = format!("{}@{domain}", display_name.to_lowercase().replace(' ', "."));
        self.user_with_upn(tenant, display_name, &upn)
    }

    /// Adds a user with a sign-in name.
    pub fn user_with_upn(&mut self, tenant: TenantId, display_name: &str, upn: &str) -> ObjectId {
        let object_id: ObjectId = self.id(&format!("user:{tenant}:{upn}")).into();
        let user = User {
            object_id,
            tenant,
            upn: upn.to_owned(),
            display_name: display_name.to_owned(),
            admin: false,
            guest: false,
            mfa_registered: true,
            sign_in_refused: None,
        };
        self.users.insert(object_id, user);
        object_id
    }

    /// Adds a user of another tenant as a guest: the same sign-in name, an object id of its own.
    pub fn guest(&mut self, tenant: TenantId, display_name: &str, upn: &str) -> ObjectId {
        let id = self.user_with_upn(tenant, display_name, upn);
        if let Some(user) = self.users.get_mut(&id) {
            user.guest = true;
        }
        id
    }

    /// The sign-in name of a user; empty for an unknown one.
    pub fn upn(&self, user: ObjectId) -> String {
        self.users.get(&user).map(|user| user.upn.clone()).unwrap_or_default()
    }

    /// Makes the application's service principal in a tenant, as consent by an administrator would; gives its object id.
    pub fn consent(&mut self, tenant: TenantId) -> ObjectId {
        let id = self.ensure_service_principal(tenant);
        if let Some(principal) = self.tenants.get_mut(&tenant).and_then(|tenant| tenant.service_principal.as_mut()) {
            principal.consented_for_all = true;
        }
        id
    }

    /// Consent, and the role Reader on every subscription of the tenant: what onboarding ends with.
    pub fn onboarded(&mut self, tenant: TenantId) -> ObjectId {
        let principal = self.consent(tenant);
        for subscription in self.subscriptions_of(tenant) {
            self.assign(subscription, principal, Role::Reader);
        }
        principal
    }

    /// Deletes the application's service principal in a tenant. Its role assignments stay, as orphans.
    pub fn withdraw_consent(&mut self, tenant: TenantId) {
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.service_principal = None;
        }
    }

    /// The object id of the application's service principal in a tenant.
    pub fn service_principal(&self, tenant: TenantId) -> Option<ObjectId> {
        Some(self.tenants.get(&tenant)?.service_principal.as_ref()?.object_id)
    }

    pub(super) fn ensure_service_principal(&mut self, tenant: TenantId) -> ObjectId {
        if let Some(principal) = self.service_principal(tenant) {
            return principal;
        }
        let generation = self.tenants.get(&tenant).map_or(0, |tenant| tenant.generation) + 1;
        let object_id: ObjectId = self.id(&format!("service-principal:{tenant}:{generation}")).into();
        let created_at = self.now();
        if let Some(tenant) = self.tenants.get_mut(&tenant) {
            tenant.generation = generation;
            tenant.service_principal = Some(ServicePrincipal {
                object_id,
                created_at,
                disabled: false,
                consented_for_all: false,
                consented: BTreeSet::new(),
            });
        }
        object_id
    }
}
