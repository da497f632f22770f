//! Tokens and variables that a program has from elsewhere: a person's own tools, another issuer, the platform.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Sandbox;
use super::entra::ARM_AUDIENCES;
use crate::model::{ObjectId, TenantId};

impl Sandbox {
    /// What the platform sets in the partner's app for its managed identity.
    pub fn identity_settings(&self) -> BTreeMap<&'static str, String> {
        let header = self.change(|world| world.managed_identity.header.clone());
        let endpoint = format!("{}msi/token", self.shared.identity);
        BTreeMap::from([("IDENTITY_ENDPOINT", endpoint), ("IDENTITY_HEADER", header)])
    }

    /// A `parameters.json` as Microsoft's daemon sample with `authority` and `secret` has it, for the partner's application.
    /// `sample_user` is the other sample's.
    pub fn parameters(&self, sample_user: &str) -> serde_json::Value {
        let (home, client_id, secret) = self
            .change(|world| (world.application.home, world.application.client_id, world.client_secret().to_owned()));
        json!({
            "authority": format!("{}{home}", self.shared.authority),
            "oidc_authority": null,
            "client_id": client_id,
            "scope": ["https://graph.microsoft.com/.default"],
            "secret": secret,
            "endpoint": format!("{}v1.0/users", self.shared.graph),
            "sample_user": sample_user,
        })
    }

    /// The issuer of a tenant's tokens.
    pub fn issuer(&self, tenant: TenantId) -> String {
        self.shared.issuer(tenant)
    }

    /// A token that a user has from his own tools (`az account get-access-token`), with these scopes: for Graph, or for
    /// Resource Manager when it is `user_impersonation`.
    pub fn user_token(&self, user: ObjectId, scopes: &str) -> String {
        let for_arm = scopes == "user_impersonation";
        let audience = if for_arm { ARM_AUDIENCES[0].to_owned() } else { self.shared.graph_audience() };
        let mut state = self.shared.state();
        let now = self.shared.clock.now().timestamp();
        let tenant = state.world.users.get(&user).map(|user| user.tenant.to_string()).unwrap_or_default();
        let claims = json!({
            "aud": audience, "iat": now, "nbf": now, "exp": now + 3600, "oid": user, "tid": tenant, "scp": scopes,
            "amr": ["pwd", "mfa"], "idtyp": "user",
        });
        let token = self.shared.keys.any.sign(&claims, self.shared.keys.any.kid);
        state.keep_secret(&token);
        token
    }

    /// A token of any issuer, as a federated credential may trust it.
    pub fn federated_token(&self, issuer: &str, subject: &str, audience: &str, life: Duration) -> String {
        let now = self.shared.clock.now().timestamp();
        let end = now + i64::try_from(life.as_secs()).unwrap_or(i64::MAX / 2);
        let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": end});
        let token = self.shared.keys.any.sign(&claims, self.shared.keys.any.kid);
        self.shared.state().keep_secret(&token);
        token
    }
}
