//! What channels are made with.

use std::sync::Arc;

use secrecy::SecretString;

use super::guard::{Guard, Names, SystemNames};
use crate::azure;
use crate::outside::{Clock, Random};
use crate::settings::{Door, NotifySecrets, SECRET_PREFIX, Settings};

/// What channels are made with: the way out, secrets, our own identity. A clone shares connections.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The way out to addresses that people configured.
    pub guard: Guard,
    /// Our application's identity, for destinations in Azure.
    pub azure: azure::Client,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Where notices come from: our public address, the `source` of CloudEvents.
    pub source: String,
    /// The partner's name.
    pub partner: String,
    /// True on a machine of one's own, where commands and files make sense.
    pub local: bool,
    secrets: NotifySecrets,
}

impl Wire {
    /// From what was set.
    pub fn new(settings: &Settings, azure: azure::Client, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::with_names(settings, azure, clock, random, Arc::new(SystemNames))
    }

    /// With another way to look up names.
    pub fn with_names(
        settings: &Settings,
        azure: azure::Client,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        names: Arc<dyn Names>,
    ) -> Self {
        Self {
            guard: Guard::new(settings.reach, names),
            azure,
            clock,
            random,
            source: settings.public_base_url.as_str().trim_end_matches('/').to_owned(),
            partner: settings.partner_name.clone(),
            local: settings.door == Door::Standalone,
            secrets: settings.notify_secrets.clone(),
        }
    }

    /// The secret that a setting holds.
    ///
    /// # Errors
    /// What is wrong with the setting, never its value.
    pub fn secret(&self, setting: &str) -> Result<SecretString, String> {
        use secrecy::ExposeSecret as _;
        let sound = |name: &str| name.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
        if !setting.starts_with(SECRET_PREFIX) || !sound(setting) {
            let rule = "in capitals, digits and '_'; never the secret itself";
            return Err(format!("must name a setting that begins with {SECRET_PREFIX}, {rule}"));
        }
        let Some(secret) = self.secrets.find(setting) else {
            return Err(format!("names the setting {setting}, which is not set"));
        };
        if secret.expose_secret().starts_with("@Microsoft.KeyVault(") {
            return Err(format!(
                "names the setting {setting}, whose Key Vault reference was not resolved by the platform"
            ));
        }
        Ok(secret.clone())
    }
}
