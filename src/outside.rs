//! What comes from outside: time, randomness, the one HTTP client, the document store. The only room that touches the real ones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::model::Timestamp;
use crate::store::Backend;

/// Tells the time and waits. Tests hold their own, where waiting moves the time on at once.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

    /// Ends when this much time has passed.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Gives random bytes, fit for secrets. Tests hold their own.
pub trait Random: Send + Sync + fmt::Debug {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The outside world as one value, handed to [`App::new`](crate::app::App::new).
#[derive(Debug, Clone)]
pub struct Outside {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The one HTTP client towards Azure.
    pub http: reqwest::Client,
    /// Where documents live.
    pub backend: Arc<dyn Backend>,
}

impl Outside {
    /// The real world around a store.
    ///
    /// # Errors
    /// [`NoTls`].
    pub fn real(backend: Arc<dyn Backend>) -> Result<Self, NoTls> {
        Ok(Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), http: http_client()?, backend })
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The system's cryptographic random generator.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        aws_lc_rs::rand::fill(buffer).expect("the system's random generator answers; without it nothing here is safe");
    }
}

/// Nobody can be trusted: without CA certificates there is no HTTPS. An image with nothing in it has none.
#[derive(Debug, thiserror::Error)]
#[error(
    "TLS cannot start; it takes the CA certificates of the system (package ca-certificates) or the PEM file that SSL_CERT_FILE names"
)]
pub struct NoTls(#[source] pub reqwest::Error);

/// Idle connections kept to one host: as many as calls are in flight by default. Each may keep 400 KB that it once read into.
const IDLE_CONNECTIONS: usize = 64;

/// The client for every call to Azure: no redirects, since a redirect would carry a token to another host.
///
/// # Errors
/// [`NoTls`].
#[expect(clippy::disallowed_methods, reason = "the one place that makes an HTTP client")]
pub fn http_client() -> Result<reqwest::Client, NoTls> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        // Per request; "health-apis" section 5 advises 60 s for reads.
        .timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .user_agent(concat!("azure-health-partner-monitor/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(NoTls)
}

/// A client for destinations that people configured: names are resolved by `resolver`, which knows where it must not go; no
/// redirects, no proxy of the environment, nothing unpacked.
///
/// # Errors
/// When the TLS backend cannot start.
#[expect(clippy::disallowed_methods, reason = "the one place that makes an HTTP client")]
pub fn destination_client(
    resolver: Arc<impl reqwest::dns::Resolve + 'static>,
) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .no_gzip()
        .referer(false)
        .dns_resolver(resolver)
        .connect_timeout(Duration::from_secs(5))
        .user_agent(concat!("azure-health-partner-monitor/", env!("CARGO_PKG_VERSION")))
        .build()
}
