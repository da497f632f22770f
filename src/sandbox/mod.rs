//! The simulated Azure: Entra (sign-in, consent, tokens, keys), Resource Manager (subscriptions, role assignments that
//! really decide, Resource Health, Resource Graph), Microsoft Graph (the registration) and the endpoint of managed identities,
//! each on a loopback port, over one [`World`]. It follows the references of this
//! project, not our own client: where they disagree, the client is wrong. Never part of the deployed handlers.

mod activity;
mod arm;
mod authorization;
mod demo;
mod directory;
mod emerging;
mod entra;
mod event;
mod exchange;
mod faults;
mod graph;
mod groups;
mod health;
mod identity;
mod kql;
mod kusto;
mod lifecycles;
mod lighthouse;
mod logs;
pub mod loopback;
mod mint;
mod monitor;
mod office;
mod pages;
mod receivers;
mod registration;
mod resource;
mod role_assignments;
mod script;
mod subscriptions;
mod switches;
mod tenants;
mod tokens;
pub mod visitor;
mod world;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;
use warp::Filter as _;
use warp::http::{HeaderMap, Method};
use warp::reply::Response;

pub use activity::{LogRow, LogSwitches};
pub use authorization::{Delegation, Role, RoleAssignment};
pub use demo::{DEMO_MAILBOX, DEMO_TENANTS, DemoTimes, demo_outage};
pub use emerging::Emerging;
pub use event::{Event, Update};
pub use faults::{Fault, HostKind, Misbehaviour};
pub use monitor::{LogsTable, Monitor, TakenMetric, Workspace};
pub use office::{Office, SentMail};
pub use receivers::{Order, Received, Receivers};
pub use registration::{FederatedCredential, ManagedIdentity, Registration};
pub use resource::Resource;
pub use subscriptions::{ManagementGroup, Subscription};
pub use switches::{
    ArmSwitches, EntraSwitches, EventIdSpelling, GraphSwitches, GraphTimes, HealthSwitches, IdTokenTamper, RefusedAt,
    SignInRefusal,
};
pub use tenants::{PERSONAL_TENANT, ServicePrincipal, Tenant, User};
pub use world::{Application, ClientSecret, World};

use crate::model::TenantId;
use crate::outside::Clock;
use exchange::{Reply, Request};

/// The most requests and secrets kept for tests to look at; the oldest go first.
const KEPT: usize = 20_000;

/// A running sandbox. Dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Upper case.
    pub method: String,
    /// Which host was asked.
    pub host: HostKind,
    /// The path.
    pub path: String,
    /// The query without its `?`; may be empty.
    pub query: String,
    /// The status of the answer. 0: the connection was closed instead.
    pub status: u16,
    /// The trace that the caller named.
    pub traceparent: Option<String>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    authority: Url,
    manager: Url,
    graph: Url,
    identity: Url,
    logs: Url,
    metrics: Url,
    keys: tokens::Keys,
}

/// What changes while the sandbox runs.
struct State {
    world: World,
    stopped: bool,
    requests: VecDeque<RequestRecord>,
    secrets: VecDeque<String>,
    grants: HashMap<String, entra::Grant>,
    verified: HashMap<String, tokens::Principal>,
    /// The ids of client assertions that were used.
    assertions: HashSet<String>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Codes and tokens stay out of it.
        f.debug_struct("State").field("world", &self.world).field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

impl State {
    /// Keeps a code or token that was given out, so that tests can look for it where it must not be.
    fn keep_secret(&mut self, secret: &str) {
        if self.secrets.len() >= KEPT {
            self.secrets.pop_front();
        }
        self.secrets.push_back(secret.to_owned());
    }

    fn keep_request(&mut self, request: &Request, status: u16) {
        if self.requests.len() >= KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(RequestRecord {
            method: request.method.clone(),
            host: request.host,
            path: request.path.clone(),
            query: request.query.clone(),
            status,
            traceparent: request.headers.get("traceparent").and_then(|value| Some(value.to_str().ok()?.to_owned())),
        });
    }
}

impl Sandbox {
    /// Starts on free ports of this machine.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(world: World, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(any, any, world, clock).await
    }

    /// Starts at two addresses: Entra, Resource Manager; the other hosts take free ports.
    ///
    /// # Errors
    /// When an address cannot be had.
    pub async fn start_at(
        entra: SocketAddr,
        resource_manager: SocketAddr,
        mut world: World,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let entra = TcpListener::bind(entra).await?;
        let manager = TcpListener::bind(resource_manager).await?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (graph, identity) = (TcpListener::bind(any).await?, TcpListener::bind(any).await?);
        let (logs, metrics) = (TcpListener::bind(any).await?, TcpListener::bind(any).await?);
        world.run_until(clock.now());
        let state = State {
            world,
            stopped: false,
            requests: VecDeque::new(),
            secrets: VecDeque::new(),
            grants: HashMap::new(),
            verified: HashMap::new(),
            assertions: HashSet::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            clock,
            authority: base_url(&entra)?,
            manager: base_url(&manager)?,
            graph: base_url(&graph)?,
            identity: base_url(&identity)?,
            logs: base_url(&logs)?,
            metrics: base_url(&metrics)?,
            keys: tokens::Keys::load(),
        });
        let (stop, stopped) = watch::channel(false);
        let servers = [
            (HostKind::Entra, entra),
            (HostKind::Arm, manager),
            (HostKind::Graph, graph),
            (HostKind::Identity, identity),
            (HostKind::Logs, logs),
            (HostKind::Metrics, metrics),
        ]
        .map(|(host, listener)| serve(host, listener, Arc::clone(&shared), stopped.clone()));
        Ok(Self { shared, stop, servers: servers.into() })
    }

    /// Where Entra is.
    pub fn authority_host(&self) -> Url {
        self.shared.authority.clone()
    }

    /// Where Resource Manager is.
    pub fn resource_manager(&self) -> Url {
        self.shared.manager.clone()
    }

    /// Where Microsoft Graph is.
    pub fn graph(&self) -> Url {
        self.shared.graph.clone()
    }

    /// Changes (or reads) the world between two requests. What the script planned up to now has happened.
    pub fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        state.world.run_until(now);
        change(&mut state.world)
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.state().requests.iter().cloned().collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.state().requests.clear();
    }

    /// The settings that make a program of ours talk to this sandbox as its partner.
    pub fn settings(&self) -> BTreeMap<&'static str, String> {
        let (application, secret) = self.change(|world| (world.application.clone(), world.client_secret().to_owned()));
        BTreeMap::from([
            ("AZURE_TENANT_ID", application.home.to_string()),
            ("AZURE_CLIENT_ID", application.client_id.to_string()),
            ("AZURE_CLIENT_SECRET", secret),
            ("AZURE_AUTHORITY_HOST", self.authority_host().to_string()),
            ("AZURE_RESOURCE_MANAGER_URL", self.resource_manager().to_string()),
            ("MICROSOFT_GRAPH_URL", self.graph().to_string()),
            ("AZURE_LOG_ANALYTICS_URL", self.shared.logs.to_string()),
            ("AZURE_MONITOR_METRICS_URL", format!("{}{{region}}", self.shared.metrics)),
            ("PARTNER_NAME", application.publisher),
        ])
    }

    /// The settings with which customers' health is published as metrics, for the world's first resource that takes some.
    pub fn metrics_settings(&self) -> BTreeMap<&'static str, String> {
        let first = self.change(|world| world.monitor.resources.first().cloned());
        let settings = |(id, region)| [("HEALTH_METRICS_RESOURCE_ID", id), ("HEALTH_METRICS_REGION", region)];
        first.map(settings).into_iter().flatten().collect()
    }

    /// Every secret that the sandbox knows or gave out: client secrets, codes, tokens. None of them may show up in a log.
    pub fn secrets(&self) -> Vec<String> {
        let state = self.shared.state();
        let own = state.world.application.secrets.iter().map(|secret| secret.value.clone());
        let header = state.world.managed_identity.header.clone();
        own.chain([header]).chain(state.secrets.iter().cloned()).collect()
    }

    /// Ends the sandbox: nothing is answered any more, and its ports are free again.
    pub async fn stop(mut self) {
        self.end();
        for server in std::mem::take(&mut self.servers) {
            server.abort();
            // Only that it has ended matters, and an abort is an end.
            let _ = server.await;
        }
    }

    fn end(&self) {
        self.shared.state().stopped = true;
        self.stop.send_replace(true);
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

fn base_url(listener: &TcpListener) -> io::Result<Url> {
    let address = listener.local_addr()?;
    Url::parse(&format!("http://{address}")).map_err(io::Error::other)
}

fn serve(
    host: HostKind,
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let routes = warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::body::bytes())
        .then(move |method: Method, path: warp::path::FullPath, query, headers: HeaderMap, body| {
            let request = Request {
                host,
                method: method.as_str().to_owned(),
                path: path.as_str().to_owned(),
                query,
                headers,
                body,
            };
            let shared = Arc::clone(&shared);
            async move { shared.answer(request).await }
        });
    let shutdown = async move {
        // An error means that the sandbox is gone, which is an end too.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    tokio::spawn(warp::serve(routes).incoming(listener).graceful(shutdown).run())
}

impl Shared {
    fn issuer(&self, tenant: TenantId) -> String {
        format!("{}{tenant}/v2.0", self.authority)
    }

    /// The audience of tokens for Graph.
    fn graph_audience(&self) -> String {
        self.graph.as_str().trim_end_matches('/').to_owned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request) -> Response {
        let target = format!("{}?{}", request.path, request.query);
        let misbehaviour = {
            let now = self.clock.now();
            let mut state = self.state();
            state.world.run_until(now);
            if state.stopped {
                Some(Misbehaviour::Close)
            } else {
                faults::take(&mut state.world.faults, request.host, &request.method, &target)
            }
        };
        if let Some(Misbehaviour::Delay(delay)) = misbehaviour {
            self.clock.sleep(delay).await;
        }
        match misbehaviour {
            Some(Misbehaviour::Close) => {
                self.state().keep_request(&request, 0);
                Reply::empty(200).into_broken_response(0)
            }
            Some(Misbehaviour::Truncate) => {
                let reply = self.reply(&request);
                let half = reply.body.len() / 2;
                reply.into_broken_response(half)
            }
            Some(Misbehaviour::Status { status, retry_after, body, content_type }) => {
                self.state().keep_request(&request, status);
                let mut reply = if body.is_empty() {
                    usual_fault(request.host, status, retry_after)
                } else {
                    Reply::text(status, content_type, body)
                };
                if let Some(seconds) = retry_after {
                    reply = reply.with("retry-after", seconds.to_string());
                }
                reply.into_response()
            }
            Some(Misbehaviour::Redirect(to)) => {
                self.state().keep_request(&request, 307);
                let to = format!("{}{target}", to.trim_end_matches('/'));
                Reply::empty(307).with("location", to).into_response()
            }
            Some(Misbehaviour::MalformedJson) => {
                self.state().keep_request(&request, 200);
                Reply::text(200, "application/json; charset=utf-8", "{\"value\": [{\"id\": \"/subscr").into_response()
            }
            Some(Misbehaviour::Html) => {
                self.state().keep_request(&request, 200);
                Reply::html(200, "<html><body><h1>Our services aren't available right now</h1></body></html>")
                    .into_response()
            }
            Some(Misbehaviour::Delay(_)) | None => self.reply(&request).into_response(),
        }
    }

    fn reply(&self, request: &Request) -> Reply {
        let now = self.clock.now();
        let mut guard = self.state();
        let state = &mut *guard;
        state.world.run_until(now);
        let id = state.world.fresh_id("request").to_string();
        let reads_left = state.world.arm.reads_left;
        let reply = match request.host {
            HostKind::Entra => entra::answer(self, state, request),
            HostKind::Graph => directory::answer(self, state, request),
            HostKind::Identity => identity::answer(self, state, request),
            HostKind::Logs => logs::answer(self, state, request),
            HostKind::Metrics => monitor::answer(self, state, request),
            HostKind::Arm => arm::answer(self, state, request)
                .with("x-ms-correlation-request-id", id.clone())
                .with("x-ms-ratelimit-remaining-subscription-reads", reads_left.to_string()),
        };
        state.keep_request(request, reply.status);
        reply.with("x-ms-request-id", id)
    }
}

/// The body that each host usually sends with a status.
fn usual_fault(host: HostKind, status: u16, retry_after: Option<u64>) -> Reply {
    match (host, status) {
        (HostKind::Entra, 400..=499) => entra::error_body(
            status,
            "temporarily_unavailable",
            90055,
            "The tenant is throttled because of excessive requests.",
            chrono::DateTime::UNIX_EPOCH,
        ),
        (HostKind::Graph | HostKind::Identity | HostKind::Logs | HostKind::Metrics, _) => {
            arm::error(status, "ServiceUnavailable", "Refused by order.")
        }
        (HostKind::Entra, _) => Reply::html(status, "<html><body><h1>Service unavailable</h1></body></html>"),
        (HostKind::Arm, 429) => {
            let wait = retry_after.unwrap_or(10);
            arm::error(
                429,
                "SubscriptionRequestsThrottled",
                &format!("Number of 'read' requests exceeded. Please try again after '{wait}' seconds."),
            )
        }
        (HostKind::Arm, 502) => Reply::html(502, "<html><body><h1>Bad Gateway</h1></body></html>"),
        (HostKind::Arm, 503) => {
            arm::error(503, "ServiceUnavailable", "The service is temporarily unavailable. Please retry later.")
        }
        (HostKind::Arm, 504) => arm::error(
            504,
            "GatewayTimeout",
            "The gateway did not receive a response from 'Microsoft.ResourceHealth' within the specified time period.",
        ),
        (HostKind::Arm, 500..) => arm::error(status, "InternalServerError", "Encountered internal server error."),
        (HostKind::Arm, _) => arm::error(status, "BadRequest", "The request was refused by order."),
    }
}
