//! The settings of what needs our application's identity and nothing else of the product.

use std::path::Path;

use super::read::Reader;
use super::{Faults, Identity, local_values};
use crate::azure::{Cloud, MetricTarget};

/// The identity with which something is asked of Azure, and where.
#[derive(Debug, Clone)]
pub struct Application {
    /// Who we are.
    pub identity: Identity,
    /// Where Azure is.
    pub cloud: Cloud,
    /// What metrics are published for, where that is set.
    pub metrics: Option<MetricTarget>,
}

/// Where Azure is, and what metrics are published for, when who we are comes from elsewhere.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where Azure is.
    pub cloud: Cloud,
    /// What metrics are published for, where that is set.
    pub metrics: Option<MetricTarget>,
}

impl Application {
    /// Reads the process's environment, and below it a `local.settings.json`, if there is one.
    ///
    /// # Errors
    /// [`Faults`] of identity, credential and endpoints.
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
        let (identity, cloud, metrics) = (reader.identity(), reader.cloud(), reader.health_metrics());
        match (identity, cloud) {
            (Some(identity), Some(cloud)) if reader.faults.is_empty() => Ok(Self { identity, cloud, metrics }),
            _ => Err(Faults(reader.faults)),
        }
    }
}

impl Place {
    /// Reads the process's environment, and below it a `local.settings.json`, if there is one.
    ///
    /// # Errors
    /// [`Faults`] of endpoints.
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
        let (cloud, metrics) = (reader.cloud(), reader.health_metrics());
        match cloud {
            Some(cloud) if reader.faults.is_empty() => Ok(Self { cloud, metrics }),
            _ => Err(Faults(reader.faults)),
        }
    }
}
