//! Misbehaviour on order: throttling, server faults, broken connections, slow and malformed answers.

use std::time::Duration;

/// The hosts of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostKind {
    /// Sign-in and tokens.
    Entra,
    /// Azure Resource Manager.
    Arm,
    /// Microsoft Graph.
    Graph,
    /// The platform's endpoint for managed identities.
    Identity,
    /// The direct endpoint of Log Analytics.
    Logs,
    /// The endpoint that takes custom metrics.
    Metrics,
}

/// What happens instead of an answer, or to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// This answer. An empty body becomes the usual error body of the host.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After` in seconds.
        retry_after: Option<u64>,
        /// The body.
        body: String,
        /// Its content type.
        content_type: &'static str,
    },
    /// The connection is closed without an answer.
    Close,
    /// The connection is closed in the middle of the answer's body.
    Truncate,
    /// The answer comes after this time, by the sandbox's clock.
    Delay(Duration),
    /// Status 307 to this address, the path kept: who follows, sends the same there, token and all.
    Redirect(String),
    /// Status 200 with a body that is no JSON.
    MalformedJson,
    /// Status 200 with a page of HTML, as a proxy would give.
    Html,
}

/// A fault on order: which requests, how often, what happens.
#[derive(Debug, Clone)]
pub struct Fault {
    host: Option<HostKind>,
    method: Option<String>,
    path_contains: String,
    after: u32,
    remaining: Option<u32>,
    misbehaviour: Misbehaviour,
}

impl Fault {
    fn new(misbehaviour: Misbehaviour) -> Self {
        Self { host: None, method: None, path_contains: String::new(), after: 0, remaining: None, misbehaviour }
    }

    /// Answers with this status.
    pub fn status(status: u16) -> Self {
        let content_type = "application/json; charset=utf-8";
        Self::new(Misbehaviour::Status { status, retry_after: None, body: String::new(), content_type })
    }

    /// Answers 429 with `Retry-After`.
    pub fn throttled(retry_after_secs: u64) -> Self {
        Self::status(429).retry_after(retry_after_secs)
    }

    /// Closes the connection without an answer.
    pub fn close() -> Self {
        Self::new(Misbehaviour::Close)
    }

    /// Closes the connection in the middle of the body.
    pub fn truncate() -> Self {
        Self::new(Misbehaviour::Truncate)
    }

    /// Answers late, by the sandbox's clock.
    pub fn delay(delay: Duration) -> Self {
        Self::new(Misbehaviour::Delay(delay))
    }

    /// Sends the caller elsewhere, with all that it sent.
    pub fn redirect(to: impl Into<String>) -> Self {
        Self::new(Misbehaviour::Redirect(to.into()))
    }

    /// Answers 200 with broken JSON.
    pub fn malformed_json() -> Self {
        Self::new(Misbehaviour::MalformedJson)
    }

    /// Answers 200 with HTML.
    pub fn html() -> Self {
        Self::new(Misbehaviour::Html)
    }

    /// With `Retry-After`, for a fault with a status.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let Misbehaviour::Status { retry_after, .. } = &mut self.misbehaviour {
            *retry_after = Some(seconds);
        }
        self
    }

    /// With this body, for a fault with a status.
    #[must_use]
    pub fn body(mut self, text: impl Into<String>, kind: &'static str) -> Self {
        if let Misbehaviour::Status { body, content_type, .. } = &mut self.misbehaviour {
            *body = text.into();
            *content_type = kind;
        }
        self
    }

    /// Only at this host.
    #[must_use]
    pub fn host(mut self, host: HostKind) -> Self {
        self.host = Some(host);
        self
    }

    /// Only for this method, in upper case.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only where path and query contain this text, regardless of case.
    #[must_use]
    pub fn path(mut self, contains: &str) -> Self {
        self.path_contains = contains.to_ascii_lowercase();
        self
    }

    /// Lets this many matching requests pass first.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// Only this often. Otherwise until the fault is taken out of the world.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.remaining = Some(times);
        self
    }

    fn matches(&self, host: HostKind, method: &str, target: &str) -> bool {
        self.host.is_none_or(|wanted| wanted == host)
            && self.method.as_deref().is_none_or(|wanted| wanted == method)
            && target.contains(&self.path_contains)
    }
}

/// The misbehaviour for a request, if one is ordered. Counts it, and drops a fault that is used up.
pub(super) fn take(faults: &mut Vec<Fault>, host: HostKind, method: &str, target: &str) -> Option<Misbehaviour> {
    if faults.is_empty() {
        return None;
    }
    let target = target.to_ascii_lowercase();
    for index in 0..faults.len() {
        let fault = &mut faults[index];
        if !fault.matches(host, method, &target) {
            continue;
        }
        if fault.after > 0 {
            fault.after -= 1;
            continue;
        }
        let misbehaviour = fault.misbehaviour.clone();
        if let Some(remaining) = &mut fault.remaining {
            *remaining = remaining.saturating_sub(1);
            if *remaining == 0 {
                faults.remove(index);
            }
        }
        return Some(misbehaviour);
    }
    None
}
