//! What a registration should be, as bodies for Microsoft Graph. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::azure::{Cloud, PublicCertificate};
use crate::model::{ClientId, ObjectId, TenantId, Timestamp};

/// Resource Manager as an application, the same in every cloud, and its only delegated permission.
pub(super) const MANAGER: &str = "797f4846-ba00-4fd7-ba43-dac1f8f63013";
pub(super) const USER_IMPERSONATION: &str = "41094075-9dad-400e-a0bd-54e686782033";

/// Who may sign in: people of every organisation.
pub(super) const AUDIENCE: &str = "AzureADMultipleOrgs";

/// The namespace of role assignments' names, the same as for customers: the same grant has the same name.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f4c_9d0e_8a3b_4c57_9e61_7d5a_1b08_c3f2);

/// The members of a right registration ("Identity, consent and onboarding contract", 1.2).
pub fn application(name: &str, redirect_uris: &[String]) -> Value {
    json!({
        "displayName": name,
        "signInAudience": AUDIENCE,
        "web": {
            "redirectUris": redirect_uris,
            "implicitGrantSettings": {"enableIdTokenIssuance": false, "enableAccessTokenIssuance": false},
        },
        "requiredResourceAccess": [
            {"resourceAppId": MANAGER, "resourceAccess": [{"id": USER_IMPERSONATION, "type": "Scope"}]},
        ],
        "api": {"requestedAccessTokenVersion": 2},
        "servicePrincipalLockConfiguration": lock(),
    })
}

/// Keeps others from adding credentials to our service principal in their tenants.
pub(super) fn lock() -> Value {
    json!({"isEnabled": true, "allProperties": true})
}

/// A new client secret.
pub fn password(ends_at: Timestamp) -> Value {
    let end = ends_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({"passwordCredential": {"displayName": "health-monitor", "endDateTime": end}})
}

/// A certificate beside those that are registered: Graph replaces the whole list.
pub fn keys(registered: &Value, certificate: &PublicCertificate) -> Value {
    let mut keys = registered["keyCredentials"].as_array().cloned().unwrap_or_default();
    keys.push(json!({
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": STANDARD.encode(&certificate.der),
        "displayName": format!("health-monitor {}", certificate.thumbprint()),
    }));
    json!({ "keyCredentials": keys })
}

/// True when the certificate is registered.
pub(super) fn has_key(registered: &Value, certificate: &[u8], thumbprint: &str) -> bool {
    let keys = registered["keyCredentials"].as_array().map(Vec::as_slice).unwrap_or_default();
    keys.iter().any(|key| {
        let same = key["key"].as_str().and_then(|key| STANDARD.decode(key).ok()).is_some_and(|key| key == certificate);
        same || key["customKeyIdentifier"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(thumbprint))
    })
}

/// Trust in a token of another issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// Its name: 3 to 120 letters, digits, `-`, `_`, `.`, `~`.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `sub`, exactly.
    pub subject: String,
    /// `aud`, exactly.
    pub audience: String,
}

impl Federation {
    /// Trust in a user-assigned managed identity of the partner's tenant (1.5).
    pub fn of_managed_identity(cloud: &Cloud, tenant: TenantId, principal: ObjectId) -> Self {
        Self {
            name: format!("managed-identity-{principal}"),
            issuer: cloud.authority(&format!("{tenant}/v2.0")),
            subject: principal.to_string(),
            audience: cloud.federation_audience.to_owned(),
        }
    }

    /// The body for Graph.
    pub fn body(&self) -> Value {
        json!({"name": self.name, "issuer": self.issuer, "subject": self.subject, "audiences": [self.audience]})
    }

    pub(super) fn is(&self, row: &Value) -> bool {
        row["issuer"] == self.issuer && row["subject"] == self.subject && row["audiences"][0] == self.audience
    }
}

/// A role that `register assign` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignedRole {
    /// Reads everything at the scope.
    Reader,
    /// Writes metrics and logs to the partner's own telemetry resource.
    MonitoringMetricsPublisher,
}

impl AssignedRole {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "Reader",
            Self::MonitoringMetricsPublisher => "Monitoring Metrics Publisher",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Reader => "acdd72a7-3385-48ef-bd42-f606fba81ae7",
            Self::MonitoringMetricsPublisher => "3913510d-42f4-4e42-8a64-420c390055eb",
        }
    }
}

/// A role at a scope for our service principal: the assignment's name, which follows from it, and its body (5.4).
pub fn assignment(
    cloud: &Cloud,
    tenant: TenantId,
    scope: &str,
    role: AssignedRole,
    principal: ObjectId,
) -> (Uuid, Value) {
    let text = format!("{}|{tenant}|{scope}|{}|{principal}", cloud.name, role.id()).to_ascii_lowercase();
    let subscription = scope.trim_start_matches('/').split('/').take(2).collect::<Vec<_>>();
    let prefix = match subscription.as_slice() {
        [kind, id] if kind.eq_ignore_ascii_case("subscriptions") => format!("/subscriptions/{id}"),
        // A built-in role belongs to no subscription.
        _ => String::new(),
    };
    let body = json!({"properties": {
        "roleDefinitionId": format!("{prefix}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id()),
        "principalId": principal,
        "principalType": "ServicePrincipal",
    }});
    (Uuid::new_v5(&NAMESPACE, text.as_bytes()), body)
}

/// A scope of Resource Manager, fit for an address. None for anything else.
pub fn scope(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let lower = text.to_ascii_lowercase();
    let known = ["/subscriptions/", "/providers/microsoft.management/managementgroups/"];
    let harmless = |segment: &str| {
        !segment.is_empty()
            && segment.chars().any(|c| c != '.')
            && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_.() ".contains(c))
    };
    let good = known.iter().any(|start| lower.starts_with(start)) && text[1..].split('/').all(harmless);
    good.then(|| text.replace(' ', "%20"))
}

/// What `az ad sp create-for-rbac` prints, by that shape and no other: the client id, name, secret and tenant.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Printed {
    /// Application (client) id.
    #[serde(rename = "appId")]
    pub app_id: ClientId,
    /// The application's name; old versions of `az` left it out.
    #[serde(rename = "displayName", default)]
    pub display_name: Option<String>,
    /// The client secret; none with another credential.
    #[serde(default)]
    pub password: Option<String>,
    /// The partner's tenant.
    pub tenant: TenantId,
}
