//! What a customer may grant beyond the base, and what became of the access to a subscription.

use serde::{Deserialize, Serialize};

use super::{GapReason, Timestamp};

/// What a customer grants, by what it unlocks. The base is always granted; the others come on top of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessTier {
    /// Reader on a subscription: Service Health events and Resource Health.
    Base,
    /// Service Health Security Reader beside Reader: the texts of security advisories, which Azure withholds from readers.
    SecurityAdvisories,
    /// A role of the directory, assigned by an administrator of the tenant: events of the tenant itself.
    TenantEvents,
}

impl AccessTier {
    /// The tiers that come on top of the base.
    pub const OPTIONAL: [Self; 2] = [Self::SecurityAdvisories, Self::TenantEvents];

    /// The word in documents, forms and the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::SecurityAdvisories => "securityAdvisories",
            Self::TenantEvents => "tenantEvents",
        }
    }

    /// The tier of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Base, Self::SecurityAdvisories, Self::TenantEvents].into_iter().find(|tier| tier.word() == word)
    }

    /// The role that the tier needs.
    pub fn role(self) -> &'static str {
        match self {
            Self::Base => "Reader",
            Self::SecurityAdvisories => "Service Health Security Reader",
            Self::TenantEvents => "Global Reader (a role of the directory)",
        }
    }

    /// What the tier gives, in one sentence.
    pub fn gives(self) -> &'static str {
        match self {
            Self::Base => "Service Health events and the availability of resources.",
            Self::SecurityAdvisories => "The full text of security advisories, which Azure withholds from readers.",
            Self::TenantEvents => "Events about the tenant itself, such as those of Microsoft Entra.",
        }
    }
}

/// A row of refusals that concern the access to one subscription, not Azure's own trouble.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessTrouble {
    /// Why, as of the latest refusal.
    pub reason: GapReason,
    /// The first refusal of this unbroken row.
    pub since: Timestamp,
    /// Refusals in a row for this reason.
    pub refusals: u32,
    /// From when on access counts as lost: after more than an hour of the same. None: not confirmed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended_at: Option<Timestamp>,
}
