//! The switches for odd behaviour, each at its usual position by default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::Event;
use crate::model::{ObjectId, SubscriptionId, TenantId, Timestamp};

/// What is done to the next ID tokens, to prove that they are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdTokenTamper {
    /// Another application's token.
    Audience(String),
    /// Another issuer, the tenant as it was.
    Issuer(String),
    /// Another `tid`, the issuer as it was.
    TenantClaim(String),
    /// A genuine token of another tenant: `tid` and issuer fit each other.
    ForeignTenant(TenantId),
    /// A genuine token of a personal account, signed with the key pinned to that tenant.
    PersonalAccount,
    /// Another nonce.
    Nonce(String),
    /// No nonce.
    NoNonce,
    /// `alg: none`, no signature.
    AlgNone,
    /// HS256 with the public key's modulus as the secret.
    Hs256,
    /// A `kid` that the key set does not have.
    UnknownKid,
    /// Signed with the key that is pinned to another tenant.
    PinnedKey,
    /// The signature is broken.
    BadSignature,
    /// Ended an hour ago.
    Expired,
    /// Begins in an hour.
    NotYetValid,
    /// Another value of `ver`.
    Version(String),
    /// No ID token in the answer.
    Missing,
    /// No JWT at all.
    Garbage,
}

/// Where Entra refuses by order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedAt {
    /// On the sign-in page: nothing goes back to the application.
    SignInPage,
    /// With an answer to the application's redirect URI.
    Callback,
    /// At the token endpoint, when a code is redeemed.
    Redemption,
    /// At the token endpoint, for the application's own token.
    AppToken,
    /// With an answer to the redirect URI of an admin consent.
    AdminConsent,
}

/// A refusal of Entra on order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRefusal {
    /// Where.
    pub at: RefusedAt,
    /// HTTP status, where it is an answer of the token endpoint.
    pub status: u16,
    /// The OAuth error.
    pub error: &'static str,
    /// The AADSTS code. 0: none is given.
    pub code: u32,
    /// `error_subcode` in an answer to the redirect URI.
    pub subcode: Option<&'static str>,
    /// The claims challenge in an answer of the token endpoint.
    pub claims: Option<String>,
}

/// How Entra behaves.
#[derive(Debug, Clone)]
pub struct EntraSwitches {
    /// A refusal on order, until it is taken away.
    pub refusal: Option<SignInRefusal>,
    /// What is done to ID tokens.
    pub tamper: Option<IdTokenTamper>,
    /// How long after consent the token endpoint still says that there is no service principal.
    pub replication_delay: Duration,
    /// The AADSTS code for "no service principal here": 7000229 (default) or 700016.
    pub missing_principal_code: u32,
    /// Life of access tokens.
    pub access_token_life: Duration,
    /// Leaves `oid` out of app-only tokens.
    pub app_token_without_oid: bool,
    /// Puts another object id into app-only tokens.
    pub app_token_oid: Option<ObjectId>,
    /// The token endpoint refuses the application itself with this AADSTS code.
    pub client_refused: Option<u32>,
    /// Adds `refresh_in` to app-only token answers.
    pub refresh_in: Option<Duration>,
}

impl Default for EntraSwitches {
    fn default() -> Self {
        Self {
            refusal: None,
            tamper: None,
            replication_delay: Duration::ZERO,
            missing_principal_code: 7_000_229,
            access_token_life: Duration::from_secs(4799),
            app_token_without_oid: false,
            app_token_oid: None,
            client_refused: None,
            refresh_in: None,
        }
    }
}

/// How Resource Manager behaves.
#[derive(Debug, Clone)]
pub struct ArmSwitches {
    /// Rows per page of lists.
    pub page_size: usize,
    /// What every answer says is left of the reads.
    pub reads_left: u32,
    /// How long a new role assignment has no effect.
    pub propagation_delay: Duration,
    /// How many refused reads a new role assignment takes to come into effect.
    pub propagation_reads: u32,
    /// Writes by users need multi-factor authentication.
    pub require_mfa: bool,
    /// The refusal for want of multi-factor authentication carries the claims to ask for.
    pub mfa_challenge: bool,
    /// An identical PUT of a role assignment gives 409 instead of 200.
    pub identical_put_conflicts: bool,
    /// The next PUTs of role assignments that say `PrincipalNotFound`.
    pub principal_not_found: u32,
    /// How long a fresh service principal is unknown to writes that do not say `principalType`.
    pub principal_fresh_for: Duration,
    /// The most role assignments in one subscription.
    pub role_assignment_limit: usize,
    /// The most role assignments at one management group.
    pub group_role_assignment_limit: usize,
    /// The refusal for want of multi-factor authentication comes as one of Azure Policy.
    pub mfa_by_policy: bool,
    /// Users who may assign roles under a condition that our role does not meet.
    pub conditional_administrators: BTreeSet<ObjectId>,
    /// Subscriptions where a deny assignment forbids role assignments.
    pub deny_assignments: BTreeSet<SubscriptionId>,
    /// Subscriptions with a read-only lock.
    pub locked: BTreeSet<SubscriptionId>,
    /// The name of a policy that forbids role assignments.
    pub policy: Option<String>,
    /// Subscriptions that have not registered `Microsoft.ResourceHealth`.
    pub unregistered: BTreeSet<SubscriptionId>,
    /// How long a new delegation has no effect.
    pub delegation_delay: Duration,
}

impl Default for ArmSwitches {
    fn default() -> Self {
        Self {
            page_size: 100,
            reads_left: 249,
            propagation_delay: Duration::ZERO,
            propagation_reads: 0,
            require_mfa: false,
            mfa_challenge: true,
            identical_put_conflicts: false,
            principal_not_found: 0,
            principal_fresh_for: Duration::from_secs(600),
            role_assignment_limit: 4000,
            group_role_assignment_limit: 500,
            mfa_by_policy: false,
            conditional_administrators: BTreeSet::new(),
            deny_assignments: BTreeSet::new(),
            locked: BTreeSet::new(),
            policy: None,
            unregistered: BTreeSet::new(),
            delegation_delay: Duration::ZERO,
        }
    }
}

/// How event and resource ids are spelled over REST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventIdSpelling {
    /// `/providers/Microsoft.ResourceHealth/events/X`.
    #[default]
    Specified,
    /// `Microsoft.ResourceHealth/events/X`.
    Bare,
    /// `/subscriptions/S/providers/Microsoft.ResourceHealth/events/X`.
    Full,
}

/// How Resource Health behaves.
#[derive(Debug, Clone)]
pub struct HealthSwitches {
    /// Rows per page of events.
    pub event_page_size: usize,
    /// Rows per page of availability statuses.
    pub availability_page_size: usize,
    /// Events, by tracking id, that neither REST nor Resource Graph lists.
    pub unlisted: BTreeSet<String>,
    /// The second and later pages are refused with 400 (a known fault of Azure).
    pub later_pages_refused: bool,
    /// The first page is empty and has a link to the next.
    pub empty_first_page: bool,
    /// `nextLink` leads to this host.
    pub next_link_host: Option<String>,
    /// Each event is listed twice, the second time with the next older `lastUpdateTime`.
    pub duplicate_names: bool,
    /// How ids are spelled.
    pub id_spelling: EventIdSpelling,
    /// Events that are not over have the mitigation time `0001-01-01T00:00:00` instead of none.
    pub mitigation_year_one: bool,
}

impl Default for HealthSwitches {
    fn default() -> Self {
        Self {
            event_page_size: 100,
            availability_page_size: 100,
            unlisted: BTreeSet::new(),
            later_pages_refused: false,
            empty_first_page: false,
            next_link_host: None,
            duplicate_names: false,
            id_spelling: EventIdSpelling::default(),
            mitigation_year_one: false,
        }
    }
}

/// How times are written in Resource Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphTimes {
    /// ISO 8601.
    #[default]
    Iso,
    /// .NET ticks as text, as the official sample queries expect.
    Ticks,
}

/// How Resource Graph behaves.
#[derive(Debug, Clone)]
pub struct GraphSwitches {
    /// How times are written.
    pub times: GraphTimes,
    /// Property names of events in camelCase instead of PascalCase.
    pub camel_case: bool,
    /// Impacted regions carry their update texts. Not known of Azure, so off.
    pub update_texts: bool,
    /// The largest answer in bytes; a larger one is refused with `ResponsePayloadTooLarge`.
    pub payload_limit: usize,
    /// Queries per five seconds for one principal. None: no limit.
    pub quota: Option<u32>,
    /// The rows of impacted resources are missing.
    pub without_impacted: bool,
    /// Subscriptions that are missing in every answer, though they may be read.
    pub drops: BTreeSet<SubscriptionId>,
    /// Events as Resource Graph still sees them, while it lags behind ([`World::graph_lags`](super::World::graph_lags)).
    pub stale_events: Option<BTreeMap<String, Event>>,
    pub(super) windows: BTreeMap<ObjectId, (Timestamp, u32)>,
}

impl Default for GraphSwitches {
    fn default() -> Self {
        Self {
            times: GraphTimes::Iso,
            camel_case: false,
            update_texts: false,
            payload_limit: 16_777_216,
            quota: None,
            without_impacted: false,
            drops: BTreeSet::new(),
            stale_events: None,
            windows: BTreeMap::new(),
        }
    }
}
