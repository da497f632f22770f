//! Why an onboarding does not go on, by what the person can do next.

use super::session::{Elsewhere, Entry, Offer};
use crate::azure::{self, EntraRefusal, IdTokenFault, PrincipalFault};
use crate::model::{ObjectId, TenantId};
use crate::store;

/// Why an onboarding does not go on. No text holds a token, a code, a state or foreign text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The invite does not let the person in.
    #[error("the invite is refused: {0}")]
    Invite(InviteFault),
    /// A parameter of the link came twice.
    #[error("a parameter of the link came twice")]
    RepeatedParameter,
    /// A parameter of the link is no id of its kind.
    #[error("the parameter {0} is malformed")]
    BadParameter(&'static str),
    /// Entra knows no such domain.
    #[error("no tenant has this domain")]
    UnknownDomain,
    /// The parameters of the link name two tenants.
    #[error("the subscription and the link are of different tenants")]
    LinkOfTwoTenants,
    /// The browser sent no cookie of ours.
    #[error("there is no sign-in session in this browser")]
    NoSession,
    /// The cookie or the session was altered.
    #[error("the session cookie was altered or is none of ours")]
    Tampered,
    /// The session's ten minutes are over.
    #[error("the sign-in session has expired")]
    Expired,
    /// The step was done before.
    #[error("this step of the sign-in was done before")]
    Used,
    /// What came back from Entra is not what this browser was sent away with.
    #[error("the answer from Entra does not belong to this browser's sign-in")]
    StateMismatch,
    /// The person's tenant granted nothing.
    #[error("the tenant is no customer")]
    NotACustomer,
    /// The person went back or said no.
    #[error("the sign-in was cancelled")]
    Cancelled,
    /// Only an administrator of the tenant may allow the application.
    #[error("an administrator must approve the application")]
    ApprovalNeeded,
    /// Entra ended the sign-in with an error.
    #[error("Entra refused the sign-in: {0}")]
    SignInRefused(Box<EntraRefusal>),
    /// The ID token fails a check.
    #[error(transparent)]
    IdToken(IdTokenFault),
    /// The account is of another tenant than the invite is for.
    #[error("the account is of another tenant than the invite is for")]
    InviteOfOtherTenant,
    /// There is nothing to choose from.
    #[error("the person sees no usable subscription of this tenant")]
    NoSubscriptions {
        /// Those that were seen and cannot be used.
        unusable: Vec<Offer>,
        /// How many of other tenants were seen.
        foreign: usize,
        /// The other tenants that the person is known in.
        elsewhere: Vec<Elsewhere>,
    },
    /// The person may assign roles on none of them.
    #[error("the person may not assign roles on any subscription")]
    NoRight(Box<NoRight>),
    /// The invite names subscriptions: no management group may be granted with it.
    #[error("the invite is for single subscriptions, not for a management group")]
    GroupNotInvited,
    /// Azure Lighthouse cannot be offered: our own tenant gives our application no token, or the customer is in that tenant.
    #[error("the partner's own tenant has no service principal to delegate to")]
    NoPartnerPrincipal,
    /// The form is not from our page.
    #[error("the form did not come from this session's page")]
    Csrf,
    /// The form cannot be read.
    #[error("the form is malformed")]
    BadForm,
    /// No subscription was chosen.
    #[error("no subscription was chosen")]
    NothingChosen,
    /// A subscription was sent that was not offered.
    #[error("a subscription was chosen that was not offered")]
    NotOffered,
    /// Our service principal has not reached every server of Entra.
    #[error("Entra does not yet know our application in the tenant")]
    PrincipalSpreading,
    /// Our application's token does not say who we are in the tenant.
    #[error(transparent)]
    Principal(PrincipalFault),
    /// Azure failed.
    #[error(transparent)]
    Azure(#[from] azure::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// `SESSION_KEYS` is empty.
    #[error("there is no session key; set SESSION_KEYS")]
    NoSessionKey,
    /// Something of ours failed that should not.
    #[error("{0}")]
    Internal(&'static str),
}

/// Why an invite does not let a person in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteFault {
    /// There is none, and one is needed.
    #[error("there is none")]
    Missing,
    /// Nobody made it.
    #[error("it is unknown")]
    Unknown,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// The partner took it back.
    #[error("it was withdrawn")]
    Withdrawn,
    /// Another browser is granting with it right now.
    #[error("another browser is using it")]
    InUse,
    /// Somebody came in with it.
    #[error("it was used")]
    Used,
}

/// What an administrator must know to grant in the person's stead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRight {
    /// The tenant.
    pub tenant: TenantId,
    /// Who tried.
    pub person: String,
    /// Our service principal there, where it is known.
    pub principal: Option<ObjectId>,
    /// The subscriptions.
    pub offers: Vec<Offer>,
    /// How the person came: the link to hand on.
    pub entry: Entry,
}

/// An error, and how the person came, where that is known.
#[derive(Debug)]
pub struct Failure {
    /// Why it does not go on.
    pub error: Error,
    /// How the person came.
    pub entry: Option<Entry>,
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), entry: None }
    }
}

impl Error {
    /// The error of somebody whose way in is known.
    pub(crate) fn of(self, entry: &Entry) -> Failure {
        Failure { error: self, entry: Some(entry.clone()) }
    }
}
