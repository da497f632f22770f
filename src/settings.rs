//! Settings: every variable, read and checked once. Every fault is reported at once, never only the first.

mod application;
mod aws;
mod credential;
mod monitor;
mod notify;
mod otlp;
mod read;
#[cfg(test)]
mod tests;
mod unregistered;
mod web;

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use url::Url;

pub use self::application::{Application, Place};
pub use self::aws::{Aws, AwsAccount, SettingsSecret};
pub use self::credential::{Credential, Expiry};
pub use self::notify::{NotifySecrets, Reach, SECRET_PREFIX};
pub use self::otlp::{Otlp, TraceSampler};
use self::read::Reader;
pub use self::unregistered::Unregistered;
use crate::azure::{Cloud, MetricTarget};
use crate::model::{ClientId, TenantId};

/// Which door the program was started through: what must be set differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The Azure Functions custom handler: the host has checked function keys.
    Functions,
    /// AWS Lambda.
    Lambda,
    /// One process of its own.
    Standalone,
}

/// Everything that can be set, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The door these settings were read for.
    pub door: Door,
    /// Our application registration.
    pub identity: Identity,
    /// The cloud's endpoints, with overrides applied.
    pub cloud: Cloud,
    /// What browsers see (`PUBLIC_BASE_URL`), without a trailing slash in its path.
    pub public_base_url: Url,
    /// Where documents live.
    pub store: StoreSettings,
    /// Keys for sign-in sessions: the first signs, all verify (`SESSION_KEYS`). Never empty once the program serves.
    pub session_keys: Vec<SessionKey>,
    /// Requests to Azure in flight at once in this process (`AZURE_REQUESTS_IN_FLIGHT`).
    pub requests_in_flight: usize,
    /// NCRONTAB (`POLL_SCHEDULE`).
    pub poll_schedule: String,
    /// Who outside is called while the timer works (`DEAD_MAN_URL`).
    pub dead_man_url: Option<SecretString>,
    /// Keys for the partner API on hosts without function keys (`PARTNER_API_KEYS`).
    pub api_keys: Vec<ApiKey>,
    /// Who may onboard (`ONBOARDING`).
    pub onboarding: Onboarding,
    /// The partner's name on the pages that customers see (`PARTNER_NAME`).
    pub partner_name: String,
    /// His logo, as a `data:` address (`PARTNER_LOGO`).
    pub partner_logo: Option<String>,
    /// How often anonymous callers may ask (`RATE_LIMITS`).
    pub rate_limits: RateLimits,
    /// By what they are told apart (`CLIENT_ADDRESS_HEADER`).
    pub caller: Caller,
    /// What AWS gives us; only through the Lambda door.
    pub aws: Option<Aws>,
    /// Which addresses notices may be sent to (`PRIVATE_DESTINATIONS`).
    pub reach: Reach,
    /// The secrets of destinations (`NOTIFY_*`).
    pub notify_secrets: NotifySecrets,
    /// The partner's own resource that customers' health is published for as metrics (`HEALTH_METRICS_RESOURCE_ID`,
    /// `HEALTH_METRICS_REGION`).
    pub health_metrics: Option<MetricTarget>,
}

/// Our application registration (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`) and its credential.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The partner's tenant.
    pub tenant_id: TenantId,
    /// The multi-tenant application.
    pub client_id: ClientId,
    /// How it proves who it is.
    pub credential: Credential,
}

/// Where documents live (`STATE_STORE_URL`, `AzureWebJobsStorage`).
#[derive(Debug, Clone)]
pub enum StoreSettings {
    /// A directory on this machine.
    Directory(std::path::PathBuf),
    /// Nothing survives the process.
    Memory,
    /// A container of Azure Blob storage.
    AzureBlob {
        /// The container's name.
        container: String,
        /// How to reach the account.
        account: StorageAccount,
    },
    /// A bucket of S3, with an optional prefix.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The path below which all documents live, without slashes at its ends; may be empty.
        prefix: String,
        /// Whose bucket it is, where the environment says so. None: the platform's own ways, such as a container's role.
        account: Option<AwsAccount>,
        /// Another store that speaks S3 (`AWS_ENDPOINT_URL`).
        endpoint: Option<Url>,
    },
}

/// How to reach an Azure storage account.
#[derive(Debug, Clone)]
pub enum StorageAccount {
    /// The Azurite emulator on this machine (`UseDevelopmentStorage=true`).
    Development,
    /// An account key from a connection string.
    Key {
        /// The account's name.
        account: String,
        /// Its key.
        key: SecretString,
        /// The blob endpoint, where the connection string names one.
        endpoint: Option<Url>,
    },
    /// The host's managed identity (`AzureWebJobsStorage__accountName`, optional `AzureWebJobsStorage__clientId`).
    ManagedIdentity {
        /// The account's name.
        account: String,
        /// A user-assigned identity.
        client_id: Option<String>,
        /// The blob endpoint, where it is not the public cloud's (`AzureWebJobsStorage__blobServiceUri`).
        endpoint: Option<Url>,
        /// Where App Service and Functions give out tokens (`IDENTITY_ENDPOINT`, set by the platform).
        identity_endpoint: Option<Url>,
    },
}

/// Who may onboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Onboarding {
    /// Only with an invite.
    Invite,
    /// Anybody.
    Open,
}

/// How often anonymous callers may ask, in requests per minute. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// One caller.
    pub per_client: u32,
    /// All of them together, in this process.
    pub total: u32,
    /// One caller's requests that make us ask Azure whose subscription or domain something is.
    pub lookups_per_client: u32,
    /// Such requests of all together.
    pub lookups_total: u32,
}

/// By what anonymous callers are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The other end of the connection; on Lambda, the address that AWS names.
    Connection,
    /// The last entry of this header: the one that the nearest proxy wrote. Whatever stands before it the caller may have made up.
    Header(String),
}

/// A key for sign-in sessions, 32 bytes.
#[derive(Clone)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey([redacted])")
    }
}

/// A key of the partner API, by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Who holds the key; for logs.
    pub name: String,
    /// SHA-256 of the key, lower-case hex.
    pub sha256: String,
}

/// One fault of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting.
    pub name: String,
    /// What was found; never a secret.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

/// All faults of the settings at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the settings must be mended:", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {}: found {}; expected {}", fault.name, fault.found, fault.expected)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Every setting that is read, with a harmless example: the source of `local.settings.example.json`.
pub const NAMES: &[(&str, &str)] = &[
    ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
    ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
    ("AZURE_CLIENT_SECRET", "the-client-secret-value-not-its-id"),
    ("AZURE_CLIENT_SECRET_EXPIRES", ""),
    ("AZURE_CLIENT_CERTIFICATE_PATH", ""),
    ("AZURE_CLIENT_CERTIFICATE_PASSWORD", ""),
    ("AZURE_CLIENT_CERTIFICATE_ALGORITHM", ""),
    ("MANAGED_IDENTITY_CLIENT_ID", ""),
    ("AZURE_FEDERATED_TOKEN_FILE", ""),
    ("AZURE_CLOUD", "AzurePublic"),
    ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com"),
    ("AZURE_RESOURCE_MANAGER_URL", "https://management.azure.com"),
    ("MICROSOFT_GRAPH_URL", "https://graph.microsoft.com"),
    ("AZURE_LOG_ANALYTICS_URL", "https://api.loganalytics.azure.com"),
    ("AZURE_MONITOR_METRICS_URL", "https://{region}.monitoring.azure.com"),
    ("AZURE_MONITOR_METRICS_AUDIENCE", ""),
    ("HEALTH_METRICS_RESOURCE_ID", ""),
    ("HEALTH_METRICS_REGION", ""),
    ("PUBLIC_BASE_URL", "http://localhost:7071"),
    ("PARTNER_NAME", "Contoso Managed Services"),
    ("PARTNER_LOGO", ""),
    ("STATE_STORE_URL", "file:./state"),
    ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
    ("AzureWebJobsStorage__accountName", ""),
    ("AzureWebJobsStorage__clientId", ""),
    ("AzureWebJobsStorage__blobServiceUri", ""),
    ("SESSION_KEYS", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ("AZURE_REQUESTS_IN_FLIGHT", "64"),
    ("POLL_SCHEDULE", "0 * * * * *"),
    ("DEAD_MAN_URL", ""),
    ("PARTNER_API_KEYS", ""),
    ("ONBOARDING", "invite"),
    ("RATE_LIMITS", "client=60,total=1200,clientLookups=10,totalLookups=120"),
    ("CLIENT_ADDRESS_HEADER", ""),
    ("HEALTH_POLL_QUEUE_URL", ""),
    ("HEALTH_NOTICES_QUEUE_URL", ""),
    ("SETTINGS_SECRET_ID", ""),
    ("AWS_ENDPOINT_URL", ""),
    ("PRIVATE_DESTINATIONS", ""),
    ("LOG_FORMAT", "json"),
    ("RUST_LOG", "info"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ("OTEL_EXPORTER_OTLP_HEADERS", ""),
    ("OTEL_SERVICE_NAME", ""),
    ("OTEL_RESOURCE_ATTRIBUTES", ""),
    ("OTEL_TRACES_SAMPLER", ""),
    ("OTEL_TRACES_SAMPLER_ARG", ""),
];

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn from_env(door: Door) -> Result<Self, Faults> {
        Self::from_env_and(door, BTreeMap::new())
    }

    /// Reads the process's environment, and below it the `Values` of a `local.settings.json`, if there is one: what the
    /// Functions tools do for local runs. The environment wins.
    ///
    /// # Errors
    /// [`Faults`], all of them, or the one that the file cannot be read.
    pub fn load(door: Door, local_settings: &std::path::Path) -> Result<Self, Faults> {
        Self::from_env_and(door, local_values(local_settings)?)
    }

    /// Reads the process's environment, and below it these names and values.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn from_env_and(door: Door, values: BTreeMap<String, String>) -> Result<Self, Faults> {
        let settings = Self::from_lookup(door, |name| variable(name).or_else(|| values.get(name).cloned()))?;
        Ok(settings.with_secrets(environment().chain(values)))
    }

    /// Reads settings from any source of names and values. An empty value counts as not set.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn from_lookup(door: Door, lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        let mut reader = Reader { lookup, faults: Vec::new() };
        let identity = reader.identity();
        let cloud = reader.cloud();
        let public_base_url = reader.public_base_url();
        let store = reader.store(door);
        let session_keys = reader.session_keys(door);
        reader.refuse_example_key(&session_keys, public_base_url.as_ref());
        let requests_in_flight = reader.requests_in_flight();
        let poll_schedule = reader.poll_schedule();
        let dead_man_url = reader.dead_man_url();
        let api_keys = reader.api_keys(door);
        let onboarding = reader.onboarding();
        let partner_name = reader.text("PARTNER_NAME").unwrap_or_else(|| "Your Azure partner".to_owned());
        let partner_logo = reader.partner_logo();
        let rate_limits = reader.rate_limits();
        let caller = reader.caller(door);
        let reach = reader.reach(door);
        let health_metrics = reader.health_metrics();
        let aws = if door == Door::Lambda { reader.aws() } else { None };
        match (identity, cloud, public_base_url, store, onboarding) {
            (Some(identity), Some(cloud), Some(public_base_url), Some(store), Some(onboarding))
                if reader.faults.is_empty() =>
            {
                Ok(Self {
                    door,
                    identity,
                    cloud,
                    public_base_url,
                    store,
                    session_keys,
                    requests_in_flight,
                    poll_schedule,
                    dead_man_url,
                    api_keys,
                    onboarding,
                    partner_name,
                    partner_logo,
                    rate_limits,
                    caller,
                    aws,
                    reach,
                    notify_secrets: NotifySecrets::default(),
                    health_metrics,
                })
            }
            _ => Err(Faults(reader.faults)),
        }
    }

    /// The redirect URI of the consent flow, as registered with the application.
    pub fn redirect_uri(&self) -> String {
        self.public_url(CALLBACK)
    }

    /// The redirect URI of an admin consent, to be registered beside the other.
    pub fn admin_redirect_uri(&self) -> String {
        self.public_url(ADMIN_CALLBACK)
    }

    /// An address below the public base address. `path` starts with a slash.
    pub fn public_url(&self, path: &str) -> String {
        public_url(&self.public_base_url, path)
    }

    /// True when browsers reach us over TLS: cookies are then `Secure`.
    pub fn public_is_https(&self) -> bool {
        self.public_base_url.scheme() == "https"
    }
}

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names and values of the environment that are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Where Entra sends browsers back to: after a sign-in, and after an admin consent.
const CALLBACK: &str = "/api/consent/callback";
const ADMIN_CALLBACK: &str = "/api/consent/admin-callback";

fn public_url(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

/// How to log (`LOG_FORMAT`, `RUST_LOG`) and where traces go: read on its own, so that faults of the settings are logged too.
#[derive(Debug, Clone, Default)]
pub struct LogSettings {
    /// JSON or not; None leaves it to whether stdout is a terminal.
    pub json: Option<bool>,
    /// What to log, such as `info` or `health_monitor=debug`.
    pub filter: Option<String>,
    /// Where traces go. None: nowhere.
    pub otlp: Option<Otlp>,
}

impl LogSettings {
    /// Reads the process's environment. A `LOG_FORMAT` that is not understood counts as not set.
    ///
    /// # Errors
    /// [`Faults`] of the OTEL_ settings.
    pub fn from_env() -> Result<Self, Faults> {
        Self::from_lookup(variable)
    }

    /// The same, and below the environment the `Values` of a `local.settings.json`.
    ///
    /// # Errors
    /// [`Faults`] of the OTEL_ settings.
    pub fn load(local_settings: &std::path::Path) -> Result<Self, Faults> {
        Self::from_env_and(&local_values(local_settings)?)
    }

    /// The same, and below the environment these names and values.
    ///
    /// # Errors
    /// [`Faults`] of the OTEL_ settings.
    pub fn from_env_and(values: &BTreeMap<String, String>) -> Result<Self, Faults> {
        Self::from_lookup(|name| variable(name).or_else(|| values.get(name).cloned()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        let text = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let json = match text("LOG_FORMAT").as_deref() {
            Some("json") => Some(true),
            Some("pretty") => Some(false),
            _ => None,
        };
        Ok(Self { json, filter: text("RUST_LOG"), otlp: Otlp::from_lookup(&lookup)? })
    }
}

/// The port that the Functions host has chosen for us (`FUNCTIONS_CUSTOMHANDLER_PORT`).
///
/// # Errors
/// [`Faults`], when we were not started by the host.
pub fn handler_port() -> Result<u16, Faults> {
    const NAME: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";
    let text = variable(NAME).unwrap_or_default();
    text.parse().map_err(|_| {
        let found = if text.is_empty() { "nothing".to_owned() } else { format!("{text:?}") };
        let expected = "a port, as set by the Functions host (`func start`); to run without it: cli serve".to_owned();
        Faults(vec![Fault { name: NAME.to_owned(), found, expected }])
    })
}

/// `Values` of a local.settings.json; none when there is no such file.
fn local_values(path: &std::path::Path) -> Result<BTreeMap<String, String>, Faults> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Local {
        #[serde(default)]
        is_encrypted: Option<bool>,
        #[serde(default)]
        values: BTreeMap<String, String>,
    }
    let fault = |found: String, expected: &str| {
        Faults(vec![Fault { name: path.display().to_string(), found, expected: expected.to_owned() }])
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(fault(error.to_string(), "a file that can be read, or none")),
    };
    // serde's message names line and column; it quotes no values of the type string, which may be secrets.
    let local: Local = serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| fault(format!("something else at line {}", error.line()), "JSON with Values of texts"))?;
    // The tools read a missing member as true; what we see then is plain text all the same, unless it says so.
    if local.is_encrypted == Some(true) {
        return Err(fault("IsEncrypted: true".to_owned(), "IsEncrypted: false; decrypt with: func settings decrypt"));
    }
    Ok(local.values)
}
