//! What can go wrong when we talk to Azure, by what the caller can do about it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::model::GapReason;

/// A failed call to Entra or Resource Manager. No variant's text holds a token, a body or an address with a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Entra refused a token.
    #[error("Entra refused the token: {0}")]
    TokenRefused(Box<EntraRefusal>),
    /// Our own side has no credential to show.
    #[error("our credential cannot be used: {what}")]
    Credential {
        /// What is wrong with it; never any of it.
        what: String,
    },
    /// Resource Manager refused the call.
    #[error("Azure refused the call: {0}")]
    Refused(Box<Refusal>),
    /// Azure asked us to slow down, and the tries are used up.
    #[error("Azure asked to slow down")]
    Throttled {
        /// How long Azure asked us to wait.
        retry_after: Option<Duration>,
    },
    /// Azure failed or could not be reached, and the tries are used up.
    #[error("Azure could not be reached or failed: {what}")]
    Unavailable {
        /// What happened, such as a status or the kind of transport failure.
        what: String,
    },
    /// Azure answered something that we cannot read.
    #[error("unreadable answer: {what}")]
    Unreadable {
        /// What was expected.
        what: String,
    },
}

/// A refusal of the token endpoint ("Identity, consent and onboarding contract", 2.5 and 2.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntraRefusal {
    /// HTTP status.
    pub status: u16,
    /// The OAuth error, such as `invalid_grant`.
    pub error: String,
    /// AADSTS numbers: diagnostic, used to choose wording only.
    pub codes: Vec<u32>,
    /// Entra's sub-error, where given.
    pub suberror: Option<String>,
    /// A claims challenge, where given.
    pub claims: Option<String>,
    /// Entra's trace id, for support.
    pub trace_id: Option<String>,
}

impl std::fmt::Display for EntraRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.error.is_empty() { "no reason given" } else { &self.error })?;
        for code in &self.codes {
            write!(f, " AADSTS{code}")?;
        }
        Ok(())
    }
}

/// A refusal by Resource Manager ("Azure health data APIs", section 5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The error code, such as `AuthorizationFailed`; empty when the body had none.
    pub code: String,
    /// The codes of `details[]`.
    pub detail_codes: Vec<String>,
    /// Azure's message: foreign text, capped; for pages and for finding ids in it, never to switch on.
    pub message: String,
    /// `x-ms-request-id`.
    pub request_id: Option<String>,
    /// The names of the Azure Policy definitions or assignments that refused: foreign text, capped.
    pub policies: Vec<String>,
    /// `WWW-Authenticate`, where given.
    pub challenge: Option<String>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        for code in &self.detail_codes {
            write!(f, " ({code})")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// True when the message has one of these words, regardless of case. Chooses wording only, never what is done.
    pub(crate) fn mentions(&self, words: &[&str]) -> bool {
        let message = self.message.to_ascii_lowercase();
        words.iter().any(|word| message.contains(&word.to_ascii_lowercase()))
    }

    /// The claims that a new sign-in must bring, as JSON, where the challenge names some ("Identity, consent and onboarding
    /// contract", 2.8).
    pub(crate) fn claims_challenge(&self) -> Option<String> {
        let encoded = super::subscriptions::parameter(self.challenge.as_deref()?, "claims")?;
        let decoded = [&STANDARD, &URL_SAFE_NO_PAD].into_iter().find_map(|engine| engine.decode(encoded).ok())?;
        let claims = String::from_utf8(decoded).ok().filter(|claims| claims.len() <= 2000)?;
        serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&claims).is_ok().then_some(claims)
    }
}

impl Error {
    /// The refusal by Resource Manager, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// True when Resource Manager does not take the token itself, whoever holds it (5.6).
    pub(crate) fn token_is_refused(&self) -> bool {
        const CODES: [&str; 3] = ["AuthenticationFailed", "InvalidAuthenticationToken", "ExpiredAuthenticationToken"];
        self.refusal().is_some_and(|refusal| refusal.status == 401) && CODES.iter().any(|code| self.has_code(code))
    }

    /// True when the refusal has this code, outside or in its details, regardless of case.
    pub fn has_code(&self, code: &str) -> bool {
        self.refusal().is_some_and(|refusal| {
            refusal.code.eq_ignore_ascii_case(code)
                || refusal.detail_codes.iter().any(|detail| detail.eq_ignore_ascii_case(code))
        })
    }

    /// Whether asking once more may help, and after what wait Azure wants that. None: it will not.
    pub(super) fn passes(&self) -> Option<Option<Duration>> {
        match self {
            Self::Throttled { retry_after } => Some(*retry_after),
            Self::Unavailable { .. } => Some(None),
            _ => None,
        }
    }

    /// Why something could not be read because of this error.
    pub fn gap_reason(&self) -> GapReason {
        match self {
            Self::Credential { .. } => GapReason::CredentialRefused,
            Self::Throttled { .. } => GapReason::Throttled,
            Self::Unavailable { .. } => GapReason::AzureUnavailable,
            Self::Unreadable { .. } => GapReason::Unreadable,
            Self::TokenRefused(refusal) => refusal.gap_reason(),
            Self::Refused(refusal) => match (refusal.status, refusal.code.as_str()) {
                (_, "InvalidAuthenticationTokenTenant") => GapReason::SubscriptionMoved,
                (_, "MissingSubscriptionRegistration") => GapReason::ProviderNotRegistered,
                (_, "SubscriptionNotFound") | (404, _) => GapReason::SubscriptionNotFound,
                (401 | 403, _) => GapReason::AccessDenied,
                _ => GapReason::Unreadable,
            },
        }
    }
}

/// Entra's own loop detection: the same request came too often. It passes when we keep still for minutes.
const ASKED_TOO_OFTEN: u32 = 50_196;

impl EntraRefusal {
    fn has_any(&self, codes: &[u32]) -> bool {
        self.codes.iter().any(|code| codes.contains(code))
    }

    /// True for Entra's loop detection.
    pub(crate) fn asked_too_often(&self) -> bool {
        self.has_any(&[ASKED_TOO_OFTEN])
    }

    /// True when the tenant has no service principal of ours: never consented, removed, or not yet on every server of Entra.
    pub(crate) fn principal_is_missing(&self) -> bool {
        self.has_any(&[700_016, 7_000_229])
    }

    /// True when our secret, certificate or federated token is wrong, expired or not sent, or the registration is no
    /// confidential client: no tenant will give us a token (2.6).
    pub fn is_about_our_credential(&self) -> bool {
        const SECRET: [u32; 4] = [7_000_215, 7_000_222, 7_000_218, 700_025];
        const ASSERTION: [u32; 7] = [700_027, 50_012, 50_013, 700_030, 50_048, 700_021, 700_024];
        const FEDERATION: [u32; 6] = [70_021, 700_211, 700_212, 700_213, 700_222, 700_229];
        [SECRET.as_slice(), &ASSERTION, &FEDERATION].iter().any(|codes| self.has_any(codes))
    }

    /// What to mend, where our own credential was refused: one sentence for whoever runs the product.
    pub fn remedy(&self) -> Option<&'static str> {
        let remedies: [(&[u32], &str); 10] = [
            (
                &[7_000_222],
                "the client secret has ended: make a new one (`register add-secret`) and set AZURE_CLIENT_SECRET",
            ),
            (&[7_000_215], "AZURE_CLIENT_SECRET is not a secret of this application; a secret's value is not its id"),
            (&[7_000_218, 700_025], "the registration must be a confidential web client (`register check`)"),
            (
                &[700_027],
                "the certificate is not registered with this application, or has ended: `register add-certificate`",
            ),
            (
                &[700_030, 50_012, 50_013, 700_021, 700_024, 50_048],
                "Entra does not accept what our certificate or token signed: see AZURE_CLIENT_ID, the certificate and this machine's clock",
            ),
            (&[700_211], "no federated credential has this issuer: `register check`"),
            (&[700_212], "no federated credential has this audience: `register check`"),
            (
                &[700_213],
                "no federated credential has this subject, the identity's object (principal) id: `register check`",
            ),
            (&[70_021], "no federated credential matches; one that was just made takes some minutes: `register check`"),
            (
                &[700_222, 700_229],
                "this token may not be used as a federated credential: it must be an application's or managed identity's of the partner's tenant",
            ),
        ];
        remedies.iter().find(|(codes, _)| self.has_any(codes)).map(|(_, remedy)| *remedy)
    }

    /// True when our registration or our request is wrong, whoever signs in (2.6): the operator must mend it.
    pub(crate) fn is_our_mistake(&self) -> bool {
        const REGISTRATION: [u32; 6] = [65_005, 650_056, 650_057, 50_011, 900_971, 50_194];
        const REQUEST: [u32; 6] = [70_011, 28_002, 28_003, 700_022, 700_023, 9_001_023];
        self.has_any(&REGISTRATION) || self.has_any(&REQUEST) || self.is_about_our_credential()
    }

    /// True for Entra's own passing trouble under a 4xx status (2.6).
    pub(crate) fn is_transient(&self) -> bool {
        self.error == "temporarily_unavailable"
            || self.error == "server_error"
            || self.has_any(&[90_055, 90_024, 90_033, 90_006, 90_012, 50_033, 90_090])
    }

    /// The tenant has no enabled service principal of ours, or our own credential is bad; else Entra's own trouble.
    fn gap_reason(&self) -> GapReason {
        const NO_PRINCIPAL: [u32; 3] = [700_016, 7_000_229, 90_002];
        if self.has_any(&[7_000_112]) {
            GapReason::ApplicationDisabled
        } else if self.has_any(&NO_PRINCIPAL) {
            GapReason::ConsentWithdrawn
        } else if self.asked_too_often() {
            GapReason::Throttled
        } else if self.is_our_mistake() || self.error == "invalid_client" {
            GapReason::CredentialRefused
        } else if self.error == "unauthorized_client" {
            GapReason::ConsentWithdrawn
        } else {
            GapReason::AccessDenied
        }
    }
}
