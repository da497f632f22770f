//! An invite: the partner's permission for one customer to come in.

use serde::{Deserialize, Serialize};

use super::{TenantId, Timestamp};

/// An invite, `invites/{id}.json`. Its id is the secret of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    /// What the partner calls the customer.
    pub label: String,
    /// Only this tenant may use the invite, if set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// When the invite was made.
    pub created_at: Timestamp,
    /// From when on the invite is refused.
    pub expires_at: Timestamp,
    /// Who used the invite, and when. An invite serves one tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<InviteUse>,
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
