//! What a role is assigned on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidId, ManagementGroupId, SubscriptionId};

/// Where every path of a management group begins.
const GROUPS: &str = "/providers/Microsoft.Management/managementGroups/";

/// What a role is assigned on: below a subscription, Service Health would not be readable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// One subscription.
    Subscription(SubscriptionId),
    /// A management group with every subscription below it, future ones too.
    ManagementGroup(ManagementGroupId),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription(id) => write!(f, "/subscriptions/{id}"),
            Self::ManagementGroup(id) => write!(f, "{GROUPS}{id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim_end_matches('/');
        let after = |start: &str| {
            let (head, rest) = text.split_at_checked(start.len())?;
            head.eq_ignore_ascii_case(start).then_some(rest)
        };
        match (after("/subscriptions/"), after(GROUPS)) {
            (Some(id), _) => Ok(Self::Subscription(id.parse()?)),
            (None, Some(id)) => Ok(Self::ManagementGroup(id.parse()?)),
            (None, None) => Err(InvalidId::new("scope", "a subscription's or management group's path", text)),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_its_path_and_nothing_below_a_subscription_is_one() {
        let id = "00000000-0000-4000-8000-000000000001";
        for path in [format!("/subscriptions/{id}"), format!("{GROUPS}contoso-root")] {
            assert_eq!(path.parse::<Scope>().expect("a scope").to_string(), path);
        }
        assert!(format!("/SUBSCRIPTIONS/{id}/").parse::<Scope>().is_ok());
        for wrong in [format!("/subscriptions/{id}/resourceGroups/x"), format!("{GROUPS}a/b"), "/".into(), "é".into()]
        {
            assert!(wrong.parse::<Scope>().is_err(), "{wrong}");
        }
    }
}
