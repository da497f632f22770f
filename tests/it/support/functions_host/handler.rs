//! The handler's process: start, readiness, output, death and restart (sections 1 and 2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::invoke::InvocationError;

/// Errors within half an hour that make the host stop.
const MOST_ERRORS: u32 = 3;

/// As what the host logs a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Information,
    Warning,
    Error,
}

/// A line of the handler's output.
#[derive(Debug, Clone)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

pub(super) struct Handler {
    pub(super) port: u16,
    root: PathBuf,
    settings: BTreeMap<String, String>,
    state: tokio::sync::Mutex<State>,
    log: Arc<Mutex<Vec<Line>>>,
}

struct State {
    child: Child,
    errors: u32,
    starts: u32,
}

impl Handler {
    /// Starts the handler; once more where another test took the port between its choice and its use.
    pub(super) async fn start(root: PathBuf, settings: BTreeMap<String, String>) -> Result<Self, String> {
        let mut tries = 3;
        loop {
            tries -= 1;
            match Self::start_once(root.clone(), settings.clone()).await {
                Err(why) if tries > 0 && why.contains("cannot listen") => {}
                other => return other,
            }
        }
    }

    async fn start_once(root: PathBuf, settings: BTreeMap<String, String>) -> Result<Self, String> {
        // As the host does: a free port is looked up, let go and handed over.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let child = spawn(&root, port, &settings, 1, &log)?;
        let state = tokio::sync::Mutex::new(State { child, errors: 0, starts: 1 });
        let handler = Self { port, root, settings, state, log };
        let mut state = handler.state.lock().await;
        handler.ready(&mut state).await?;
        drop(state);
        Ok(handler)
    }

    pub(super) fn log(&self) -> Vec<Line> {
        self.log.lock().unwrap().clone()
    }

    pub(super) async fn kill(&self) {
        let mut state = self.state.lock().await;
        state.child.kill().await.unwrap();
    }

    /// Starts a dead handler again, unless it ended with 0, which the host takes for its wish.
    pub(super) async fn ensure_running(&self) -> Result<(), InvocationError> {
        let mut state = self.state.lock().await;
        let Some(status) = state.child.try_wait().unwrap() else { return Ok(()) };
        if status.success() {
            return Err(InvocationError::Connection("the handler has ended with 0, nobody restarts it".to_owned()));
        }
        if status.code() != Some(200) {
            state.errors += 1;
        }
        if state.errors >= MOST_ERRORS {
            return Err(InvocationError::HostStopped);
        }
        state.starts += 1;
        let starts = state.starts;
        state.child =
            spawn(&self.root, self.port, &self.settings, starts, &self.log).map_err(InvocationError::Connection)?;
        self.ready(&mut state).await.map_err(InvocationError::Connection)
    }

    /// Knocks each 25 ms for 30 s; any answer counts.
    async fn ready(&self, state: &mut State) -> Result<(), String> {
        for _ in 0..30_000 / 25 {
            if let Some(status) = state.child.try_wait().unwrap() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                return Err(format!("the handler ended with {status}: {:?}", self.log()));
            }
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)).await {
                let request = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n", self.port);
                let mut answer = Vec::new();
                let asked = async {
                    stream.write_all(request.as_bytes()).await?;
                    stream.read_to_end(&mut answer).await
                };
                let asked = tokio::time::timeout(Duration::from_secs(5), asked).await;
                // Any other transport error than a refused connection counts as ready too.
                return asked.map(drop).map_err(|_| "the handler listens but does not answer /".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err("the handler did not get ready within 30 s".to_owned())
    }
}

fn spawn(
    root: &Path,
    port: u16,
    settings: &BTreeMap<String, String>,
    starts: u32,
    log: &Arc<Mutex<Vec<Line>>>,
) -> Result<Child, String> {
    let host: Value = serde_json::from_slice(&std::fs::read(root.join("host.json")).unwrap()).unwrap();
    let executable = host.pointer("/customHandler/description/defaultExecutablePath").unwrap().as_str().unwrap();
    let id = format!("00000000-0000-4000-9000-{starts:012}");
    let mut command = Command::new(root.join(executable));
    command
        .current_dir(root)
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "LLVM_PROFILE_FILE"))
        .envs(settings)
        .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
        .env("FUNCTIONS_HTTPWORKER_PORT", port.to_string())
        .env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID", &id)
        .env("FUNCTIONS_HTTPWORKER_ID", &id)
        .env("FUNCTIONS_APP_ROOT_PATH", root)
        .env("FUNCTIONS_CORETOOLS_ENVIRONMENT", "true")
        .env("FUNCTIONS_WORKER_RUNTIME", "custom")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("the handler cannot be started: {error}"))?;
    collect(child.stdout.take().unwrap(), Arc::clone(log), |_| Level::Information);
    collect(child.stderr.take().unwrap(), Arc::clone(log), |line| {
        if line.to_ascii_lowercase().contains("warn") { Level::Warning } else { Level::Error }
    });
    Ok(child)
}

/// Reads a pipe by line until its end.
pub fn collect(pipe: impl AsyncRead + Send + Unpin + 'static, log: Arc<Mutex<Vec<Line>>>, level: fn(&str) -> Level) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            log.lock().unwrap().push(Line { level: level(&text), text });
        }
    });
}
