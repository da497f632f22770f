//! The way out to destinations: one request, to an address that was checked for this very attempt.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use url::Url;

use super::{Refusal, address};
use crate::model::Timestamp;
use crate::outside::destination_client;
use crate::settings::Reach;

/// How long a destination has for its answer, where the channel says nothing else.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How much of an answer is read.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest wait that a destination may ask for.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks up names. Tests hold their own.
#[async_trait]
pub trait Names: Send + Sync + fmt::Debug {
    /// All addresses of a name.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own way.
#[derive(Debug, Clone, Copy)]
pub struct SystemNames;

#[async_trait]
impl Names for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// A name that leads, or an address that is, where notices must not go.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not of the public internet")]
struct Blocked;

/// Sends requests to checked addresses only. A clone shares connections.
#[derive(Debug, Clone)]
pub struct Guard {
    reach: Reach,
    patience: Duration,
    resolver: Arc<Checked>,
    client: Arc<OnceLock<reqwest::Client>>,
}

/// Looks a name up and gives nothing unless every address is allowed; what it gives is what is connected to, so that a name which
/// changes its mind between check and use gains nothing.
#[derive(Debug)]
struct Checked {
    reach: Reach,
    names: Arc<dyn Names>,
}

impl Checked {
    async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
        address::named(name, self.reach).map_err(|_| Blocked)?;
        let all = self.names.addresses(name).await?;
        if all.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no address").into());
        }
        if all.iter().any(|one| !address::allowed(*one, self.reach)) {
            return Err(Blocked.into());
        }
        Ok(all)
    }
}

/// What reqwest holds: it wants its resolver without a lifetime.
struct ForRequests(Arc<Checked>);

impl Resolve for ForRequests {
    fn resolve(&self, name: Name) -> Resolving {
        let checked = Arc::clone(&self.0);
        Box::pin(async move {
            let all = checked.addresses(name.as_str()).await?;
            let all: Addrs = Box::new(all.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(all)
        })
    }
}

/// A POST as it is sent.
#[derive(Debug)]
pub struct Post<'a> {
    /// Where to.
    pub url: &'a Url,
    /// Headers beside the content type. Secret values are marked as such.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: Vec<u8>,
    /// How long the answer may take. None: as usual.
    pub patience: Option<Duration>,
}

impl<'a> Post<'a> {
    /// JSON, without further headers.
    pub fn json(url: &'a Url, body: &serde_json::Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { url, headers: Vec::new(), content_type: "application/json", body, patience: None }
    }
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// When the destination wants to be asked again.
    pub retry_after: Option<Duration>,
    /// The beginning of the body. Foreign text: read for known words, never shown.
    pub body: String,
}

impl Answer {
    /// True for 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Not taken, to be tried again.
    pub fn later(&self, what: &str) -> Refusal {
        Refusal::Later { why: format!("{what} answered {}", self.status), retry_after: self.retry_after }
    }

    /// Never taken as it is.
    pub fn never(&self, what: &str) -> Refusal {
        Refusal::Never { why: format!("{what} answered {}", self.status) }
    }

    /// The destination is gone.
    pub fn gone(&self, what: &str) -> Refusal {
        Refusal::Gone { why: format!("{what} answered {}", self.status) }
    }
}

impl Guard {
    /// A way out within `reach`.
    pub fn new(reach: Reach, names: Arc<dyn Names>) -> Self {
        let resolver = Arc::new(Checked { reach, names });
        Self { reach, patience: PATIENCE, resolver, client: Arc::default() }
    }

    /// With less patience, for tests with destinations that do not answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How far it goes.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// How long a destination has for its answer.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends once, follows no redirect. Any status is an answer.
    ///
    /// # Errors
    /// [`Refusal::Later`] without an answer, [`Refusal::Never`] for an address that notices must not go to.
    pub async fn post(&self, post: Post<'_>, now: Timestamp) -> Result<Answer, Refusal> {
        // A host that is an address is never looked up: it is checked here.
        address::target(post.url.as_str(), self.reach)
            .map_err(|why| Refusal::Never { why: format!("its address {why}") })?;
        let mut headers: HeaderMap = post.headers.into_iter().collect();
        let kind = HeaderValue::from_str(post.content_type)
            .map_err(|_| Refusal::Never { why: "the content type is no header".to_owned() })?;
        headers.insert(CONTENT_TYPE, kind);
        let patience = post.patience.map_or(self.patience, |own| own.min(self.patience));
        let request = self.client()?.post(post.url.clone()).headers(headers).body(post.body).timeout(patience);
        let mut response = request.send().await.map_err(|error| no_answer(&error, patience))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, now));
        let mut body = Vec::new();
        // The status counts: what cannot be read of the rest is left out.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - body.len())]);
            if body.len() == MAX_ANSWER {
                break;
            }
        }
        Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// An address of a host to connect to, for what is not HTTP; it was checked and is to be used as it is.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    pub async fn address_of(&self, host: &str) -> Result<IpAddr, Refusal> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = bare.parse::<IpAddr>() {
            return if address::allowed(literal, self.reach) { Ok(literal) } else { Err(blocked()) };
        }
        match self.resolver.addresses(host).await {
            Ok(all) => all.first().copied().ok_or_else(unknown_name),
            Err(error) if error.is::<Blocked>() => Err(blocked()),
            Err(_) => Err(unknown_name()),
        }
    }

    fn client(&self) -> Result<&reqwest::Client, Refusal> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let resolver = Arc::new(ForRequests(Arc::clone(&self.resolver)));
        let client = destination_client(resolver)
            .map_err(|_| Refusal::Later { why: "TLS cannot be started here".to_owned(), retry_after: None })?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn blocked() -> Refusal {
    Refusal::Never { why: "its address is not of the public internet".to_owned() }
}

fn unknown_name() -> Refusal {
    Refusal::Later { why: "its name could not be looked up".to_owned(), retry_after: None }
}

/// What reqwest's failure means. Its own text is not shown: it has the address.
fn no_answer(error: &reqwest::Error, patience: Duration) -> Refusal {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Blocked>() {
            return blocked();
        }
        cause = error.source();
    }
    let why = if error.is_timeout() {
        format!("no answer within {} s", patience.as_secs_f32())
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke before an answer".to_owned()
    };
    Refusal::Later { why, retry_after: None }
}

/// `Retry-After`: seconds, or a date.
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(MAX_WAIT));
    }
    let until = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    Some((until.to_utc() - now).to_std().unwrap_or_default().min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers with the first list, then the second, and so on.
    #[derive(Debug)]
    struct Fickle(Mutex<Vec<Vec<&'static str>>>);

    #[async_trait]
    impl Names for Fickle {
        async fn addresses(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
            let next = self.0.lock().expect("no holder panics").remove(0);
            Ok(next.into_iter().map(|ip| ip.parse().expect("an address")).collect())
        }
    }

    fn guard(reach: Reach, answers: &[&[&'static str]]) -> Guard {
        let names = Fickle(Mutex::new(answers.iter().map(|list| list.to_vec()).collect()));
        Guard::new(reach, Arc::new(names)).with_patience(Duration::from_millis(300))
    }

    #[tokio::test]
    async fn one_forbidden_address_among_public_ones_is_one_too_many() {
        let guard = guard(Reach::Public, &[&["20.50.2.3", "169.254.169.254"], &["20.50.2.3"], &["127.0.0.1"], &[]]);
        assert_eq!(guard.address_of("hook.example.com").await, Err(blocked()));
        assert_eq!(guard.address_of("hook.example.com").await, Ok("20.50.2.3".parse().expect("an address")));
        assert_eq!(guard.address_of("hook.example.com").await, Err(blocked()), "it changed its mind: rebinding");
        assert_eq!(guard.address_of("hook.example.com").await, Err(unknown_name()));
        assert_eq!(guard.address_of("[::1]").await, Err(blocked()));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_gets_no_connection() {
        let guard = guard(Reach::Public, &[&["127.0.0.1"], &["10.0.0.7", "20.50.2.3"]]);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 8443)).await;
        for _ in 0..2 {
            let url = "https://rebound.example.com:8443/".parse().expect("an address");
            let post =
                Post { url: &url, headers: Vec::new(), content_type: "text/plain", body: Vec::new(), patience: None };
            assert_eq!(guard.post(post, Timestamp::UNIX_EPOCH).await, Err(blocked()));
        }
        if let Ok(listener) = listener {
            let knock = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
            assert!(knock.is_err(), "nobody knocked");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
        let now = "2026-01-15T12:00:00Z".parse().expect("a time");
        assert_eq!(wait(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(wait("Thu, 15 Jan 2026 12:01:00 GMT", now), Some(Duration::from_secs(60)));
        assert_eq!(wait("Thu, 15 Jan 2026 11:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(wait("99999999999", now), Some(MAX_WAIT));
        assert_eq!(wait("soon", now), None);
    }
}
