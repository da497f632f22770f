//! Subscriptions and tenants, api-version 2022-12-01
//! (<https://learn.microsoft.com/rest/api/resources/subscriptions/list>, `/tenants/list`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::open_enum;

/// The version that these mirrors follow.
pub(crate) const API_VERSION: &str = "2022-12-01";

open_enum!(
    /// Whether a subscription can be used (`state`).
    SubscriptionState {
        /// In use.
        Enabled = "Enabled",
        /// In use; something needs the owner's attention.
        Warned = "Warned",
        /// In use; a payment is late.
        PastDue = "PastDue",
        /// Read and delete only.
        Disabled = "Disabled",
        /// Gone.
        Deleted = "Deleted",
    }
);

/// A subscription.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscription {
    pub subscription_id: Option<String>,
    /// The home tenant, also when a token of another tenant asked.
    pub tenant_id: Option<String>,
    pub display_name: Option<String>,
    pub state: Option<SubscriptionState>,
    #[serde(default)]
    pub managed_by_tenants: Vec<ManagedBy>,
}

/// A tenant that a subscription is delegated to.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManagedBy {
    pub tenant_id: Option<String>,
}

/// A tenant.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Tenant {
    pub tenant_id: Option<String>,
    pub display_name: Option<String>,
    pub default_domain: Option<String>,
}
