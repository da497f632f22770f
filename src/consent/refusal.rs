//! What Azure's answer to a failed role assignment means for the person who tried. Pure.

use crate::azure;

/// Why a grant was not made, by what the person can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantRefusal {
    /// The person may not assign roles.
    NoRight,
    /// Azure wants a second factor for changes; with the claims to sign in with, where it gives them.
    SecondFactor {
        /// The claims, as JSON.
        claims: Option<String>,
    },
    /// Azure wants a second factor, and the person has signed in for it already: he has none.
    SecondFactorMissing,
    /// The person may assign roles under conditions that this one does not meet.
    Condition,
    /// A deny assignment forbids it.
    Denied,
    /// A policy of the customer forbids it.
    Policy {
        /// The names of the policies; foreign text.
        names: Vec<String>,
    },
    /// Azure's directory does not know our service principal yet.
    PrincipalUnknown,
    /// The subscription has as many role assignments as Azure allows.
    LimitReached,
    /// The subscription is disabled.
    Disabled,
    /// A lock forbids changes.
    Locked,
    /// The subscription is gone, or of another tenant since a moment ago.
    Gone,
    /// Azure does not take the person's sign-in any more.
    SignInEnded,
    /// Azure asked to slow down, or failed.
    Unavailable,
    /// Anything else, by Azure's code.
    Other {
        /// Azure's code.
        code: String,
    },
}

impl GrantRefusal {
    /// What a failed assignment means. Pure.
    pub(super) fn of(error: &azure::Error) -> Self {
        let any = |codes: &[&str]| codes.iter().any(|code| error.has_code(code));
        let Some(refusal) = error.refusal() else {
            return Self::Unavailable;
        };
        let claims = refusal.claims_challenge();
        // The same codes are used for refusals of regions, capacity and other policies: the message tells, for wording only.
        let about_factor = refusal.mentions(&["must use MFA", "MFAforAzure", "multi-factor", "multifactor"]);
        let disallowed = any(&["RequestDisallowedByAzure", "RequestDisallowedByPolicy"]);
        if claims.is_some() || any(&["insufficient_claims"]) || (disallowed && about_factor) {
            Self::SecondFactor { claims }
        } else if any(&["RequestDisallowedByPolicy"]) {
            Self::Policy { names: refusal.policies.clone() }
        } else if any(&["PrincipalNotFound"]) {
            Self::PrincipalUnknown
        } else if any(&["RoleAssignmentLimitExceeded"]) {
            Self::LimitReached
        } else if any(&["ReadOnlyDisabledSubscription"]) {
            Self::Disabled
        } else if any(&["ScopeLocked"]) {
            Self::Locked
        } else if any(&["SubscriptionNotFound", "InvalidSubscriptionId", "InvalidAuthenticationTokenTenant"]) {
            Self::Gone
        } else if any(&["DenyAssignmentAuthorizationFailed"]) || refusal.mentions(&["deny assignment"]) {
            Self::Denied
        } else if any(&["AuthorizationFailed"]) && refusal.mentions(&["condition is not"]) {
            Self::Condition
        } else if any(&["AuthorizationFailed"]) {
            Self::NoRight
        } else if disallowed {
            Self::Other { code: refusal.code.clone() }
        } else if refusal.status == 401 {
            Self::SignInEnded
        } else if refusal.status == 403 {
            Self::NoRight
        } else {
            Self::Other { code: refusal.code.clone() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::Refusal;

    #[test]
    fn each_refusal_of_azure_has_its_own_meaning() {
        let refused = |status, code: &str, challenge: Option<&str>| {
            let refusal = Refusal {
                status,
                code: code.to_owned(),
                challenge: challenge.map(str::to_owned),
                ..Refusal::default()
            };
            GrantRefusal::of(&azure::Error::Refused(Box::new(refusal)))
        };
        assert_eq!(refused(403, "AuthorizationFailed", None), GrantRefusal::NoRight);
        assert_eq!(refused(403, "RequestDisallowedByPolicy", None), GrantRefusal::Policy { names: Vec::new() });
        assert_eq!(refused(400, "PrincipalNotFound", None), GrantRefusal::PrincipalUnknown);
        assert_eq!(refused(400, "RoleAssignmentLimitExceeded", None), GrantRefusal::LimitReached);
        assert_eq!(refused(409, "ScopeLocked", None), GrantRefusal::Locked);
        // Without claims and without a word of a second factor it is about a region or the like.
        let other = GrantRefusal::Other { code: "RequestDisallowedByAzure".to_owned() };
        assert_eq!(refused(403, "RequestDisallowedByAzure", None), other);
        assert_eq!(refused(401, "ExpiredAuthenticationToken", None), GrantRefusal::SignInEnded);
        // {"access_token":{}}
        let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let claims = Some(r#"{"access_token":{}}"#.to_owned());
        assert_eq!(refused(401, "", Some(challenge)), GrantRefusal::SecondFactor { claims });
        assert_eq!(GrantRefusal::of(&azure::Error::Throttled { retry_after: None }), GrantRefusal::Unavailable);
    }
}
