//! An invite: the partner's permission for one customer to come in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{AccessTier, SubscriptionId, TenantId, Timestamp};

/// An invite, `invites/{id}.json`. Its id is the secret of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// What the partner calls the customer.
    pub label: String,
    /// Only this tenant may use the invite, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Only these subscriptions are offered, if any are named.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub subscription_ids: BTreeSet<SubscriptionId>,
    /// What the customer is asked for beyond the base.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tiers: BTreeSet<AccessTier>,
    /// When the invite was made.
    pub created_at: Timestamp,
    /// From when on the invite is refused.
    pub expires_at: Timestamp,
    /// Who used the invite, and when. An invite serves one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<InviteUse>,
    /// When the partner took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
    /// Until then one browser is granting with it, and no other may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_until: Option<Timestamp>,
}

/// The one use of an invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteUse {
    /// The tenant that came in with it.
    pub tenant_id: TenantId,
    /// When it granted access.
    pub at: Timestamp,
}
