//! How our application proves to Entra who it is: exactly one way is set.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use secrecy::SecretString;
use url::Url;

use super::read::Reader;
use crate::azure::{Certificate, CertificateFault, NamedKey, SigningAlgorithm};
use crate::model::Timestamp;

/// How our application proves who it is ("Identity, consent and onboarding contract", 1.4).
#[derive(Debug, Clone)]
pub enum Credential {
    /// A client secret (`AZURE_CLIENT_SECRET`).
    ClientSecret {
        /// Its value.
        secret: SecretString,
        /// Its end, where somebody told us (`AZURE_CLIENT_SECRET_EXPIRES`): a secret itself does not say.
        expires_at: Option<Timestamp>,
    },
    /// A certificate (`AZURE_CLIENT_CERTIFICATE_PATH`).
    Certificate(Arc<Certificate>),
    /// A private key whose certificate is registered under a thumbprint (only in a `parameters.json` of the samples).
    NamedKey(Arc<NamedKey>),
    /// A user-assigned managed identity of the Functions app, as federated credential (`MANAGED_IDENTITY_CLIENT_ID`).
    ManagedIdentity {
        /// The identity's client id.
        client_id: String,
        /// Where the platform gives out its tokens (`IDENTITY_ENDPOINT`).
        endpoint: Url,
        /// What proves to it that we are this app (`IDENTITY_HEADER`).
        header: SecretString,
    },
    /// A file with a token of another issuer, kept fresh by somebody else (`AZURE_FEDERATED_TOKEN_FILE`).
    TokenFile(PathBuf),
}

/// When a credential ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// At this moment.
    At(Timestamp),
    /// It does, but we cannot know when.
    Unknown,
    /// It does not: it is renewed without us.
    Renewed,
}

impl Credential {
    /// When it ends.
    pub fn expiry(&self) -> Expiry {
        match self {
            Self::ClientSecret { expires_at, .. } => expires_at.map_or(Expiry::Unknown, Expiry::At),
            Self::Certificate(certificate) => Expiry::At(certificate.not_after()),
            Self::NamedKey(_) => Expiry::Unknown,
            Self::ManagedIdentity { .. } | Self::TokenFile(_) => Expiry::Renewed,
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecret { .. } => f.write_str("client secret"),
            Self::Certificate(certificate) => write!(f, "certificate {}", certificate.thumbprint()),
            Self::NamedKey(key) => write!(f, "certificate {} (key only)", key.thumbprint()),
            Self::ManagedIdentity { client_id, .. } => write!(f, "managed identity {client_id}"),
            Self::TokenFile(path) => write!(f, "federated token file {}", path.display()),
        }
    }
}

const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const IDENTITY: &str = "MANAGED_IDENTITY_CLIENT_ID";
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const KINDS: [&str; 4] = [SECRET, CERTIFICATE, IDENTITY, TOKEN_FILE];

/// Settings that mean something beside one kind of credential only.
const BESIDE: [(&str, &str); 3] = [
    ("AZURE_CLIENT_SECRET_EXPIRES", SECRET),
    ("AZURE_CLIENT_CERTIFICATE_PASSWORD", CERTIFICATE),
    ("AZURE_CLIENT_CERTIFICATE_ALGORITHM", CERTIFICATE),
];

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn credential(&mut self) -> Option<Credential> {
        let set: Vec<_> = KINDS.into_iter().filter(|name| self.text(name).is_some()).collect();
        let kind = match set.as_slice() {
            [kind] => *kind,
            [] => {
                let expected = format!(
                    "the value (not the id) of a client secret of the application, or another credential: {}",
                    KINDS[1..].join(", ")
                );
                self.fault(SECRET, "nothing", expected);
                return None;
            }
            several => {
                self.fault(several[0], format!("{} at once", several.join(" and ")), "exactly one credential");
                return None;
            }
        };
        for (name, of) in BESIDE {
            if of != kind && self.text(name).is_some() {
                self.fault(name, format!("a value beside {kind}"), format!("nothing, or {of} as the credential"));
            }
        }
        match kind {
            SECRET => {
                let secret = self.text(SECRET)?;
                if secret.starts_with("@Microsoft.KeyVault(") {
                    let expected = "its value: let the app's identity read the vault (Key Vault Secrets User)";
                    self.fault(SECRET, "a Key Vault reference that Azure could not resolve", expected);
                    return None;
                }
                let secret = secret.into();
                Some(Credential::ClientSecret { secret, expires_at: self.secret_expiry() })
            }
            CERTIFICATE => self.certificate(),
            IDENTITY => self.identity_endpoint(),
            _ => self.text(TOKEN_FILE).map(|path| Credential::TokenFile(path.into())),
        }
    }

    fn secret_expiry(&mut self) -> Option<Timestamp> {
        const NAME: &str = "AZURE_CLIENT_SECRET_EXPIRES";
        let text = self.text(NAME)?;
        let day =
            || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        let moment = text.parse().ok().or_else(day);
        if moment.is_none() {
            // The neighbour of a secret: what is no date may be the secret in the wrong place.
            let found = format!("{} characters that are no date", text.chars().count());
            self.fault(NAME, found, "a date such as 2027-05-31 or 2027-05-31T12:00:00Z");
        }
        moment
    }

    fn certificate(&mut self) -> Option<Credential> {
        const EXPECTED: &str = "a PEM file with certificate and RSA private key, or a PKCS#12 file (.pfx, .p12)";
        let path = self.text(CERTIFICATE)?;
        let algorithm = self.signing_algorithm();
        let password = self.text("AZURE_CLIENT_CERTIFICATE_PASSWORD").unwrap_or_default();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(CERTIFICATE, format!("a file that cannot be read: {}", error.kind()), EXPECTED);
                return None;
            }
        };
        match Certificate::read(&bytes, &password, algorithm?) {
            Ok(certificate) => Some(Credential::Certificate(Arc::new(certificate))),
            Err(fault @ CertificateFault::Password) => {
                self.fault("AZURE_CLIENT_CERTIFICATE_PASSWORD", fault.to_string(), "the password of the file");
                None
            }
            Err(fault @ CertificateFault::EncryptedKey) => {
                let expected = "a PKCS#12 file instead: openssl pkcs12 -export -in FILE -out app.pfx";
                self.fault(CERTIFICATE, fault.to_string(), expected);
                None
            }
            Err(fault) => {
                self.fault(CERTIFICATE, fault.to_string(), EXPECTED);
                None
            }
        }
    }

    fn signing_algorithm(&mut self) -> Option<SigningAlgorithm> {
        const NAME: &str = "AZURE_CLIENT_CERTIFICATE_ALGORITHM";
        match self.text(NAME).as_deref() {
            None | Some("PS256") => Some(SigningAlgorithm::Ps256),
            Some("RS256") => Some(SigningAlgorithm::Rs256),
            Some(_) => {
                self.fault(NAME, "something else", "PS256 (default) or RS256");
                None
            }
        }
    }

    /// The platform sets both variables in an app that has an identity; they are nowhere else.
    fn identity_endpoint(&mut self) -> Option<Credential> {
        const EXPECTED: &str =
            "what Azure sets in a Functions app with a managed identity; elsewhere: another credential";
        let client_id = self.text(IDENTITY).filter(|id| id.parse::<uuid::Uuid>().is_ok());
        if client_id.is_none() {
            self.fault(IDENTITY, "something that is no GUID", "the client id of a user-assigned managed identity");
        }
        let endpoint = self.text("IDENTITY_ENDPOINT").and_then(|text| text.parse::<Url>().ok());
        let endpoint = endpoint.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if endpoint.is_none() {
            self.fault("IDENTITY_ENDPOINT", "no address", EXPECTED);
        }
        let header = self.text("IDENTITY_HEADER");
        if header.is_none() {
            self.fault("IDENTITY_HEADER", "nothing", EXPECTED);
        }
        Some(Credential::ManagedIdentity { client_id: client_id?, endpoint: endpoint?, header: header?.into() })
    }
}
