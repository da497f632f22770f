//! The endpoints of each Azure cloud, and the overrides that tests and proxies need.

use url::Url;

/// The endpoints of one Azure cloud ("Identity, consent and onboarding contract", section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// The name in settings and keys, such as `AzurePublic`.
    pub name: &'static str,
    /// The authority host: Entra's sign-in and tokens.
    pub authority_host: Url,
    /// Azure Resource Manager.
    pub resource_manager: Url,
    /// The audience of Resource Manager tokens, without a trailing slash. Not changed by overrides.
    pub resource_manager_audience: &'static str,
    /// Microsoft Graph, which the registration is made with.
    pub graph: Url,
    /// The audience of a federated credential's tokens.
    pub federation_audience: &'static str,
    /// The Azure portal, for links.
    pub portal: &'static str,
}

impl Cloud {
    /// The cloud of a name, regardless of case. None for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        let (name, authority, manager, graph, federation_audience, portal) = match name.to_ascii_lowercase().as_str() {
            "azurepublic" | "azurecloud" => (
                "AzurePublic",
                "https://login.microsoftonline.com",
                "https://management.azure.com",
                "https://graph.microsoft.com",
                "api://AzureADTokenExchange",
                "https://portal.azure.com",
            ),
            "azureusgovernment" => (
                "AzureUSGovernment",
                "https://login.microsoftonline.us",
                "https://management.usgovcloudapi.net",
                "https://graph.microsoft.us",
                "api://AzureADTokenExchangeUSGov",
                "https://portal.azure.us",
            ),
            "azurechina" | "azurechinacloud" => (
                "AzureChina",
                "https://login.partner.microsoftonline.cn",
                "https://management.chinacloudapi.cn",
                "https://microsoftgraph.chinacloudapi.cn",
                "api://AzureADTokenExchangeChina",
                "https://portal.azure.cn",
            ),
            _ => return None,
        };
        Some(Self {
            name,
            authority_host: authority.parse().ok()?,
            resource_manager: manager.parse().ok()?,
            resource_manager_audience: manager,
            graph: graph.parse().ok()?,
            federation_audience,
            portal,
        })
    }

    /// An address at the authority host. `path` has no leading slash.
    pub fn authority(&self, path: &str) -> String {
        format!("{}/{path}", self.authority_host.as_str().trim_end_matches('/'))
    }

    /// An address at Resource Manager. `path` starts with a slash.
    pub fn manager(&self, path: &str) -> String {
        format!("{}{path}", self.resource_manager.as_str().trim_end_matches('/'))
    }
}
