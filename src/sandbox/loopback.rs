//! An Azure for measuring: answers that were written beforehand, after a fixed wait, over plain HTTP/1.1 with keep-alive.
//!
//! It is no simulation: [`Sandbox`](super::Sandbox) is. It knows no world, checks no token, and exists to be faster than
//! whatever is measured against it. Sizes follow "Azure health data APIs", section 8.

mod answers;
mod body;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::model::{SubscriptionId, TenantId, Timestamp};
use crate::outside::{Clock, SystemClock};
use answers::Answers;
use body::Body;

/// The longest head of a request that is read.
const MAX_HEAD: usize = 64 * 1024;

/// The timer ends on a whole millisecond, up to one too late: it is asked for one less, so that the wait is right on average.
const TICK: Duration = Duration::from_millis(1);

/// What it has, and how it answers.
#[derive(Debug, Clone)]
pub struct Shape {
    /// How long every answer waits.
    pub latency: Duration,
    /// Subscriptions of each tenant; see [`subscription`].
    pub subscriptions: u32,
    /// One event per size, in bytes of its JSON, on every subscription.
    pub event_bytes: Vec<usize>,
    /// Resources of each subscription.
    pub resources: u32,
    /// Every so many requests to Resource Manager one is refused with 429 and `Retry-After: 1`. 0: none.
    pub refuse_every: u64,
    /// False: Resource Graph refuses, so that REST must do all.
    pub graph: bool,
    /// Whether answers are compressed, as Azure's are for whoever can read that.
    pub gzip: bool,
    /// Events that appear while it runs.
    pub news: Option<News>,
}

/// Events that appear one after another, each on the first subscription of the next tenant.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// When the first appears.
    pub from: Timestamp,
    /// The time between two.
    pub every: Duration,
    /// The tenants that have some.
    pub tenants: u32,
    /// How much faster time runs there: the stamps in answers are `from` and this much more than what passed since.
    pub speed: u32,
}

impl News {
    /// When number `index` appears, by the real clock.
    pub fn appears(&self, index: u32) -> Timestamp {
        self.from + self.every * index
    }

    /// A moment of the real clock as this world has it.
    pub fn stamp(&self, real: Timestamp) -> Timestamp {
        self.from + (real - self.from) * i32::try_from(self.speed).unwrap_or(1)
    }

    /// The tracking id of number `index`.
    pub fn tracking_id(index: u32) -> String {
        format!("NEWS-{index:06}")
    }
}

/// Its tenant of this number.
pub fn tenant(number: u32) -> TenantId {
    uuid::Uuid::from_u128(0x7e00_0000_0000_4000_8000_0000_0000_0000 | u128::from(number)).into()
}

/// The subscription of this index of its tenant of this number.
pub fn subscription(number: u32, index: u32) -> SubscriptionId {
    uuid::Uuid::from_u128(0x5b00_0000_0000_4000_8000_0000_0000_0000 | (u128::from(index) << 96) | u128::from(number))
        .into()
}

/// The tenant's number in an id of either kind.
fn number(id: uuid::Uuid) -> u32 {
    u32::try_from(id.as_u128() & 0xffff_ffff).unwrap_or(0)
}

/// A running loopback Azure, on one port for Entra and Resource Manager. Dropping it ends it.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What was asked, by kind.
#[derive(Debug, Default)]
struct Counts {
    turn: AtomicU64,
    token: AtomicU64,
    rest: AtomicU64,
    graph: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
}

struct Inner {
    shape: Shape,
    answers: Answers,
    counts: Counts,
}

impl Loopback {
    /// Listens on a free port of this machine.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(shape: Shape) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let answers = Answers::new(&shape, SystemClock.now());
        let inner = Arc::new(Inner { shape, answers, counts: Counts::default() });
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => {
                            let inner = Arc::clone(&inner);
                            connections.spawn(async move {
                                // A connection that breaks is the other side's to notice.
                                let _ = converse(&inner, stream).await;
                            });
                        }
                        Err(_) => return,
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        });
        Ok(Self { address, server })
    }

    /// Where it is, without a slash at its end.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The settings that make a program of ours talk to it.
    pub fn settings(base: &str) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("AZURE_TENANT_ID", tenant(u32::MAX).to_string()),
            ("AZURE_CLIENT_ID", "c11e0000-0000-4000-8000-000000000001".to_owned()),
            ("AZURE_CLIENT_SECRET", "as-good-as-any-other".to_owned()),
            ("AZURE_AUTHORITY_HOST", base.to_owned()),
            ("AZURE_RESOURCE_MANAGER_URL", base.to_owned()),
        ])
    }
}

/// One request, as far as it matters.
struct Asked<'a> {
    target: &'a str,
    authorization: Option<&'a str>,
    length: usize,
}

async fn converse(inner: &Inner, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut answer) = (Vec::with_capacity(16 * 1024), Vec::new());
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if buffer.len() > MAX_HEAD || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let length = {
            let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
            let asked = asked(&text);
            while buffer.len() < head + asked.length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            let arrived = Instant::now();
            let body = &buffer[head..head + asked.length];
            answer.clear();
            if inner.answer(&asked, body, &mut answer) {
                tokio::time::sleep_until(arrived + inner.shape.latency.saturating_sub(TICK)).await;
            }
            asked.length
        };
        buffer.drain(..head + length);
        stream.write_all(&answer).await?;
    }
}

fn asked(head: &str) -> Asked<'_> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut asked = Asked { target: first.nth(1).unwrap_or_default(), authorization: None, length: 0 };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name {
            _ if name.eq_ignore_ascii_case("content-length") => asked.length = value.trim().parse().unwrap_or(0),
            _ if name.eq_ignore_ascii_case("authorization") => asked.authorization = Some(value.trim()),
            _ => {}
        }
    }
    asked
}

impl Inner {
    /// Writes the answer. False: it does not wait.
    fn answer(&self, asked: &Asked<'_>, body: &[u8], out: &mut Vec<u8>) -> bool {
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        let path = asked.target.split('?').next().unwrap_or_default();
        if path == "/loopback/counts" {
            let Counts { token, rest, graph, refused, bytes, .. } = &self.counts;
            let [token, rest, graph, refused, bytes] =
                [token, rest, graph, refused, bytes].map(|one| one.load(Ordering::Relaxed));
            let text = serde_json::json!({
                "token": token, "rest": rest, "graph": graph, "refused": refused, "bytes": bytes,
            });
            respond(out, "200 OK", "", false, |out| out.text(text.to_string().as_bytes()));
            return false;
        }
        let start = out.len();
        if path.ends_with("/oauth2/v2.0/token") {
            count(&self.counts.token);
            let tenant = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            respond(out, "200 OK", "", false, |out| answers::token(out, tenant));
            return true;
        }
        let graph = path.contains("Microsoft.ResourceGraph");
        count(if graph { &self.counts.graph } else { &self.counts.rest });
        let turn = count(&self.counts.turn) + 1;
        if self.shape.refuse_every > 0 && turn.is_multiple_of(self.shape.refuse_every) {
            count(&self.counts.refused);
            let retry = "retry-after: 1\r\n";
            respond(out, "429 Too Many Requests", retry, false, |out| out.text(answers::THROTTLED));
        } else if graph && !self.shape.graph {
            respond(out, "403 Forbidden", "", false, |out| out.text(answers::DENIED));
        } else if graph {
            // The real quota is 15 queries in 5 s per tenant. Here it never runs out: what is measured is the engine.
            let quota = "x-ms-user-quota-remaining: 1000\r\nx-ms-user-quota-resets-after: 00:00:00\r\n";
            respond(out, "200 OK", quota, self.shape.gzip, |out| self.answers.graph(out, &self.shape, body));
        } else {
            let tenant = asked.authorization.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
            respond(out, "200 OK", "", self.shape.gzip, |out| self.answers.rest(out, &self.shape, path, tenant));
        }
        self.counts.bytes.fetch_add((out.len() - start) as u64, Ordering::Relaxed);
        true
    }
}

/// Writes head and body; the length is put in when it is known.
fn respond(out: &mut Vec<u8>, status: &str, headers: &str, gzip: bool, body: impl FnOnce(&mut Body<'_>)) {
    const LENGTH: usize = 10;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\r\ncontent-type: application/json; charset=utf-8\r\n");
    out.extend_from_slice(headers.as_bytes());
    if gzip {
        out.extend_from_slice(b"content-encoding: gzip\r\n");
    }
    out.extend_from_slice(b"content-length: ");
    let at = out.len();
    out.extend_from_slice(&[b' '; LENGTH]);
    out.extend_from_slice(b"\r\n\r\n");
    let start = out.len();
    let mut whole = Body::new(out, gzip);
    body(&mut whole);
    whole.end();
    let length = format!("{:>LENGTH$}", out.len() - start);
    out[at..at + LENGTH].copy_from_slice(length.as_bytes());
}
