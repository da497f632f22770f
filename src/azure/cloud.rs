//! The endpoints of each Azure cloud, and the overrides that tests and proxies need.

use url::Url;

/// A service of Azure that takes our application's tokens, each only its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Azure Resource Manager.
    ResourceManager,
    /// Microsoft Graph.
    Graph,
    /// Queries of Log Analytics, direct.
    Logs,
    /// Ingestion of custom metrics.
    Metrics,
    /// The same with the audience's other spelling.
    MetricsWithSlash,
    /// The Logs Ingestion API.
    LogsIngestion,
    /// Publishing to Event Grid.
    EventGrid,
}

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
    /// Microsoft Graph, which the registration is made with. The audience of its tokens is not changed by overrides.
    pub graph: Url,
    /// Queries of Log Analytics, direct.
    pub log_analytics: Url,
    /// The audience of tokens for them. Not changed by overrides.
    pub log_analytics_audience: &'static str,
    /// Where custom metrics are published, with `{region}` where the region of the resource belongs. None: not known for this
    /// cloud; it can be set.
    pub metrics: Option<String>,
    /// The audience of tokens for it, without a trailing slash.
    pub metrics_audience: String,
    /// The audience of a federated credential's tokens.
    pub federation_audience: &'static str,
    /// The Azure portal, for links.
    pub portal: &'static str,
}

impl Cloud {
    /// The cloud of a name, regardless of case. None for an unknown name.
    pub fn named(name: &str) -> Option<Self> {
        let (name, authority, manager, graph, monitor, federation_audience, portal) =
            match name.to_ascii_lowercase().as_str() {
                "azurepublic" | "azurecloud" => (
                    "AzurePublic",
                    "https://login.microsoftonline.com",
                    "https://management.azure.com",
                    "https://graph.microsoft.com",
                    // The old host is the audience of the new one too.
                    (
                        "https://api.loganalytics.azure.com",
                        "https://api.loganalytics.io",
                        Some("https://{region}.monitoring.azure.com"),
                    ),
                    "api://AzureADTokenExchange",
                    "https://portal.azure.com",
                ),
                "azureusgovernment" => (
                    "AzureUSGovernment",
                    "https://login.microsoftonline.us",
                    "https://management.usgovcloudapi.net",
                    "https://graph.microsoft.us",
                    (
                        "https://api.loganalytics.us",
                        "https://api.loganalytics.us",
                        Some("https://monitoring.core.usgovcloudapi.net"),
                    ),
                    "api://AzureADTokenExchangeUSGov",
                    "https://portal.azure.us",
                ),
                "azurechina" | "azurechinacloud" => (
                    "AzureChina",
                    "https://login.partner.microsoftonline.cn",
                    "https://management.chinacloudapi.cn",
                    "https://microsoftgraph.chinacloudapi.cn",
                    ("https://api.loganalytics.azure.cn", "https://api.loganalytics.azure.cn", None),
                    "api://AzureADTokenExchangeChina",
                    "https://portal.azure.cn",
                ),
                _ => return None,
            };
        let (log_analytics, log_audience, metrics) = monitor;
        Some(Self {
            name,
            authority_host: authority.parse().ok()?,
            resource_manager: manager.parse().ok()?,
            resource_manager_audience: manager,
            graph: graph.parse().ok()?,
            log_analytics: log_analytics.parse().ok()?,
            log_analytics_audience: log_audience,
            metrics: metrics.map(str::to_owned),
            metrics_audience: "https://monitoring.azure.com".to_owned(),
            federation_audience,
            portal,
        })
    }

    /// The scope of our application's tokens for a service ("Graph, Azure Monitor, notification and portal-API contract",
    /// section 0).
    pub(super) fn scope(&self, service: Service) -> String {
        format!("{}/.default", self.audience(service))
    }

    /// The audience that a service asks of tokens. Overrides of addresses do not change it.
    pub fn audience(&self, service: Service) -> String {
        let ingestion = match self.name {
            "AzureUSGovernment" => "https://monitor.azure.us",
            "AzureChina" => "https://monitor.azure.cn",
            _ => "https://monitor.azure.com",
        };
        match service {
            Service::ResourceManager => self.resource_manager_audience.to_owned(),
            Service::Graph => self.graph_audience(),
            Service::Logs => self.log_analytics_audience.to_owned(),
            Service::Metrics => self.metrics_audience.clone(),
            // Sources disagree whether the audience ends with a slash; in a scope it is kept by writing it twice.
            Service::MetricsWithSlash => format!("{}/", self.metrics_audience),
            Service::LogsIngestion => ingestion.to_owned(),
            Service::EventGrid => "https://eventgrid.azure.net".to_owned(),
        }
    }

    /// Where custom metrics of a resource in a region are published; `path` starts with a slash.
    pub(super) fn metrics_url(&self, region: &str, path: &str) -> Option<String> {
        let base = self.metrics.as_ref()?.replace("{region}", region);
        Some(format!("{}{path}", base.trim_end_matches('/')))
    }

    /// The audience of Microsoft Graph's tokens.
    pub fn graph_audience(&self) -> String {
        let built_in = Self::named(self.name).map_or_else(|| self.graph.clone(), |cloud| cloud.graph);
        built_in.as_str().trim_end_matches('/').to_owned()
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
