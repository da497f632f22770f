//! The processes of `bench`: this program again, as the loopback Azure or as what is measured.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use health_monitor::model::Timestamp;
use health_monitor::sandbox::loopback::{Loopback, News, Shape};
use serde::{Deserialize, Serialize};

use super::measured::{Measured, Part};

/// A child that ends with us.
pub struct Owned(pub Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // One that has ended already cannot be ended again.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How the service unit and the container have the allocator: what is free goes back soon.
const ALLOCATOR: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "2"), ("MALLOC_TRIM_THRESHOLD_", "1048576")];

/// This program in another role; gives the child and what it says first.
pub fn start(role: &str, spec: &str) -> anyhow::Result<(Owned, String)> {
    let program = std::env::current_exe().context("where this program is")?;
    let variables = if role == "measured" { &ALLOCATOR[..] } else { &[] };
    let mut child = Command::new(program)
        .args(["bench", "--role", role, "--spec", spec])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("another process of this program")?;
    let stdout = child.stdout.take().context("its output")?;
    let child = Owned(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("its first line")?;
    anyhow::ensure!(!line.is_empty(), "the process for {role} ended without a word");
    Ok((child, line.trim().to_owned()))
}

/// Does one measurement in a process of its own.
pub fn measure(part: &Part) -> anyhow::Result<Measured> {
    let (_child, line) = start("measured", &serde_json::to_string(part)?)?;
    serde_json::from_str(&line).with_context(|| format!("what was measured, instead of {line:?}"))
}

/// The loopback Azure in its own process.
pub struct Azure {
    _child: Owned,
    base: String,
}

impl Azure {
    pub fn start(shape: &Shape) -> anyhow::Result<Self> {
        let (child, base) = start("azure", &serde_json::to_string(&Spec::of(shape))?)?;
        Ok(Self { _child: child, base })
    }

    pub fn base(&self) -> String {
        self.base.clone()
    }
}

/// A shape on its way to another process.
#[derive(Debug, Serialize, Deserialize)]
struct Spec {
    latency_micros: u64,
    subscriptions: u32,
    event_bytes: Vec<usize>,
    resources: u32,
    refuse_every: u64,
    graph: bool,
    gzip: bool,
    news: Option<(Timestamp, u64, u32, u32)>,
}

impl Spec {
    fn of(shape: &Shape) -> Self {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            latency_micros: micros(shape.latency),
            subscriptions: shape.subscriptions,
            event_bytes: shape.event_bytes.clone(),
            resources: shape.resources,
            refuse_every: shape.refuse_every,
            graph: shape.graph,
            gzip: shape.gzip,
            news: shape.news.map(|news| (news.from, micros(news.every), news.tenants, news.speed)),
        }
    }
}

/// Is the loopback Azure until it is killed.
pub async fn azure(spec: &str) -> anyhow::Result<ExitCode> {
    let spec: Spec = serde_json::from_str(spec).context("the shape")?;
    let news = spec.news.map(|(from, every, tenants, speed)| News {
        from,
        every: Duration::from_micros(every),
        tenants,
        speed,
    });
    let loopback = Loopback::start(Shape {
        latency: Duration::from_micros(spec.latency_micros),
        subscriptions: spec.subscriptions,
        event_bytes: spec.event_bytes,
        resources: spec.resources,
        refuse_every: spec.refuse_every,
        graph: spec.graph,
        gzip: spec.gzip,
        news,
    })
    .await?;
    println!("{}", loopback.base());
    std::future::pending::<()>().await;
    Ok(ExitCode::SUCCESS)
}
