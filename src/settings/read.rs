//! One reader per setting: what is right, and what a wrong one is told. Nothing that may be a secret is repeated.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use url::Url;

use super::{ApiKey, Door, Fault, Identity, Onboarding, SessionKey, StorageAccount, StoreSettings};
use crate::azure::Cloud;

pub(super) struct Reader<L> {
    pub(super) lookup: L,
    pub(super) faults: Vec<Fault>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn fault(&mut self, name: &str, found: impl Into<String>, expected: impl Into<String>) {
        self.faults.push(Fault { name: name.to_owned(), found: found.into(), expected: expected.into() });
    }

    pub(super) fn parsed<T: std::str::FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let Some(text) = self.text(name) else {
            self.fault(name, "nothing", expected);
            return None;
        };
        let parsed = text.parse().ok();
        if parsed.is_none() {
            // The neighbour of a secret: what is no GUID may be the secret in the wrong place.
            self.fault(name, format!("{} characters that are no GUID", text.chars().count()), expected);
        }
        parsed
    }

    pub(super) fn identity(&mut self) -> Option<Identity> {
        let tenant_id = self.parsed("AZURE_TENANT_ID", "the GUID of the partner's tenant");
        let client_id = self.parsed("AZURE_CLIENT_ID", "the application (client) id of the multi-tenant registration");
        let credential = self.credential();
        Some(Identity { tenant_id: tenant_id?, client_id: client_id?, credential: credential? })
    }

    pub(super) fn cloud(&mut self) -> Option<Cloud> {
        let name = self.text("AZURE_CLOUD");
        let Some(mut cloud) = Cloud::named(name.as_deref().unwrap_or("AzurePublic")) else {
            self.fault("AZURE_CLOUD", shown(&name.unwrap_or_default()), "AzurePublic, AzureUSGovernment or AzureChina");
            return None;
        };
        if let Some(url) = self.address("AZURE_AUTHORITY_HOST") {
            cloud.authority_host = url;
        }
        if let Some(url) = self.address("AZURE_RESOURCE_MANAGER_URL") {
            cloud.resource_manager = url;
        }
        if let Some(url) = self.address("MICROSOFT_GRAPH_URL") {
            cloud.graph = url;
        }
        self.monitor(&mut cloud);
        Some(cloud)
    }

    /// An address: https anywhere, plain http only on loopback, and nothing beside host and path.
    pub(super) fn address(&mut self, name: &str) -> Option<Url> {
        let text = self.text(name)?;
        match text.parse::<Url>() {
            Ok(url) if is_plain(&url) && is_secure_or_loopback(&url) => Some(url),
            Ok(url) if is_plain(&url) => {
                self.fault(name, shown(&text), "an https address, or http on a loopback host");
                None
            }
            Ok(_) => {
                self.fault(name, "an address with a user, a query or a fragment", "an address of host and path only");
                None
            }
            Err(_) => {
                self.fault(name, shown(&text), "an address such as https://login.microsoftonline.com");
                None
            }
        }
    }

    pub(super) fn public_base_url(&mut self) -> Option<Url> {
        if self.text("PUBLIC_BASE_URL").is_none() {
            return "http://localhost:7071".parse().ok();
        }
        self.address("PUBLIC_BASE_URL")
    }

    pub(super) fn store(&mut self, door: Door) -> Option<StoreSettings> {
        const EXPECTED: &str = "file:<directory>, memory:, az://<container> or s3://<bucket>/<prefix>";
        let text = match self.text("STATE_STORE_URL") {
            Some(text) => text,
            // A directory of a Lambda function is read-only or forgotten: never by default.
            None if door == Door::Lambda => {
                self.fault("STATE_STORE_URL", "nothing", "s3://<bucket>/<prefix>");
                return None;
            }
            None => "file:./state".to_owned(),
        };
        if text == "memory:" {
            return Some(StoreSettings::Memory);
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.is_empty() {
                return Some(StoreSettings::Directory(path.into()));
            }
        }
        if let Some(container) = text.strip_prefix("az://") {
            let container = container.trim_end_matches('/');
            let valid = (3..=63).contains(&container.len())
                && container.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
                && !container.starts_with('-')
                && !container.ends_with('-')
                && !container.contains("--");
            if valid {
                let account = self.storage_account()?;
                return Some(StoreSettings::AzureBlob { container: container.to_owned(), account });
            }
        }
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            let prefix = prefix.trim_matches('/').to_owned();
            if !bucket.is_empty() && bucket.chars().all(harmless) && prefix.chars().all(|c| harmless(c) || c == '/') {
                if cfg!(feature = "lambda") {
                    return Some(self.bucket(bucket, prefix));
                }
                let expected = "a store other than S3: this build has no S3 (cargo feature `lambda`)";
                self.fault("STATE_STORE_URL", shown(&text), expected);
                return None;
            }
        }
        self.fault("STATE_STORE_URL", shown(&text), EXPECTED);
        None
    }

    fn storage_account(&mut self) -> Option<StorageAccount> {
        const NAME: &str = "AzureWebJobsStorage";
        const EXPECTED: &str = "a connection string with AccountName and AccountKey, or UseDevelopmentStorage=true";
        let identity = ["AzureWebJobsStorage__accountName", "AzureWebJobsStorage__blobServiceUri"];
        let identity = identity.into_iter().find(|name| self.text(name).is_some());
        match (self.text(NAME), identity) {
            (Some(_), Some(identity)) => {
                let expected = format!("only one of them: a connection string, or {identity} with a managed identity");
                self.fault(NAME, format!("a connection string beside {identity}"), expected);
                None
            }
            (Some(connection), None) => match connection_string(&connection) {
                Ok(account) => Some(account),
                // The connection string is a secret: say only what is wrong with it.
                Err(found) => {
                    self.fault(NAME, found, EXPECTED);
                    None
                }
            },
            (None, Some(_)) => self.managed_identity(),
            (None, None) => {
                self.fault(NAME, "nothing", format!("{EXPECTED}, or set AzureWebJobsStorage__accountName"));
                None
            }
        }
    }

    fn managed_identity(&mut self) -> Option<StorageAccount> {
        const NAME: &str = "AzureWebJobsStorage__accountName";
        const URI: &str = "AzureWebJobsStorage__blobServiceUri";
        let endpoint = self.address(URI);
        if endpoint.is_none() && self.text(URI).is_some() {
            return None;
        }
        let first_label = |url: &Url| url.host_str().and_then(|host| host.split('.').next()).map(str::to_owned);
        let account = self.text(NAME).or_else(|| endpoint.as_ref().and_then(first_label))?;
        if !is_account_name(&account) {
            self.fault(NAME, shown(&account), "3 to 24 lower-case letters and digits");
            return None;
        }
        let client_id = self.text("AzureWebJobsStorage__clientId");
        let identity_endpoint = self.text("IDENTITY_ENDPOINT").and_then(|text| text.parse().ok());
        Some(StorageAccount::ManagedIdentity { account, client_id, endpoint, identity_endpoint })
    }

    pub(super) fn session_keys(&mut self, door: Door) -> Vec<SessionKey> {
        const EXPECTED: &str =
            "base64 of 32 random bytes, several separated by commas, such as from: openssl rand -base64 32";
        let Some(text) = self.text("SESSION_KEYS") else {
            // Standalone makes a key of its own beside its documents.
            if door != Door::Standalone {
                self.fault("SESSION_KEYS", "nothing", EXPECTED);
            }
            return Vec::new();
        };
        let mut keys = Vec::new();
        for (index, part) in text.split([',', ' ']).filter(|part| !part.is_empty()).enumerate() {
            match STANDARD.decode(part).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
                Some(bytes) => keys.push(SessionKey(bytes)),
                None => self.fault(
                    "SESSION_KEYS",
                    format!("an entry number {} that is something else", index + 1),
                    EXPECTED,
                ),
            }
        }
        if keys.is_empty() && !self.faults.iter().any(|fault| fault.name == "SESSION_KEYS") {
            self.fault("SESSION_KEYS", "no key", EXPECTED);
        }
        keys
    }

    /// The key of `local.settings.example.json` is known to everybody: good for a try on this machine only.
    pub(super) fn refuse_example_key(&mut self, keys: &[SessionKey], public_base_url: Option<&Url>) {
        let local = public_base_url.is_none_or(|url| url.scheme() == "http");
        if !local && keys.iter().any(|key| key.bytes() == &[0; 32]) {
            self.fault("SESSION_KEYS", "the key of the example", "a key of your own: openssl rand -base64 32");
        }
    }

    pub(super) fn requests_in_flight(&mut self) -> usize {
        let Some(text) = self.text("AZURE_REQUESTS_IN_FLIGHT") else { return crate::azure::IN_FLIGHT };
        match text.parse() {
            Ok(most @ 1..=1000) => most,
            _ => {
                self.fault("AZURE_REQUESTS_IN_FLIGHT", shown(&text), "a number from 1 to 1000, such as 64");
                crate::azure::IN_FLIGHT
            }
        }
    }

    pub(super) fn poll_schedule(&mut self) -> String {
        let schedule = self.text("POLL_SCHEDULE").unwrap_or_else(|| "0 * * * * *".to_owned());
        if crate::functions::parse_schedule(&schedule).is_err() {
            let expected = "an NCRONTAB expression of six fields, such as 0 * * * * * for each minute";
            self.fault("POLL_SCHEDULE", shown(&schedule), expected);
        }
        schedule
    }

    /// The address is a secret: a wrong one is not repeated.
    pub(super) fn dead_man_url(&mut self) -> Option<SecretString> {
        const NAME: &str = "DEAD_MAN_URL";
        let text = self.text(NAME)?;
        if !text.parse::<Url>().is_ok_and(|url| is_secure_or_loopback(&url)) {
            self.fault(
                NAME,
                "something else",
                "the https address of a dead-man switch, such as one of healthchecks.io",
            );
            return None;
        }
        Some(text.into())
    }

    pub(super) fn api_keys(&mut self, door: Door) -> Vec<ApiKey> {
        const EXPECTED: &str = "name:sha256hex, several separated by commas; the hash from: printf %s KEY | sha256sum";
        let Some(text) = self.text("PARTNER_API_KEYS") else {
            // The Functions host checks its own keys; standalone without keys serves loopback only.
            if door == Door::Lambda {
                self.fault("PARTNER_API_KEYS", "nothing", EXPECTED);
            }
            return Vec::new();
        };
        if text.split(',').all(|part| part.trim().is_empty()) {
            self.fault("PARTNER_API_KEYS", "no key", EXPECTED);
        }
        let mut keys = Vec::new();
        for (index, part) in text.split(',').map(str::trim).filter(|part| !part.is_empty()).enumerate() {
            let key = part.split_once(':').filter(|(name, hash)| {
                !name.is_empty() && hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit())
            });
            match key {
                Some((name, hash)) => {
                    keys.push(ApiKey { name: name.to_owned(), sha256: hash.to_ascii_lowercase() });
                }
                None => {
                    self.fault(
                        "PARTNER_API_KEYS",
                        format!("an entry number {} that is something else", index + 1),
                        EXPECTED,
                    );
                }
            }
        }
        keys
    }

    pub(super) fn onboarding(&mut self) -> Option<Onboarding> {
        match self.text("ONBOARDING").as_deref() {
            None | Some("invite") => Some(Onboarding::Invite),
            Some("open") => Some(Onboarding::Open),
            Some(other) => {
                let found = shown(other);
                self.fault("ONBOARDING", found, "invite or open");
                None
            }
        }
    }
}

/// True for https, and for http on a loopback host.
pub(super) fn is_secure_or_loopback(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        _ => false,
    }
}

/// True for an address of scheme, host and path only.
pub(super) fn is_plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

/// What was found, for a message: not when it is long, or has what only addresses with secrets have.
pub(super) fn shown(text: &str) -> String {
    if text.chars().count() <= 80 && !text.contains(['?', '@']) && !text.contains("Key=") {
        return format!("{text:?}");
    }
    format!("something else of {} characters", text.chars().count())
}

fn is_account_name(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

/// Reads a connection string of an Azure storage account
/// (<https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>), or says what is wrong with
/// it without repeating any of it.
fn connection_string(text: &str) -> Result<StorageAccount, &'static str> {
    let part = |wanted: &str| {
        text.split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim();
            (name.trim().eq_ignore_ascii_case(wanted) && !value.is_empty()).then(|| value.to_owned())
        })
    };
    if part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(StorageAccount::Development);
    }
    let (account, key) = match (part("AccountName"), part("AccountKey")) {
        (Some(account), Some(key)) => (account, key),
        (None, None) => return Err("neither AccountName nor AccountKey"),
        (None, _) => return Err("no AccountName"),
        (_, None) => return Err("no AccountKey"),
    };
    if !is_account_name(&account) {
        return Err("an AccountName that is not 3 to 24 lower-case letters and digits");
    }
    if STANDARD.decode(&key).is_err() {
        return Err("an AccountKey that is not base64");
    }
    let endpoint = match (part("BlobEndpoint"), part("EndpointSuffix")) {
        (Some(endpoint), _) => Some(endpoint),
        (None, Some(suffix)) => Some(format!("https://{account}.blob.{suffix}")),
        (None, None) => None,
    };
    let endpoint = match endpoint.map(|text| text.parse::<Url>()) {
        None => None,
        Some(Ok(url)) if is_plain(&url) && is_secure_or_loopback(&url) => Some(url),
        Some(_) => return Err("a BlobEndpoint that is neither https nor http on a loopback host"),
    };
    Ok(StorageAccount::Key { account, key: key.into(), endpoint })
}
