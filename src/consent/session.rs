//! What a sign-in session holds in each of its phases: signing in, choosing, gone.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::visit::Visit;
use super::{Error, Failure};
use crate::azure::{Authority, Reach, SubscriptionState};
use crate::model::{AccessTier, ManagementGroupId, ObjectId, SubscriptionId, TenantId, Timestamp};

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
    /// An administrator is at Entra, to consent for his whole tenant.
    AdminConsenting(AdminConsenting),
    /// Entra says that he did.
    AdminConsented(AdminConsented),
    /// Somebody of a proven tenant grants without us; there is no token in the session.
    Manual(Box<Manual>),
}

impl Phase {
    /// The choice that this session is in.
    ///
    /// # Errors
    /// What the person did instead.
    pub(crate) fn choosing(self) -> Result<Box<Choosing>, Failure> {
        match self {
            Self::Choosing(choosing) => Ok(choosing),
            Self::SigningIn(signing_in) => Err(Error::StateMismatch.of(&signing_in.entry)),
            Self::AdminConsenting(consenting) => Err(Error::StateMismatch.of(&consenting.entry)),
            Self::Redeeming | Self::Granting | Self::AdminConsented(_) | Self::Manual(_) | Self::Visiting(_) => {
                Err(Error::Used.into())
            }
        }
    }
}

/// The way in that a link asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Way {
    /// To sign in and grant with one's own rights.
    #[default]
    SignIn,
    /// To choose between the ways.
    All,
    /// An administrator consents for the whole tenant first.
    Admin,
    /// Commands or a template, without letting us act in anybody's name.
    Manual,
    /// Azure Lighthouse.
    Lighthouse,
}

impl Way {
    /// The word in links. None: the usual way needs none.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::SignIn => None,
            Self::All => Some("all"),
            Self::Admin => Some("admin"),
            Self::Manual => Some("manual"),
            Self::Lighthouse => Some("lighthouse"),
        }
    }

    /// The way of a word.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        [Self::All, Self::Admin, Self::Manual, Self::Lighthouse].into_iter().find(|way| way.word() == Some(word))
    }
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
    /// The way in.
    #[serde(default)]
    pub way: Way,
}

impl Entry {
    /// The same entry by another way.
    #[must_use]
    pub fn by(&self, way: Way) -> Self {
        Self { way, ..self.clone() }
    }

    /// The same entry at another tenant: a subscription that was asked for may not be of it.
    #[must_use]
    pub fn at(&self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant.to_string()), subscription: None, ..self.clone() }
    }

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
        if let Some(way) = self.way.word() {
            query.append_pair("way", way);
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
    /// What the sign-in is for.
    pub reach: Reach,
    /// What the person chose before he had to sign in once more. None: this is his first sign-in.
    pub again: Option<Chosen>,
}

/// What a person chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chosen {
    pub subscriptions: BTreeSet<SubscriptionId>,
    pub group: Option<ManagementGroupId>,
    pub tiers: BTreeSet<AccessTier>,
}

/// An administrator at Entra.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminConsenting {
    pub state: Sealed,
    /// The tenant that we sent him to, if it was one.
    pub tenant: Option<TenantId>,
    pub entry: Entry,
}

/// What is known after an admin consent: of the tenant that we sent the administrator to, never of the one in the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdminConsented {
    pub tenant: Option<TenantId>,
    /// Proven by a token of our own.
    pub principal: Option<ObjectId>,
    pub entry: Entry,
}

/// Somebody who grants without us.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manual {
    pub entry: Entry,
    /// Proven by a sign-in, or by an invite that the partner made for it.
    pub tenant: TenantId,
    /// Who signed in, and what to call him.
    pub person: Option<(ObjectId, String)>,
    pub csrf: Sealed,
}

/// Who signed in, what he may grant, and his token until he does.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Choosing {
    pub entry: Entry,
    pub chosen: Chosen,
    /// True after a sign-in that Azure asked for: it is not asked for twice.
    pub stepped_up: bool,
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
    /// The management groups that he sees, where the invite does not name subscriptions.
    pub groups: Vec<Group>,
    /// True where a management group may be chosen at all.
    pub groups_allowed: bool,
    /// The other tenants that he is known in.
    pub elsewhere: Vec<Elsewhere>,
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
    /// True when it can be used, but needs its owner's attention: a payment is late.
    #[serde(default)]
    pub overdue: bool,
}

/// A management group of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// Its id.
    pub id: ManagementGroupId,
    /// Its name; foreign text.
    pub name: String,
}

/// Another tenant of the same person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Elsewhere {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name; foreign text.
    pub name: Option<String>,
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
        shown(&self.person_name, &self.person_user_name, self.person)
    }
}

/// What to call a person: name and sign-in name, as far as they are known.
pub(crate) fn shown(name: &str, user_name: &str, id: ObjectId) -> String {
    match (name, user_name) {
        ("", "") => id.to_string(),
        (name, "") | ("", name) => name.to_owned(),
        (name, user_name) => format!("{name} ({user_name})"),
    }
}
