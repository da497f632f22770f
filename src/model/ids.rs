//! Identifiers, parsed once into types. Text from people or from Azure becomes one of these or a clear error.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}, found {found:?}")]
pub struct InvalidId {
    what: &'static str,
    rule: &'static str,
    found: String,
}

impl InvalidId {
    pub(super) fn new(what: &'static str, rule: &'static str, found: &str) -> Self {
        // Foreign text is capped, so that an error stays one line.
        Self { what, rule, found: found.chars().take(60).collect() }
    }
}

macro_rules! guid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The identifier as a GUID.
            pub const fn guid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(guid: Uuid) -> Self {
                Self(guid)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let invalid = || InvalidId::new($what, "a GUID such as 00000000-0000-4000-8000-000000000001", text);
                // Only the hyphenated form: the others that `Uuid` reads are no Azure ids.
                if text.len() != 36 {
                    return Err(invalid());
                }
                Uuid::try_parse(text).map(Self).map_err(|_| invalid())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

guid_id!(
    /// An Entra tenant.
    TenantId,
    "tenant id"
);
guid_id!(
    /// An Azure subscription.
    SubscriptionId,
    "subscription id"
);
guid_id!(
    /// The object id of a service principal or user inside one tenant.
    ObjectId,
    "object id"
);
guid_id!(
    /// The application (client) id of an app registration.
    ClientId,
    "client id"
);
guid_id!(
    /// A transition, deterministic: the same change found twice has the same id.
    TransitionId,
    "transition id"
);
guid_id!(
    /// A notice, deterministic: the same change told to the same destination has the same id.
    NoticeId,
    "notice id"
);

/// The id of a management group, such as `contoso-root`; the root group's is the tenant's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ManagementGroupId(String);

impl FromStr for ManagementGroupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_().".contains(c);
        let sound = !text.is_empty() && text.len() <= 90 && text.chars().all(allowed);
        // A name of dots alone would be a step up in a path.
        if !sound || text.ends_with('.') {
            let rule = "1 to 90 letters, digits, '-', '_', '(', ')' or '.', the last no '.'";
            return Err(InvalidId::new("management group id", rule, text));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ManagementGroupId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<ManagementGroupId> for String {
    fn from(id: ManagementGroupId) -> Self {
        id.0
    }
}

impl fmt::Display for ManagementGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tracking id of a Service Health event, such as `KSYM-9_8`. Compared without regard to case, shown as Azure gave it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrackingId(String);

impl TrackingId {
    /// The id as Azure gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that is equal for equal ids: upper case.
    pub fn key(&self) -> String {
        self.0.to_ascii_uppercase()
    }
}

impl FromStr for TrackingId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
            return Err(InvalidId::new("tracking id", "1 to 64 letters, digits, '-' or '_'", text));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TrackingId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<TrackingId> for String {
    fn from(id: TrackingId) -> Self {
        id.0
    }
}

impl fmt::Display for TrackingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for TrackingId {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for TrackingId {}

impl PartialOrd for TrackingId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TrackingId {
    fn cmp(&self, other: &Self) -> Ordering {
        let upper = |byte: u8| byte.to_ascii_uppercase();
        self.0.bytes().map(upper).cmp(other.0.bytes().map(upper))
    }
}

impl Hash for TrackingId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The id of an Azure resource, in lower case, without the Resource Health suffix.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceId(Box<str>);

impl ResourceId {
    /// Cuts `/providers/Microsoft.ResourceHealth/...` off and lowers the rest: Azure's spelling varies between answers.
    ///
    /// # Errors
    /// [`InvalidId`] when what is left is not a path that starts with `/subscriptions/` or `/providers/`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let mut lower = text.trim().to_ascii_lowercase();
        if let Some(cut) = lower.find("/providers/microsoft.resourcehealth/") {
            lower.truncate(cut);
        }
        if lower.starts_with("/subscriptions/") || lower.starts_with("/providers/") {
            Ok(Self(lower.into()))
        } else {
            Err(InvalidId::new("resource id", "a path that starts with /subscriptions/", text))
        }
    }

    /// The id as text, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subscription in the path, if there is one.
    pub fn subscription(&self) -> Option<SubscriptionId> {
        self.0.strip_prefix("/subscriptions/")?.split('/').next()?.parse().ok()
    }

    /// The last segment: the resource's own name.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_in_another_spelling_than_azures_is_refused() {
        assert!("00000000000040008000000000000001".parse::<TenantId>().is_err());
        assert!("{00000000-0000-4000-8000-000000000001}".parse::<TenantId>().is_err());
        let upper: TenantId = "ABCDEF00-0000-4000-8000-000000000001".parse().expect("upper case is a GUID");
        assert_eq!(upper.to_string(), "abcdef00-0000-4000-8000-000000000001");
    }

    #[test]
    fn tracking_ids_are_equal_whatever_their_case_and_keep_their_spelling() {
        let a: TrackingId = "ksym-9_8".parse().expect("valid");
        let b: TrackingId = "KSYM-9_8".parse().expect("valid");
        assert_eq!(a, b);
        assert_eq!(a.cmp(&b), Ordering::Equal);
        assert_eq!(a.to_string(), "ksym-9_8");
        assert!("../etc".parse::<TrackingId>().is_err());
    }

    #[test]
    fn a_resource_id_loses_the_health_suffix_however_it_is_spelled() {
        let id = ResourceId::parse(
            "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/RG/providers/Microsoft.Compute/virtualMachines/VM1/providers/Microsoft.ResourceHealth/availabilityStatueses/current",
        )
        .expect("valid");
        assert_eq!(id.name(), "vm1");
        assert!(id.subscription().is_some());
        assert!(ResourceId::parse("vm1").is_err());
    }
}
