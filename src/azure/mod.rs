//! All that is said to Azure: where it is, how a token is had, how a call is made, what the answers look like.

mod activity_log;
mod assertion;
mod authority;
mod availability;
mod backoff;
mod call_span;
mod certificate;
mod checks;
mod cloud;
mod convert;
mod der;
mod emerging;
mod error;
#[cfg(test)]
mod examples;
mod graph;
mod groups;
mod impacted;
mod lighthouse;
mod listing;
mod logs;
mod mail;
mod metrics;
mod named_key;
mod oidc;
mod operator;
mod pace;
mod pkcs12;
mod principal;
pub mod reading;
mod request;
mod resource_graph;
mod resource_health;
mod resource_path;
mod roles;
mod seen;
mod service;
mod subscriptions;
mod texts;
mod time;
mod timespan;
mod token;
mod token_cache;
mod token_facts;
mod wire;

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

pub use authority::{Authority, Reach};
pub(crate) use authority::{Prompt, SignIn};
pub use certificate::{Certificate, CertificateFault, PublicCertificate, SigningAlgorithm};
pub use checks::Answered;
pub use cloud::{Cloud, Service};
pub use emerging::EmergingReading;
pub use error::{EntraRefusal, Error, Refusal};
pub use graph::{LARGEST_PAGE, UserQuery, Users};
pub use logs::{LogAnswer, LogColumn, LogError, LogQuery, LogSource, LogTable, LogWay};
pub use mail::{Accepted, Attachment, Mail, MailBody, MailError};
pub use metrics::{
    InvalidRegion, Metric, MetricData, MetricDocument, MetricTarget, MetricsError, Published, Region, Series, WINDOW,
    minute,
};
pub use named_key::NamedKey;
pub(crate) use oidc::Domain;
pub use oidc::IdTokenFault;
pub(crate) use oidc::Person;
pub use operator::{Operator, Registered};
pub use principal::PrincipalFault;
pub use resource_path::{InvalidResourcePath, ResourcePath};
pub(crate) use roles::{Assigned, FoundAssignment, READER, ReaderGrant, SECURITY_READER, role_name};
pub use timespan::{InvalidTimespan, Timespan};
pub use token_facts::TokenFacts;

pub use subscriptions::SubscriptionState;
pub(crate) use subscriptions::{SeenSubscription, SeenTenant};

/// The one HTTP client, by a name of ours: other rooms hand it on and never send with it.
pub use reqwest::Client as HttpClient;

use crate::model::Timestamp;
use crate::outside::{Clock, Random};
use crate::settings::Identity;

/// Requests to Resource Manager in flight at once ("Azure health data APIs", section 4).
pub const IN_FLIGHT: usize = 64;

/// The client for one cloud, with our application's identity. A clone shares what is kept of tokens and keys.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) cloud: Cloud,
    pub(crate) identity: Identity,
    pub(crate) http: reqwest::Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tokens: Arc<token_cache::Cache>,
    pub(crate) identity_token: Arc<assertion::IdentityToken>,
    pub(crate) keys: Arc<oidc::KeyCache>,
    /// Requests to Resource Manager that may be in flight at once, over all customers.
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) cleaned: Arc<texts::Cleaned>,
    pub(crate) seen: Arc<seen::Seen>,
    pub(crate) pacer: Arc<pace::Pacer>,
    /// What one poll spends. None: nobody counts.
    pub(crate) meter: Option<Arc<pace::Meter>>,
    pub(crate) mailboxes: Arc<mail::Mailboxes>,
    pub(crate) log_ways: Arc<logs::LogWays>,
    pub(crate) metrics_audience: Arc<metrics::AudienceSpelling>,
}

/// An access token and when it ends.
#[derive(Debug, Clone)]
pub struct AccessToken {
    pub(crate) secret: SecretString,
    pub(crate) expires_at: Timestamp,
}

impl AccessToken {
    /// A token from its text, as when it comes out of a sealed session.
    pub(crate) fn new(secret: SecretString, expires_at: Timestamp) -> Self {
        Self { secret, expires_at }
    }

    /// The text, for the sealed session only.
    pub(crate) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl Client {
    /// A client over the one HTTP client.
    pub fn new(
        cloud: Cloud,
        identity: Identity,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            cloud,
            identity,
            http,
            clock,
            random,
            tokens: Arc::default(),
            identity_token: Arc::default(),
            keys: Arc::default(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT)),
            cleaned: Arc::default(),
            seen: Arc::default(),
            pacer: Arc::default(),
            meter: None,
            mailboxes: Arc::default(),
            log_ways: Arc::default(),
            metrics_audience: Arc::default(),
        }
    }

    /// The same client with another number of requests in flight at once, over all customers.
    #[must_use]
    pub fn with_requests_in_flight(self, most: usize) -> Self {
        Self { in_flight: Arc::new(Semaphore::new(most)), ..self }
    }
}
