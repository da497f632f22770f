//! How soon a handler answers after it was started, and what it holds when nothing happens: each program as the Functions host
//! starts it, one after the other. The host knocks each 25 ms; here it is knocked all the time.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;

use crate::Common;
use crate::output;

/// After this time a handler that has nothing to do is at rest.
const REST: Duration = Duration::from_secs(2);
/// Who does not answer by then will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Programs that listen on FUNCTIONS_CUSTOMHANDLER_PORT, or on the port that is their first argument
    #[arg(required = true, value_name = "PROGRAM")]
    programs: Vec<PathBuf>,
    /// How often each is started
    #[arg(long, default_value_t = 30)]
    rounds: usize,
}

/// One program's figures.
struct Figures {
    answers: Vec<Duration>,
    idle_kib: u64,
}

pub fn run(common: &Common, options: &Options) -> anyhow::Result<ExitCode> {
    let mut table = output::table(&[
        "Program",
        "Size, MB",
        "First answer: best, ms",
        "half within, ms",
        "90 % within, ms",
        "Idle, MiB",
    ]);
    let mut rows = Vec::new();
    for program in &options.programs {
        let figures = measure(program, options.rounds).with_context(|| program.display().to_string())?;
        let at = |share: usize| {
            figures.answers.get(figures.answers.len() * share / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        let size = std::fs::metadata(program)?.len() as f64 / 1e6;
        let idle = figures.idle_kib as f64 / 1024.0;
        table.add_row([
            program.display().to_string(),
            format!("{size:.1}"),
            format!("{:.1}", at(0)),
            format!("{:.1}", at(50)),
            format!("{:.1}", at(90)),
            format!("{idle:.1}"),
        ]);
        rows.push(json!({"program": program, "megabytes": size, "bestMs": at(0), "medianMs": at(50), "p90Ms": at(90), "idleMiB": idle}));
    }
    if common.json {
        output::json(&json!({"value": rows}))?;
    } else {
        println!("{table}");
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(program: &Path, rounds: usize) -> anyhow::Result<Figures> {
    let program = program.canonicalize()?;
    let mut figures = Figures { answers: Vec::new(), idle_kib: 0 };
    // The first start reads the program from disk and is not counted.
    for round in 0..=rounds {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mut command = Command::new(&program);
        command.arg(port.to_string()).env_clear().envs(SETTINGS).env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn()?;
        let answered = first_answer(port, started);
        if answered.is_some() && round == rounds {
            std::thread::sleep(REST);
            figures.idle_kib = resident_kib(child.id())?;
        }
        let ended = child.try_wait()?;
        // One that has ended already cannot be ended again.
        let _ = child.kill();
        let _ = child.wait();
        match answered {
            Some(took) if round > 0 => figures.answers.push(took),
            Some(_) => {}
            None => anyhow::bail!("it gave no answer within {PATIENCE:?} ({ended:?})"),
        }
    }
    figures.answers.sort();
    Ok(figures)
}

fn first_answer(port: u16, started: Instant) -> Option<Duration> {
    while started.elapsed() < PATIENCE {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            let mut byte = [0];
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").ok()?;
            if stream.read_exact(&mut byte).is_ok() {
                return Some(started.elapsed());
            }
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    None
}

/// Settings as a deployed handler has them: documents in Blob storage, with an identity. Nothing is called before work arrives.
const SETTINGS: [(&str, &str); 8] = [
    ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
    ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
    ("AZURE_CLIENT_SECRET", "no-secret-at-all"),
    ("PUBLIC_BASE_URL", "https://monitor.example"),
    ("PARTNER_NAME", "Contoso Managed Services"),
    ("SESSION_KEYS", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
    ("AzureWebJobsStorage__accountName", "monitorexample"),
    ("POLL_SCHEDULE", "0 * * * * *"),
];

/// What of a process is in memory, from Linux.
fn resident_kib(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("its memory, which only Linux tells")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS")
}
