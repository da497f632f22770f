//! The dead-man switch: an address outside that is called while the monitor works, and tells people when it is called no more
//! (as healthchecks.io and its like do).

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

/// The next run calls again: nobody waits long for this one.
const PATIENCE: Duration = Duration::from_secs(10);

/// An address to call while all is well. The address is a secret: whoever knows it can keep the switch quiet.
#[derive(Debug, Clone)]
pub struct DeadMan {
    http: reqwest::Client,
    url: SecretString,
}

impl DeadMan {
    /// A switch at this address.
    pub fn new(http: reqwest::Client, url: SecretString) -> Self {
        Self { http, url }
    }

    /// Says that the monitor works. A call that fails is logged, and is nobody's trouble: calls that stop are the point.
    pub async fn alive(&self) {
        let sent = self.http.get(self.url.expose_secret()).timeout(PATIENCE).send().await;
        match sent.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {}
            Err(error) => {
                let error = error.without_url();
                tracing::warn!(error = &error as &dyn std::error::Error, "the dead-man switch could not be called");
            }
        }
    }
}
