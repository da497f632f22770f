//! The settings that `register` needs: those of a product that has no registration yet.

use std::path::Path;

use url::Url;

use super::read::Reader;
use super::{ADMIN_CALLBACK, CALLBACK, Credential, Faults, local_values, public_url};
use crate::azure::Cloud;
use crate::model::{ClientId, TenantId};

/// What is set before there is a registration.
#[derive(Debug, Clone)]
pub struct Unregistered {
    /// The cloud's endpoints.
    pub cloud: Cloud,
    /// What browsers see.
    pub public_base_url: Url,
    /// The partner's tenant, where it is set.
    pub tenant_id: Option<TenantId>,
    /// The application, where it is set.
    pub client_id: Option<ClientId>,
    /// The credential, where exactly one is set and can be read.
    pub credential: Option<Credential>,
}

impl Unregistered {
    /// Reads the process's environment, and below it a `local.settings.json`, if there is one.
    ///
    /// # Errors
    /// [`Faults`] of the endpoints; what a registration gives may be missing.
    #[expect(clippy::disallowed_methods, reason = "settings read the environment")]
    pub fn load(local_settings: &Path) -> Result<Self, Faults> {
        let values = local_values(local_settings)?;
        Self::from_lookup(|name| std::env::var(name).ok().or_else(|| values.get(name).cloned()))
    }

    /// Reads from any source of names and values.
    ///
    /// # Errors
    /// [`Faults`], likewise.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        let mut reader = Reader { lookup, faults: Vec::new() };
        let credential = reader.credential();
        // A credential that is missing or faulty is what `register` may be there to mend.
        reader.faults.clear();
        let (cloud, public_base_url) = (reader.cloud(), reader.public_base_url());
        let tenant_id = reader.text("AZURE_TENANT_ID").and_then(|id| id.parse().ok());
        let client_id = reader.text("AZURE_CLIENT_ID").and_then(|id| id.parse().ok());
        match (cloud, public_base_url) {
            (Some(cloud), Some(public_base_url)) if reader.faults.is_empty() => {
                Ok(Self { cloud, public_base_url, tenant_id, client_id, credential })
            }
            _ => Err(Faults(reader.faults)),
        }
    }

    /// The redirect URIs to register: of the sign-in, and of the admin consent.
    pub fn redirect_uris(&self) -> Vec<String> {
        [CALLBACK, ADMIN_CALLBACK].map(|path| public_url(&self.public_base_url, path)).into()
    }
}
