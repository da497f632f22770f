//! The application's registration as Microsoft Graph shows it, with its credentials.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::world::{ClientSecret, World};
use crate::azure::PublicCertificate;
use crate::model::{ObjectId, Timestamp};

/// What a registration holds beside its secrets and redirect URIs.
#[derive(Debug, Clone)]
pub struct Registration {
    /// False: not registered (yet), or deleted.
    pub exists: bool,
    /// Object id, which Graph's addresses have.
    pub object_id: Uuid,
    /// The members that Graph shows and sets, without credentials and redirect URIs.
    pub document: Map<String, Value>,
    /// Registered certificates.
    pub certificates: Vec<PublicCertificate>,
    /// Federated credentials.
    pub federated: Vec<FederatedCredential>,
    /// How often Graph still says that it does not know a registration that was just made.
    pub replication_reads: u32,
}

/// Trust in tokens of another issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FederatedCredential {
    /// Its name.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `sub`, exactly.
    pub subject: String,
    /// `aud`, exactly.
    pub audience: String,
}

/// A user-assigned managed identity, as the platform gives it to the partner's app.
#[derive(Clone)]
pub struct ManagedIdentity {
    /// Client id.
    pub client_id: Uuid,
    /// Object (principal) id in the partner's tenant.
    pub principal_id: ObjectId,
    /// What requests must carry (`IDENTITY_HEADER`).
    pub header: String,
    /// False: the app does not have it.
    pub assigned: bool,
    /// How long its tokens live.
    pub token_life: std::time::Duration,
}

impl fmt::Debug for ManagedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedIdentity").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Registration {
    /// A registration as it should be.
    pub(super) fn right(object_id: Uuid, display_name: &str) -> Self {
        let document = json!({
            "displayName": display_name,
            "signInAudience": "AzureADMultipleOrgs",
            "web": {"implicitGrantSettings": {"enableIdTokenIssuance": false, "enableAccessTokenIssuance": false}},
            "requiredResourceAccess": [{
                "resourceAppId": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
                "resourceAccess": [{"id": "41094075-9dad-400e-a0bd-54e686782033", "type": "Scope"}],
            }],
            "api": {"requestedAccessTokenVersion": 2},
            "servicePrincipalLockConfiguration": {"isEnabled": true, "allProperties": true},
        });
        let Value::Object(document) = document else { unreachable!("an object is written above") };
        Self {
            exists: true,
            object_id,
            document,
            certificates: Vec::new(),
            federated: Vec::new(),
            replication_reads: 0,
        }
    }
}

fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl World {
    /// Takes the registration away, with its service principal and all credentials: the world before `register`.
    pub fn unregister(&mut self) {
        let home = self.application.home;
        self.withdraw_consent(home);
        self.application.secrets.clear();
        self.application.redirect_uris.clear();
        let registration = &mut self.application.registration;
        registration.exists = false;
        registration.document.clear();
        registration.certificates.clear();
        registration.federated.clear();
    }

    /// Registers a certificate (PEM or DER).
    ///
    /// # Panics
    /// When it is none.
    pub fn certificate(&mut self, bytes: &[u8]) {
        let certificate = PublicCertificate::from_file(bytes).expect("a certificate");
        self.application.registration.certificates.push(certificate);
    }

    pub(super) fn secret_key_id(&self, secret: &ClientSecret) -> Uuid {
        self.id(&format!("secret-key:{}", secret.value))
    }

    /// The registration as Graph shows it. `with_keys`: with the public keys, which only `$select` brings.
    pub(super) fn registration_document(&self, with_keys: bool) -> Value {
        let (application, registration) = (&self.application, &self.application.registration);
        let mut document = registration.document.clone();
        document.insert("id".to_owned(), registration.object_id.to_string().into());
        document.insert("appId".to_owned(), application.client_id.to_string().into());
        let web = document.entry("web").or_insert_with(|| json!({}));
        web["redirectUris"] = application.redirect_uris.clone().into();
        let passwords: Vec<_> = application
            .secrets
            .iter()
            .map(|secret| {
                json!({
                    "keyId": self.secret_key_id(secret),
                    "hint": secret.value.chars().take(3).collect::<String>(),
                    "endDateTime": secret.expires_at.map_or_else(|| "2299-12-31T00:00:00Z".to_owned(), time),
                    "secretText": null,
                })
            })
            .collect();
        document.insert("passwordCredentials".to_owned(), passwords.into());
        let keys: Vec<_> = registration
            .certificates
            .iter()
            .map(|certificate| {
                use base64::Engine as _;
                let key = base64::engine::general_purpose::STANDARD.encode(&certificate.der);
                json!({
                    "keyId": self.id(&format!("key:{}", certificate.thumbprint())),
                    "customKeyIdentifier": certificate.thumbprint(),
                    "type": "AsymmetricX509Cert",
                    "usage": "Verify",
                    "startDateTime": time(certificate.not_before),
                    "endDateTime": time(certificate.not_after),
                    "key": with_keys.then_some(key),
                })
            })
            .collect();
        document.insert("keyCredentials".to_owned(), keys.into());
        Value::Object(document)
    }
}
