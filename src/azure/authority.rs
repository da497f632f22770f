//! Which part of Entra is asked: one tenant, or every work or school account.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::Client;
use crate::model::TenantId;

/// The tenant segment of Entra's addresses ("Identity, consent and onboarding contract", 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Authority {
    /// Members and guests of one tenant.
    Tenant(TenantId),
    /// Any work or school account, in its home tenant.
    Organizations,
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => tenant.fmt(f),
            Self::Organizations => f.write_str("organizations"),
        }
    }
}

/// What one sign-in sends along to be recognised by when it comes back.
pub(crate) struct SignIn<'a> {
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// Binds the answer to the browser.
    pub state: &'a str,
    /// Binds the ID token to the sign-in.
    pub nonce: &'a str,
    /// Base64url of the SHA-256 of the PKCE verifier.
    pub code_challenge: &'a str,
    /// What Entra should ask of the person.
    pub prompt: Prompt<'a>,
    /// The account, where we know it: not with a choice of accounts.
    pub login_hint: Option<&'a str>,
    /// What the sign-in is for.
    pub reach: Reach,
}

/// What a sign-in is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// To act at Resource Manager in the person's name.
    ResourceManager,
    /// To know who the person is, and nothing more.
    Identity,
}

/// What Entra should ask of the person.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Prompt<'a> {
    /// Which account: he may be signed in with one of another organisation.
    SelectAccount,
    /// To sign in afresh.
    Login,
    /// What these claims demand, such as a second factor (2.8).
    Claims(&'a str),
}

impl Client {
    /// The scope of a customer's sign-in: who he is, and Resource Manager in his name where it is for that. No
    /// `offline_access`, so that there is no refresh token to guard.
    pub(crate) fn sign_in_scope(&self, reach: Reach) -> String {
        match reach {
            Reach::ResourceManager => {
                format!("openid profile {}/user_impersonation", self.cloud.resource_manager_audience)
            }
            Reach::Identity => "openid profile".to_owned(),
        }
    }

    /// The address of the page on which an administrator consents for his whole tenant (section 3).
    pub(crate) fn admin_consent_url(&self, authority: &Authority, redirect_uri: &str, state: &str) -> Option<Url> {
        let mut url: Url = self.cloud.authority(&format!("{authority}/v2.0/adminconsent")).parse().ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.identity.client_id.to_string())
            .append_pair("scope", &format!("{}/.default", self.cloud.resource_manager_audience))
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state);
        Some(url)
    }

    /// The address of Entra's sign-in page for an authorization code with PKCE (2.2).
    pub(crate) fn authorize_url(&self, authority: &Authority, sign_in: &SignIn<'_>) -> Option<Url> {
        let mut url: Url = self.cloud.authority(&format!("{authority}/oauth2/v2.0/authorize")).parse().ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.identity.client_id.to_string())
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", sign_in.redirect_uri)
            .append_pair("response_mode", "query")
            .append_pair("scope", &self.sign_in_scope(sign_in.reach))
            .append_pair("state", sign_in.state)
            .append_pair("nonce", sign_in.nonce)
            .append_pair("code_challenge", sign_in.code_challenge)
            .append_pair("code_challenge_method", "S256");
        match sign_in.prompt {
            Prompt::SelectAccount => url.query_pairs_mut().append_pair("prompt", "select_account"),
            Prompt::Login => url.query_pairs_mut().append_pair("prompt", "login"),
            Prompt::Claims(claims) => url.query_pairs_mut().append_pair("claims", claims),
        };
        // Entra takes no hint together with the choice of an account.
        if let Some(hint) = sign_in.login_hint.filter(|_| !matches!(sign_in.prompt, Prompt::SelectAccount)) {
            url.query_pairs_mut().append_pair("login_hint", hint);
        }
        Some(url)
    }
}
