//! Subscriptions: whose they are, which ones a user sees, whether we can read one.

use reqwest::Method;
use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

use super::request::transport;
use super::wire::subscriptions::{API_VERSION, Subscription, Tenant};
use super::{AccessToken, Client, Error};
use crate::model::{SubscriptionId, TenantId};

pub use super::wire::subscriptions::SubscriptionState;

/// The login hosts of every cloud, aliases included ("Identity, consent and onboarding contract", section 6).
const LOGIN_HOSTS: [&str; 10] = [
    "login.microsoftonline.com",
    "login.windows.net",
    "login.microsoft.com",
    "sts.windows.net",
    "login.microsoftonline.us",
    "login.usgovcloudapi.net",
    "login.partner.microsoftonline.cn",
    "login.chinacloudapi.cn",
    "login.windows-ppe.net",
    "login.microsoftonline-p.com",
];

/// A subscription as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenSubscription {
    pub id: SubscriptionId,
    /// The home tenant.
    pub tenant: TenantId,
    /// Its name; foreign text, capped.
    pub name: String,
    pub state: SubscriptionState,
    /// The tenants that it is delegated to.
    pub managed_by: Vec<TenantId>,
}

/// A tenant as one of its users sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenTenant {
    pub id: TenantId,
    /// Its name; foreign text, capped.
    pub name: Option<String>,
}

/// The subscriptions that a user sees.
#[derive(Debug)]
pub(crate) struct SeenSubscriptions {
    pub subscriptions: Vec<SeenSubscription>,
    /// True when a later page of the listing could not be read.
    pub incomplete: bool,
}

impl Client {
    /// The home tenant of a subscription, from the challenge that Resource Manager gives without any credential (5.1). None:
    /// the answer names no tenant, for an unknown subscription or because this undocumented behaviour has changed.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there was no answer at all.
    pub(crate) async fn tenant_of_subscription(&self, subscription: SubscriptionId) -> Result<Option<TenantId>, Error> {
        let url = self.cloud.manager(&format!("/subscriptions/{subscription}?api-version={API_VERSION}"));
        let response = self.http.get(url).send().await.map_err(transport)?;
        let challenged = response.status().as_u16() == 401;
        let tenant = challenged.then(|| challenged_tenant(response.headers(), &self.cloud.authority_host)).flatten();
        Ok(tenant)
    }

    /// The subscriptions that the token's user sees in the token's tenant, delegated ones included.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn subscriptions(&self, token: &AccessToken) -> Result<SeenSubscriptions, Error> {
        let listing = self.arm_list(&format!("/subscriptions?api-version={API_VERSION}"), token).await?;
        let incomplete = listing.broken_off.is_some();
        let rows = listing.rows.into_iter().filter_map(|row| seen(serde_json::from_value(row).ok()?));
        Ok(SeenSubscriptions { subscriptions: rows.collect(), incomplete })
    }

    /// The tenants that the token's user is known in, as member or guest.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`].
    pub(crate) async fn tenants(&self, token: &AccessToken) -> Result<Vec<SeenTenant>, Error> {
        let listing = self.arm_list(&format!("/tenants?api-version={API_VERSION}"), token).await?;
        let rows = listing.rows.into_iter().filter_map(|row| serde_json::from_value::<Tenant>(row).ok());
        let seen = |row: Tenant| {
            let id = row.tenant_id?.parse().ok()?;
            Some(SeenTenant { id, name: row.display_name.or(row.default_domain).map(|name| capped(&name)) })
        };
        Ok(rows.filter_map(seen).collect())
    }

    /// Whether a subscription has registered the resource provider of health.
    ///
    /// # Errors
    /// Any of [`Client::arm`].
    pub(crate) async fn health_is_registered(
        &self,
        subscription: SubscriptionId,
        token: &AccessToken,
    ) -> Result<bool, Error> {
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.ResourceHealth?api-version=2021-04-01");
        let answer = self.arm(Method::GET, &path, token, None).await?;
        let state = answer.body.get("registrationState").and_then(serde_json::Value::as_str).unwrap_or_default();
        // While it is being registered it answers already, or soon will.
        Ok(!matches!(state, "NotRegistered" | "Unregistered" | "Unregistering"))
    }

    /// One subscription, read with this token. None: Azure's answer is of another tenant or unreadable.
    ///
    /// # Errors
    /// Any of [`Client::arm`].
    pub(crate) async fn subscription(
        &self,
        subscription: SubscriptionId,
        token: &AccessToken,
    ) -> Result<Option<SeenSubscription>, Error> {
        let path = format!("/subscriptions/{subscription}?api-version={API_VERSION}");
        let answer = self.arm(Method::GET, &path, token, None).await?;
        let row = serde_json::from_value(answer.body).ok().and_then(seen);
        Ok(row.filter(|row| row.id == subscription))
    }
}

fn capped(text: &str) -> String {
    text.trim().chars().take(200).collect()
}

fn seen(row: Subscription) -> Option<SeenSubscription> {
    let id: SubscriptionId = row.subscription_id?.parse().ok()?;
    let name = row.display_name.map(|name| capped(&name)).filter(|name| !name.is_empty());
    Some(SeenSubscription {
        id,
        tenant: row.tenant_id?.parse().ok()?,
        name: name.unwrap_or_else(|| id.to_string()),
        // A state that is not given is not one that can be relied on.
        state: row.state.unwrap_or_else(|| SubscriptionState::Other("unknown".to_owned())),
        managed_by: row.managed_by_tenants.into_iter().filter_map(|one| one.tenant_id?.parse().ok()).collect(),
    })
}

/// The tenant that a challenge names: the first path segment of `authorization_uri` on a known login host. Pure.
fn challenged_tenant(headers: &HeaderMap, authority: &Url) -> Option<TenantId> {
    headers.get_all(WWW_AUTHENTICATE).iter().find_map(|value| {
        let uri: Url = parameter(value.to_str().ok()?, "authorization_uri")?.parse().ok()?;
        let host = uri.host_str()?;
        if !LOGIN_HOSTS.contains(&host) && uri.origin() != authority.origin() {
            return None;
        }
        // `common` and the like are no GUID and give None.
        uri.path_segments()?.next()?.parse().ok()
    })
}

/// The quoted parameter of a challenge, by its name in any case.
pub(super) fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = challenge;
    while let Some(equals) = rest.find("=\"") {
        let found = rest[..equals].rsplit([' ', ',', '\t']).next().unwrap_or_default();
        let value = &rest[equals + 2..];
        let end = value.find('"')?;
        if found.eq_ignore_ascii_case(name) {
            return Some(&value[..end]);
        }
        rest = &value[end + 1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "31c75423-32d6-4322-88b7-c478bdde4858";

    fn tenant_in(challenge: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Negotiate".parse().expect("a header"));
        headers.append(WWW_AUTHENTICATE, challenge.parse().expect("a header"));
        let authority = "http://127.0.0.1:4000".parse().expect("an address");
        challenged_tenant(&headers, &authority).map(|tenant| tenant.to_string())
    }

    #[test]
    fn the_tenant_is_the_first_segment_on_a_known_login_host() {
        let hosts = ["https://login.windows.net", "https://login.microsoftonline.us", "http://127.0.0.1:4000"];
        for host in hosts {
            let challenge = format!(r#"Bearer error="invalid_token", Authorization_Uri="{host}/{TENANT}/oauth2""#);
            assert_eq!(tenant_in(&challenge).as_deref(), Some(TENANT), "{host}");
        }
    }

    #[test]
    fn other_hosts_common_and_broken_challenges_name_no_tenant() {
        for challenge in [
            format!(r#"Bearer authorization_uri="https://login.windows.net.evil.example/{TENANT}""#),
            format!(r#"Bearer authorization_uri="http://127.0.0.1:4001/{TENANT}""#),
            format!(r#"Bearer authorization_uri="https://login.windows.net/x/{TENANT}""#),
            format!(r#"Bearer error_description="authorization_uri=https://login.windows.net/{TENANT}""#),
            r#"Bearer authorization_uri="https://login.windows.net/common""#.to_owned(),
            r#"Bearer authorization_uri="https://login"#.to_owned(),
        ] {
            assert_eq!(tenant_in(&challenge), None, "{challenge}");
        }
    }

    #[test]
    fn a_row_without_its_tenant_is_not_offered() {
        let row = |json: &str| seen(serde_json::from_str(json).expect("JSON"));
        assert_eq!(row(&format!(r#"{{"subscriptionId": "{TENANT}", "displayName": "a"}}"#)), None);
        let seen = row(&format!(r#"{{"subscriptionId": "{TENANT}", "tenantId": "{TENANT}"}}"#)).expect("a row");
        assert_eq!(seen.name, TENANT);
        assert_eq!(seen.state, SubscriptionState::Other("unknown".to_owned()));
    }
}
