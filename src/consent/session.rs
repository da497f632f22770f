//! What a sign-in session holds in each of its phases: signing in, choosing, gone.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::visit::Visit;
use crate::azure::{Authority, SubscriptionState};
use crate::model::{AccessTier, ObjectId, SubscriptionId, TenantId, Timestamp};

/// The phases of a session. It moves forward only, and each move happens once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Phase {
    /// The browser is at Entra.
    SigningIn(SigningIn),
    /// The code is being redeemed: a second one is refused.
    Redeeming,
    /// The person is choosing; the session holds his token.
    Choosing(Box<Choosing>),
    /// The person came back, to see or take back what was granted.
    Visiting(Box<Visit>),
    /// The grant is being made; the token is out of the session.
    Granting,
}

/// What the person comes for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// To grant.
    #[default]
    Onboard,
    /// To see what was granted.
    Receipt,
    /// To take it back.
    Leave,
}

impl Purpose {
    /// The purpose of a word in a link.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        match word {
            "onboard" => Some(Self::Onboard),
            "receipt" => Some(Self::Receipt),
            "leave" => Some(Self::Leave),
            _ => None,
        }
    }
}

/// How the person came, so that he can be sent the same way again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The invite.
    pub invite: Option<String>,
    /// The subscription that he asked for.
    pub subscription: Option<SubscriptionId>,
    /// The tenant that he asked for, as he wrote it.
    pub tenant: Option<String>,
    /// What he comes for.
    #[serde(default)]
    pub purpose: Purpose,
}

impl Entry {
    /// The path and query that start the same way again.
    pub fn start_path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(invite) = &self.invite {
            query.append_pair("invite", invite);
        }
        if let Some(subscription) = &self.subscription {
            query.append_pair("subscriptionId", &subscription.to_string());
        }
        if let Some(tenant) = &self.tenant {
            query.append_pair("tenant", tenant);
        }
        match self.purpose {
            Purpose::Onboard => {}
            Purpose::Receipt => drop(query.append_pair("purpose", "receipt")),
            Purpose::Leave => drop(query.append_pair("purpose", "leave")),
        }
        let query = query.finish();
        if query.is_empty() { "/api/consent/start".to_owned() } else { format!("/api/consent/start?{query}") }
    }
}

/// A text that must not be seen: in no log and no `Debug`. It is written out only into a sealed session.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

/// What must come back from Entra, and what it is for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SigningIn {
    pub state: Sealed,
    pub nonce: Sealed,
    pub verifier: Sealed,
    pub authority: Authority,
    pub entry: Entry,
    /// What the person chose before he had to sign in once more.
    pub chosen: Vec<SubscriptionId>,
}

/// Who signed in, what he may grant, and his token until he does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Choosing {
    pub entry: Entry,
    pub chosen: Vec<SubscriptionId>,
    pub tenant: TenantId,
    /// What the tenant calls itself.
    pub tenant_name: Option<String>,
    pub person: ObjectId,
    pub person_name: String,
    pub person_user_name: String,
    pub token: Sealed,
    pub token_expires_at: Timestamp,
    pub csrf: Sealed,
    /// Our service principal in the tenant, where it is known yet.
    pub principal: Option<ObjectId>,
    pub offers: Vec<Offer>,
    /// True when Azure's list broke off.
    pub incomplete: bool,
    /// What the partner asks for beyond the base.
    #[serde(default)]
    pub tiers: BTreeSet<AccessTier>,
}

/// One subscription of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// The subscription.
    pub id: SubscriptionId,
    /// Its name; foreign text.
    pub name: String,
    /// Whether it can be chosen.
    pub standing: Standing,
}

/// Whether a subscription can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It can.
    Offered,
    /// The person may not assign roles on it.
    NoRight,
    /// It cannot be used now.
    NotUsable(SubscriptionState),
}

impl Choosing {
    /// What to call the person on a page.
    pub(crate) fn person_shown(&self) -> String {
        match (self.person_name.as_str(), self.person_user_name.as_str()) {
            ("", "") => self.person.to_string(),
            (name, "") | ("", name) => name.to_owned(),
            (name, user_name) => format!("{name} ({user_name})"),
        }
    }
}
