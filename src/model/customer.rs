//! A customer: a tenant that we watch, and what it granted to whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AccessTier, ClientId, GapReason, ObjectId, SubscriptionId, TenantId, Timestamp};

/// The customer record, `customers/{tenantId}.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The customer's tenant.
    pub tenant_id: TenantId,
    /// What people call the customer; from the invite, else the tenant's name, else its id.
    pub display_name: String,
    /// How we reach the customer's subscriptions.
    pub access_mode: AccessMode,
    /// The subscriptions in our care, whatever their access state.
    pub subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// When the customer first granted access.
    pub onboarded_at: Timestamp,
    /// What was granted, by whom, when: one entry per role assignment.
    #[serde(default)]
    pub receipt: Vec<Grant>,
    /// What the customer agreed to beyond the base.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tiers: BTreeSet<AccessTier>,
    /// Since when the customer is no longer watched. Its history is kept until it is erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarded_at: Option<Timestamp>,
    /// The partner's own words for the customer, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The customer's time zone, by its IANA name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Whom to write to, by mail address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
}

impl Customer {
    /// A customer from now on, of whom nothing else is known yet.
    pub fn new(tenant_id: TenantId, display_name: String, access_mode: AccessMode, onboarded_at: Timestamp) -> Self {
        Self {
            tenant_id,
            display_name,
            access_mode,
            subscriptions: BTreeMap::new(),
            onboarded_at,
            receipt: Vec::new(),
            tiers: BTreeSet::new(),
            offboarded_at: None,
            labels: BTreeMap::new(),
            time_zone: None,
            contacts: Vec::new(),
        }
    }

    /// Our service principal in the customer's tenant, where access goes through one.
    pub fn service_principal_id(&self) -> Option<ObjectId> {
        match self.access_mode {
            AccessMode::AppInCustomerTenant { service_principal_id } => Some(service_principal_id),
            AccessMode::Lighthouse { .. } => None,
        }
    }
}

/// How the application reaches a customer's subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum AccessMode {
    /// The multi-tenant application has a service principal in the customer's tenant.
    #[serde(rename_all = "camelCase")]
    AppInCustomerTenant {
        /// The object id of that service principal. When it changes, the principal was recreated.
        service_principal_id: ObjectId,
    },
    /// The customer delegated the subscriptions to the partner's tenant (Azure Lighthouse): our token of that tenant reads
    /// them, and the customer's tenant knows nothing of our application.
    #[serde(rename_all = "camelCase")]
    Lighthouse {
        /// The partner's tenant.
        partner_tenant_id: TenantId,
    },
}

impl Customer {
    /// The tenant whose token opens the subscriptions.
    pub fn token_tenant(&self) -> TenantId {
        match self.access_mode {
            AccessMode::AppInCustomerTenant { .. } => self.tenant_id,
            AccessMode::Lighthouse { partner_tenant_id } => partner_tenant_id,
        }
    }
}

/// A subscription that we watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The subscription's name at the time it was last read.
    pub display_name: String,
    /// Whether our application was seen reading it.
    pub access: SubscriptionAccess,
    /// The full id of what gives us access: a role assignment on the subscription or on a management group above it, or a
    /// Lighthouse registration assignment. Empty when Azure did not name it, or for one that we found.
    #[serde(default)]
    pub role_assignment_id: String,
    /// When access was granted, or the subscription was found. None in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_at: Option<Timestamp>,
    /// True when nobody chose it: our application could read it, so it is watched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub discovered: bool,
    /// The tiers beyond the base that were granted on it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tiers: BTreeSet<AccessTier>,
    /// What Azure last said about the subscription's own state, such as `Enabled` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why access is lost, while it is suspended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<AccessLoss>,
}

impl Subscription {
    /// A subscription that was granted just now.
    pub fn granted(name: &str, access: SubscriptionAccess, role_assignment_id: &str, now: Timestamp) -> Self {
        Self {
            display_name: name.to_owned(),
            access,
            role_assignment_id: role_assignment_id.to_owned(),
            granted_at: Some(now),
            discovered: false,
            tiers: BTreeSet::new(),
            state: None,
            lost: None,
        }
    }
}

/// Why, and since when, a subscription cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessLoss {
    /// Why.
    pub reason: GapReason,
    /// The first refusal.
    pub since: Timestamp,
}

/// Where the access to a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubscriptionAccess {
    /// Granted; Azure may take up to ten minutes until our application can read.
    Propagating,
    /// Our application's own token has read the subscription.
    Active,
    /// Granted half an hour ago or longer, and never readable yet: somebody should look at it.
    Attention,
    /// It was readable, and for more than an hour Azure has refused it.
    Suspended,
}

/// One role assignment that a customer's user made for our application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// When the assignment was made or adopted.
    pub at: Timestamp,
    /// The user, by object id in the customer's tenant. None: it was made without us, and Azure does not say by whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted_by: Option<ObjectId>,
    /// The user's name as shown to him when he granted; display only. Empty when it is not known.
    pub granted_by_name: String,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal: in the customer's tenant, or with Lighthouse in the partner's.
    pub service_principal_id: ObjectId,
    /// The scope, such as `/subscriptions/{id}`.
    pub scope: String,
    /// The role's name, such as `Reader`.
    pub role: String,
    /// The full id of the role assignment.
    pub role_assignment_id: String,
    /// True when the assignment existed before and was adopted.
    pub adopted: bool,
}
