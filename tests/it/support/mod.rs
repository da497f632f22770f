//! The real app over the sandbox, with time and randomness in the test's hand.

#![allow(dead_code, reason = "each test uses its part")]

pub mod builders;
pub mod contoso;
pub mod door;
pub mod functions_host;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod log;
#[cfg(feature = "lambda")]
pub mod moto;
pub mod smtp;
pub mod stories;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeZone as _;
use futures_util::future::BoxFuture;
use health_monitor::app::App;
use health_monitor::hosts;
use health_monitor::model::Timestamp;
use health_monitor::outside::{Clock, Outside, Random, http_client};
use health_monitor::sandbox::visitor::Visitor;
use health_monitor::sandbox::{Sandbox, World};
use health_monitor::settings::{Door, Settings};
use health_monitor::store::{Backend, Memory};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A clock that stands still until a test moves it on. Waiting moves it on at once.
#[derive(Debug)]
pub struct TestClock {
    now: Arc<Mutex<Timestamp>>,
}

impl TestClock {
    /// 2026-01-15T12:00:00Z, the time at which a [`World`] is built too.
    pub fn new() -> Arc<Self> {
        let start = chrono::Utc.with_ymd_and_hms(2026, 1, 15, 12, 0, 0).single().expect("the date exists");
        Arc::new(Self { now: Arc::new(Mutex::new(start)) })
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        *self.now.lock().expect("no holder panics") += by;
    }

    /// Now.
    pub fn time(&self) -> Timestamp {
        *self.now.lock().expect("no holder panics")
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.time()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let now = Arc::clone(&self.now);
        Box::pin(async move {
            *now.lock().expect("no holder panics") += duration;
            tokio::task::yield_now().await;
        })
    }
}

/// The same bytes in every run, never the same twice in one.
#[derive(Debug)]
pub struct SeededRandom {
    state: AtomicU64,
}

impl SeededRandom {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { state: AtomicU64::new(seed) })
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            // SplitMix64: one addition, three mixing steps.
            let mut word = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Another process of the same app: over these documents, without a server.
pub fn over(app: &TestApp, backend: Arc<dyn Backend>) -> Arc<App> {
    let outside = Outside {
        clock: app.clock.clone(),
        random: SeededRandom::new(2),
        http: http_client().expect("a client"),
        backend,
    };
    App::new(app.app.settings.clone(), outside)
}

/// The app, wired as in production, over real loopback HTTP to a sandbox.
pub struct TestApp {
    pub app: Arc<App>,
    pub sandbox: Sandbox,
    pub clock: Arc<TestClock>,
    pub backend: Arc<Memory>,
    /// Where the app is served, without a slash at its end.
    pub base: String,
    server: JoinHandle<()>,
}

impl TestApp {
    /// The app in a world. Anybody may onboard; use [`TestApp::start_with`] for other settings.
    pub async fn start(world: World) -> Self {
        Self::start_with(world, &[]).await
    }

    /// The app in a world, with settings of the test's own over the usual ones.
    pub async fn start_with(world: World, settings: &[(&str, &str)]) -> Self {
        Self::start_on(world, settings, TestClock::new(), Arc::new(Memory::default())).await
    }

    /// The app in a world, over a clock and documents that were there before: a restart.
    pub async fn start_on(
        mut world: World,
        overrides: &[(&str, &str)],
        clock: Arc<TestClock>,
        backend: Arc<Memory>,
    ) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        world.redirect_uri(format!("{base}/api/consent/callback"));
        world.redirect_uri(format!("{base}/api/consent/admin-callback"));
        let sandbox = Sandbox::start(world, clock.clone()).await.expect("two free ports");
        let mut values = sandbox.settings();
        values.extend(sandbox.identity_settings());
        values.extend([
            ("PUBLIC_BASE_URL", base.clone()),
            ("STATE_STORE_URL", "memory:".to_owned()),
            ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            ("ONBOARDING", "open".to_owned()),
            ("PARTNER_API_KEYS", contoso::KEYS.to_owned()),
        ]);
        let lookup = |name: &str| {
            let own = overrides.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            own.or_else(|| values.get(name).cloned())
        };
        let settings = Settings::from_lookup(Door::Standalone, lookup).expect("the settings of the tests are right");
        let own = overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = settings.with_secrets(own);
        let outside = Outside {
            clock: clock.clone(),
            random: SeededRandom::new(1),
            http: http_client().expect("a client"),
            backend: backend.clone(),
        };
        let app = App::new(settings, outside);
        let server = tokio::spawn(serve(app.clone(), listener));
        Self { app, sandbox, clock, backend, base, server }
    }

    /// An address of the app.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Calls the API as a portal does: status and body.
    pub async fn call(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> (u16, serde_json::Value) {
        let client = http_client().expect("a client");
        let method = method.parse::<reqwest::Method>().expect("a method");
        let mut request = client.request(method, self.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.expect("a body")).unwrap_or_default())
    }

    /// A new browser.
    pub fn visitor(&self) -> Visitor {
        Visitor::new().expect("a client")
    }
}

/// Settings of a handler that needs no Azure, since nothing listens there; and some of the test's own.
pub fn without_azure(own: &[(&str, &str)]) -> BTreeMap<String, String> {
    let usual = [
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "contract-test-secret"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:9"),
        ("AZURE_RESOURCE_MANAGER_URL", "http://127.0.0.1:9"),
        ("STATE_STORE_URL", "memory:"),
        ("SESSION_KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ];
    usual.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A port at which nobody listens, below those that systems hand out: nobody takes it before it is used.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Several runs of the tests begin in different places.
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).expect("small");
    let mut ports = std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed));
    ports.find(|port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// Serves the app as behind a Functions host, which has checked routes and keys; with TEST_DOOR=lambda as behind a function URL,
/// so that whatever asks the app over HTTP goes through that door.
#[expect(clippy::disallowed_methods, reason = "which door the tests go through comes from .ci/run")]
async fn serve(app: Arc<App>, listener: TcpListener) {
    match std::env::var("TEST_DOOR").as_deref() {
        #[cfg(feature = "lambda")]
        Ok("lambda") => {
            let lambda = hosts::lambda::Lambda::new(app, Vec::new());
            let invoke = move |mut event: serde_json::Value| {
                let lambda = lambda.clone();
                // The portals of the tests hold the key of each host.
                if event["headers"]["x-functions-key"].is_null() {
                    event["headers"]["x-functions-key"] = contoso::KEY.into();
                }
                async move {
                    let event = lambda_runtime::LambdaEvent::new(event, lambda_runtime::Context::default());
                    // A task of its own: a route of warp cannot run inside another one.
                    tokio::spawn(async move { lambda.dispatch(event).await.ok() }).await.ok().flatten()
                }
            };
            lambda::serve_function_url(listener, invoke).await;
        }
        Ok(other) => panic!("TEST_DOOR is {other:?}, which is no door"),
        Err(_) => hosts::functions::serve(app, listener).await,
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.server.abort();
    }
}
