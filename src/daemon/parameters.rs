//! `parameters.json` of Microsoft's daemon samples, in its three dialects ("Graph, Azure Monitor, notification and portal-API
//! contract", section 1): with `tenant_id` and `client_secret`; with `authority` and `secret`; with `authority`, `thumbprint` and
//! `private_key_file`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::sample_file::{is_placeholder, object};
use crate::azure::{CertificateFault, Cloud, NamedKey};
use crate::model::{ClientId, TenantId};
use crate::settings::{Credential, Fault, Faults};

/// The login hosts of each cloud, with their other names.
const LOGIN_HOSTS: [(&str, &str); 8] = [
    ("login.microsoftonline.com", "AzurePublic"),
    ("login.windows.net", "AzurePublic"),
    ("login.microsoft.com", "AzurePublic"),
    ("sts.windows.net", "AzurePublic"),
    ("login.microsoftonline.us", "AzureUSGovernment"),
    ("login.usgovcloudapi.net", "AzureUSGovernment"),
    ("login.partner.microsoftonline.cn", "AzureChina"),
    ("login.chinacloudapi.cn", "AzureChina"),
];

const GRAPH_HOSTS: [(&str, &str); 3] = [
    ("graph.microsoft.com", "AzurePublic"),
    ("graph.microsoft.us", "AzureUSGovernment"),
    ("microsoftgraph.chinacloudapi.cn", "AzureChina"),
];

/// Which sample a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `tenant_id` and `client_secret`.
    TenantAndSecret,
    /// `authority` and `secret`.
    AuthorityAndSecret,
    /// `authority`, `thumbprint` and `private_key_file`.
    AuthorityAndCertificate,
}

/// The tenant as a file names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantName {
    /// By its id.
    Id(TenantId),
    /// By one of its domains.
    Domain(String),
}

/// What a file says.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// Which sample it is of.
    pub dialect: Dialect,
    /// The tenant.
    pub tenant: TenantName,
    /// The application.
    pub client_id: ClientId,
    /// Its credential.
    pub credential: Credential,
    /// Whose mailbox the sample writes from and to.
    pub sample_user: Option<String>,
    /// What `endpoint` asks beside the users themselves, such as `$select`.
    pub query: Vec<(String, String)>,
    /// The cloud that an address in the file is of.
    cloud: Option<&'static str>,
    authority_host: Option<Url>,
    graph: Option<Url>,
}

impl Parameters {
    /// Reads a file's text. `read` gives the key's file.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn parse(text: &str, path: &Path, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Result<Self, Faults> {
        let file = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into());
        let values = object(text, &file)?;
        let mut reader = Reader { file, values, faults: Vec::new() };
        if let Some(fault) = reader.other_file() {
            return Err(Faults(vec![fault]));
        }
        let (tenant, authority) = reader.tenant();
        let client_id = reader.client_id();
        let (dialect, credential) = reader.credential(path, read);
        reader.scope();
        let (graph, query) = reader.endpoint();
        // A placeholder here matters only to who sends mail.
        let sample_user = reader.text("sample_user").filter(|user| !is_placeholder(user));
        let clouds = [authority.as_ref().and_then(|one| one.1), graph.as_ref().and_then(|one| one.1)];
        if let [Some(one), Some(other)] = clouds
            && one != other
        {
            reader.fault("endpoint", format!("Graph of {other} beside an authority of {one}"), "both of one cloud");
        }
        match (tenant, client_id, credential) {
            (Some(tenant), Some(client_id), Some(credential)) if reader.faults.is_empty() => Ok(Self {
                dialect,
                tenant,
                client_id,
                credential,
                sample_user,
                query,
                cloud: clouds.into_iter().flatten().next(),
                authority_host: authority.map(|one| one.0),
                graph: graph.map(|one| one.0),
            }),
            _ => Err(Faults(reader.faults)),
        }
    }

    /// Where Azure is: as the file says, else as it is set.
    pub fn cloud(&self, set: Cloud) -> Cloud {
        let mut cloud = match self.cloud.filter(|name| *name != set.name).and_then(Cloud::named) {
            Some(cloud) => cloud,
            None => set,
        };
        if let Some(host) = &self.authority_host {
            cloud.authority_host = host.clone();
        }
        if let Some(graph) = &self.graph {
            cloud.graph = graph.clone();
        }
        cloud
    }
}

struct Reader {
    file: String,
    values: Map<String, Value>,
    faults: Vec<Fault>,
}

/// An address, and the cloud it is of where that is known.
type Place = (Url, Option<&'static str>);

impl Reader {
    fn named(&self, key: &str) -> String {
        format!("{}: {key}", self.file)
    }

    fn fault(&mut self, key: &str, found: impl Into<String>, expected: impl Into<String>) {
        let fault = Fault { name: self.named(key), found: found.into(), expected: expected.into() };
        self.faults.push(fault);
    }

    /// The text of a key. `null` and empty texts count as missing, as in the samples.
    fn text(&self, key: &str) -> Option<String> {
        self.values.get(key)?.as_str().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A text that must be a real value.
    fn value(&mut self, key: &str, expected: &str) -> Option<String> {
        if self.values.get(key).is_some_and(|value| !value.is_null() && !value.is_string()) {
            self.fault(key, "something that is no text", expected);
            return None;
        }
        match self.text(key) {
            None => {
                self.fault(key, "nothing", expected);
                None
            }
            Some(text) if is_placeholder(&text) => {
                self.fault(key, "the sample's placeholder", expected);
                None
            }
            text => text,
        }
    }

    /// A file of something else, by what is in it.
    fn other_file(&self) -> Option<Fault> {
        let has = |key: &str| self.values.contains_key(key);
        let (found, expected) = if has("$schema") || has("parameters") {
            ("parameters of a Resource Manager template", "the parameters.json of the daemon sample")
        } else if has("appId") && has("password") {
            (
                "what `az ad sp create-for-rbac` printed",
                "`register accept` takes this; or tenant_id, client_id, client_secret",
            )
        } else if has("clientId") && has("clientSecret") {
            ("an authentication file of an Azure SDK", "tenant_id, client_id and client_secret, so named")
        } else if has("dependencies") || has("compilerOptions") {
            ("a file of another program", "the parameters.json of the daemon sample")
        } else if !["tenant_id", "authority", "oidc_authority", "client_id", "client_secret", "secret"]
            .into_iter()
            .any(has)
        {
            ("none of the sample's names", "tenant_id or authority, client_id, and client_secret, secret or thumbprint")
        } else {
            return None;
        };
        Some(Fault { name: self.file.clone(), found: found.to_owned(), expected: expected.to_owned() })
    }

    fn tenant(&mut self) -> (Option<TenantName>, Option<Place>) {
        const ID: &str = "the Directory (tenant) ID on the application's Overview page";
        let given: Vec<_> = ["tenant_id", "authority", "oidc_authority"]
            .into_iter()
            .filter(|key| self.values.get(*key).is_some_and(|value| !value.is_null() && value != ""))
            .collect();
        match given.as_slice() {
            ["tenant_id"] => {
                let Some(text) = self.value("tenant_id", ID) else { return (None, None) };
                (self.tenant_name("tenant_id", &text, ID), None)
            }
            [key @ ("authority" | "oidc_authority")] => self.authority(key),
            // A file of both samples: they must not disagree.
            ["tenant_id", key @ "authority"] => {
                let (tenant, place) = self.authority(key);
                let text = self.value("tenant_id", ID);
                let own = text.and_then(|text| self.tenant_name("tenant_id", &text, ID));
                if own.is_some() && tenant.is_some() && own != tenant {
                    self.fault("authority", "another tenant than tenant_id", "one of the two, or both the same");
                }
                (tenant, place)
            }
            [] => {
                self.fault("tenant_id", "nothing, and no authority", ID);
                (None, None)
            }
            several => {
                let found = format!("{} at once", several.join(" and "));
                self.fault(several[0], found, "exactly one of them, the others null");
                (None, None)
            }
        }
    }

    fn tenant_name(&mut self, key: &str, text: &str, expected: &str) -> Option<TenantName> {
        if let Ok(id) = text.parse() {
            return Some(TenantName::Id(id));
        }
        if ["common", "organizations", "consumers"].contains(&text.to_lowercase().as_str()) {
            let why = "the id or a domain of one tenant: an application's own token is of one";
            self.fault(key, format!("{text:?}"), why);
            return None;
        }
        let label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if text.contains('.') && text.split('.').all(label) {
            return Some(TenantName::Domain(text.to_lowercase()));
        }
        self.fault(key, format!("{} characters that are no tenant", text.chars().count()), expected);
        None
    }

    /// `https://login.microsoftonline.com/{tenant}`, or a domain of one's own with `/v2.0` at its end.
    fn authority(&mut self, key: &str) -> (Option<TenantName>, Option<Place>) {
        const EXPECTED: &str = "https://login.microsoftonline.com/{tenant}, with your tenant's id or domain";
        let Some(text) = self.value(key, EXPECTED) else { return (None, None) };
        let url = text.parse::<Url>().ok().filter(|url| url.query().is_none() && url.username().is_empty());
        let Some(mut url) = url.filter(is_secure_or_loopback) else {
            self.fault(key, "no https address", EXPECTED);
            return (None, None);
        };
        let path = url.path().trim_end_matches('/');
        let tenant = path.strip_suffix("/v2.0").unwrap_or(path).trim_matches('/').to_owned();
        url.set_path("/");
        if tenant.is_empty() || tenant.contains('/') {
            self.fault(key, "an address without a tenant", EXPECTED);
            return (None, None);
        }
        let cloud = LOGIN_HOSTS.iter().find(|(host, _)| url.host_str() == Some(*host)).map(|(_, cloud)| *cloud);
        if cloud.is_none() && key == "authority" && !is_loopback(&url) {
            let found = format!("the host {}", url.host_str().unwrap_or_default());
            self.fault(key, found, format!("{EXPECTED}; a domain of your own is an oidc_authority"));
            return (None, None);
        }
        // The cloud's other names lead to the same place as its own.
        let own = cloud.and_then(Cloud::named).map(|cloud| cloud.authority_host);
        (self.tenant_name(key, &tenant, EXPECTED), Some((own.unwrap_or(url), cloud)))
    }

    fn client_id(&mut self) -> Option<ClientId> {
        const EXPECTED: &str = "the Application (client) ID on the application's Overview page";
        let text = self.value("client_id", EXPECTED)?;
        let id = text.parse().ok();
        if id.is_none() {
            let found = format!("{} characters that are no GUID", text.chars().count());
            self.fault("client_id", found, EXPECTED);
        }
        id
    }

    fn credential(
        &mut self,
        path: &Path,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> (Dialect, Option<Credential>) {
        let has = |key: &str| self.values.get(key).is_some_and(|value| !value.is_null() && value != "");
        let certificate = has("thumbprint") || has("private_key_file");
        let secrets: Vec<_> = ["client_secret", "secret"].into_iter().filter(|key| has(key)).collect();
        match (secrets.as_slice(), certificate) {
            ([], true) => (Dialect::AuthorityAndCertificate, self.named_key(path, read)),
            ([key], false) => {
                let dialect = if *key == "secret" { Dialect::AuthorityAndSecret } else { Dialect::TenantAndSecret };
                (dialect, self.secret(key))
            }
            ([], false) => {
                let expected = "the value of a client secret, or thumbprint and private_key_file";
                self.fault("client_secret", "nothing", expected);
                (Dialect::TenantAndSecret, None)
            }
            (several, _) => {
                let mut names = several.to_vec();
                names.extend(certificate.then_some("thumbprint"));
                self.fault(names[0], format!("{} at once", names.join(" and ")), "exactly one credential");
                (Dialect::TenantAndSecret, None)
            }
        }
    }

    fn secret(&mut self, key: &str) -> Option<Credential> {
        const EXPECTED: &str = "the Value of a client secret, which the portal shows once when it is made";
        let text = self.value(key, EXPECTED)?;
        if text.parse::<uuid::Uuid>().is_ok() {
            self.fault(key, "a GUID, which is a secret's id", EXPECTED);
            return None;
        }
        Some(Credential::ClientSecret { secret: text.into(), expires_at: None })
    }

    fn named_key(&mut self, path: &Path, read: impl Fn(&Path) -> io::Result<Vec<u8>>) -> Option<Credential> {
        const THUMBPRINT: &str =
            "the thumbprint that the portal shows for the uploaded certificate: 40 hex digits, or 64 of SHA-256";
        const KEY: &str =
            "the path of the private key, PEM (server.pem); the certificate (server.crt) is what is uploaded";
        let thumbprint = self.value("thumbprint", THUMBPRINT);
        let name = self.value("private_key_file", KEY);
        let (thumbprint, name) = (thumbprint?, PathBuf::from(name?));
        // The samples read it from where they run; beside the file is where it usually is.
        let beside = path.parent().map(|folder| folder.join(&name));
        let bytes = read(&name).or_else(|error| beside.map_or(Err(error), |beside| read(&beside)));
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                let found = format!("a file that cannot be read here or beside {}: {}", self.file, error.kind());
                self.fault("private_key_file", found, KEY);
                return None;
            }
        };
        match NamedKey::read(&bytes, &thumbprint) {
            Ok(key) => Some(Credential::NamedKey(Arc::new(key))),
            Err(fault @ (CertificateFault::Thumbprint | CertificateFault::OtherThumbprint)) => {
                self.fault("thumbprint", fault.to_string(), THUMBPRINT);
                None
            }
            Err(fault @ CertificateFault::EncryptedKey) => {
                let expected = "a key without a passphrase (openssl pkey -in FILE -out PLAIN), or a PKCS#12 file in our \
                     settings (AZURE_CLIENT_CERTIFICATE_PATH)";
                self.fault("private_key_file", fault.to_string(), expected);
                None
            }
            Err(fault) => {
                self.fault("private_key_file", fault.to_string(), KEY);
                None
            }
        }
    }

    /// A text or a list of one: what the samples ask for is all that was consented to.
    fn scope(&mut self) {
        const EXPECTED: &str =
            "[\"https://graph.microsoft.com/.default\"]: an application asks for all that was consented to";
        let scopes: Vec<String> = match self.values.get("scope") {
            None | Some(Value::Null) => return,
            Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
                all.iter().filter_map(|one| one.as_str().map(|text| text.trim().to_owned())).collect()
            }
            Some(_) => {
                self.fault("scope", "neither a text nor a list of texts", EXPECTED);
                return;
            }
        };
        match scopes.as_slice() {
            [one] if is_placeholder(one) => self.fault("scope", "the sample's placeholder", EXPECTED),
            [one] if one.starts_with("https://") && one.ends_with("/.default") => {}
            [one] => {
                let shown: String = one.chars().take(80).collect();
                self.fault("scope", format!("{shown:?}"), EXPECTED);
            }
            several => self.fault("scope", format!("{} scopes", several.len()), EXPECTED),
        }
    }

    /// `https://graph.microsoft.com/v1.0/users`, with what it asks for.
    fn endpoint(&mut self) -> (Option<Place>, Vec<(String, String)>) {
        const EXPECTED: &str =
            "https://graph.microsoft.com/v1.0/users; a proxy before Graph is set with MICROSOFT_GRAPH_URL";
        if self.values.get("endpoint").is_none_or(Value::is_null) {
            return (None, Vec::new());
        }
        let Some(text) = self.value("endpoint", EXPECTED) else { return (None, Vec::new()) };
        let Some(mut url) = text.parse::<Url>().ok().filter(is_secure_or_loopback) else {
            self.fault("endpoint", "no https address", EXPECTED);
            return (None, Vec::new());
        };
        let cloud = GRAPH_HOSTS.iter().find(|(host, _)| url.host_str() == Some(*host)).map(|(_, cloud)| *cloud);
        // Our token for Graph goes nowhere else because of a file.
        if cloud.is_none() && !is_loopback(&url) {
            self.fault("endpoint", format!("the host {}", url.host_str().unwrap_or_default()), EXPECTED);
            return (None, Vec::new());
        }
        if url.path().trim_end_matches('/') != "/v1.0/users" {
            self.fault("endpoint", "another path than /v1.0/users", EXPECTED);
            return (None, Vec::new());
        }
        let query = url.query_pairs().into_owned().collect();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path("/");
        (Some((url, cloud)), query)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_secure_or_loopback(url: &Url) -> bool {
    (url.scheme() == "https" && url.has_host()) || (url.scheme() == "http" && is_loopback(url))
}

#[cfg(test)]
#[path = "parameters_tests.rs"]
mod tests;
