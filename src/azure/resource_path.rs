//! The full id of one resource, as part of an address.

use std::fmt;
use std::str::FromStr;

use crate::model::SubscriptionId;

/// The full id of a single resource: never a subscription or a resource group. Its spelling is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePath(String);

/// Text that is no id of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource id is /subscriptions/{{id}}/resourceGroups/{{group}}/providers/{{namespace}}/{{type}}/{{name}}, as the portal shows it"
)]
pub struct InvalidResourcePath;

impl FromStr for ResourcePath {
    type Err = InvalidResourcePath;

    fn from_str(text: &str) -> Result<Self, InvalidResourcePath> {
        let text = text.trim().trim_end_matches('/');
        let segments: Vec<&str> = text.strip_prefix('/').ok_or(InvalidResourcePath)?.split('/').collect();
        // What is in here becomes part of an address: nothing that means something there.
        let plain = |segment: &&str| {
            !segment.is_empty()
                && segment.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c))
                && !segment.chars().all(|c| c == '.')
        };
        let words = segments.len() >= 8
            && segments.len().is_multiple_of(2)
            && [(0, "subscriptions"), (2, "resourcegroups"), (4, "providers")]
                .iter()
                .all(|(at, word)| segments[*at].eq_ignore_ascii_case(word));
        if words && segments.iter().all(plain) && segments[1].parse::<SubscriptionId>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidResourcePath)
        }
    }
}

impl ResourcePath {
    /// The id, starting with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for a resource of this type, regardless of case.
    pub fn is_a(&self, kind: &str) -> bool {
        let segments: Vec<&str> = self.0.trim_start_matches('/').split('/').collect();
        segments.len() == 8 && format!("{}/{}", segments[5], segments[6]).eq_ignore_ascii_case(kind)
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_of_one_resource_is_taken() {
        const BASE: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/rg";
        let path: ResourcePath =
            format!("{BASE}/providers/Microsoft.OperationalInsights/workspaces/logs/").parse().expect("valid");
        assert!(path.is_a("microsoft.operationalinsights/workspaces") && !path.is_a("microsoft.web/sites"));
        assert!(path.as_str().ends_with("/workspaces/logs"));
        assert!(format!("{BASE}/providers/Microsoft.Web/sites/a/slots/b").parse::<ResourcePath>().is_ok());
        for wrong in [
            "",
            "logs",
            BASE,
            "/subscriptions/00000000-0000-4000-8000-000000000001",
            "/subscriptions/x/resourceGroups/rg/providers/Microsoft.Web/sites/a",
            &format!("{BASE}/providers/Microsoft.Web/sites"),
            &format!("{BASE}/providers/Microsoft.Web/sites/.."),
            &format!("{BASE}/providers/Microsoft.Web/sites/a?x=y"),
            &format!("{BASE}/providers/Microsoft.Web/sites/a%2f.."),
            &format!("https://evil.example{BASE}/providers/Microsoft.Web/sites/a"),
        ] {
            assert!(wrong.parse::<ResourcePath>().is_err(), "{wrong}");
        }
    }
}
