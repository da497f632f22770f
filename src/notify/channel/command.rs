//! A program on this machine: its arguments are fixed, the notice comes on its input. No shell, none of our environment.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::webhook::type_prefix;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal};
use crate::notify::render::event::Envelope;
use crate::notify::render::fit;

/// The kind.
pub const KIND: Kind = Kind {
    name: "command",
    about: "a program on this machine (standalone)",
    example: r#"{"command": ["/usr/local/bin/tell-ops", "--from", "azure-health"]}"#,
    options: &[
        (
            "command",
            "the whole path of a program, and its arguments; exit 0: taken, 65: never, anything else: tried again",
        ),
        ("timeoutSeconds", "how long it may run, 1 to 30; default 20"),
        ("typePrefix", "what the types of events begin with; default `azurehealthpartner`"),
    ],
    open,
};

/// What a program is given at most.
const MOST_BYTES: usize = 65_536;
/// A program that says "this message never": `EX_DATAERR` of sysexits.h.
const NEVER: i32 = 65;
/// Where programs are found that the program calls by name.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

#[derive(Debug)]
struct Program {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
    envelope: Envelope,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let all = options.list("command");
    let timeout = options.timeout();
    let type_prefix = type_prefix(options);
    if !options.wire.local {
        options.fault("kind", "command works only where the program runs on a machine of one's own");
        return None;
    }
    let Some((program, arguments)) = all.split_first() else {
        options.fault("command", "is missing: the path of a program, then its arguments");
        return None;
    };
    if !std::path::Path::new(program).is_absolute() {
        options.fault("command", "must begin with the whole path of a program");
        return None;
    }
    Some(Arc::new(Program {
        program: program.clone(),
        arguments: arguments.to_vec(),
        timeout: timeout.unwrap_or(options.wire.guard.patience()),
        envelope: Envelope { source: options.wire.source.clone(), type_prefix },
    }))
}

/// The event that goes to local channels: one line of JSON.
pub(super) fn line_of(envelope: &Envelope, parcel: &Parcel) -> String {
    fit(|caps| envelope.event(parcel, caps).to_string(), |event: &String| event.len() < MOST_BYTES)
}

#[async_trait]
impl Channel for Program {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.program.clone()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 1, per_minute: 120 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        let line = line_of(&self.envelope, parcel);
        let pretty = serde_json::from_str(&line).map(|value: serde_json::Value| format!("{value:#}"));
        vec![Preview { content_type: "application/cloudevents+json", body: pretty.unwrap_or(line) }]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let later = |why: &str| Refusal::Later { why: format!("the program {why}"), retry_after: None };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // Our environment has secrets.
            .env_clear()
            .env("PATH", PATH)
            .env("NOTICE_ID", parcel.id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|_| later("cannot be started"))?;
        let mut input = child.stdin.take().ok_or_else(|| later("has no input"))?;
        let line = format!("{}\n", line_of(&self.envelope, parcel));
        let run = async {
            // A program that does not read its input may still have done its work: its exit code counts.
            let _ = input.write_all(line.as_bytes()).await;
            drop(input);
            child.wait().await
        };
        match tokio::time::timeout(self.timeout, run).await {
            Err(_) => Err(later("took too long and was ended")),
            Ok(Err(_)) => Err(later("was lost")),
            Ok(Ok(status)) => match status.code() {
                Some(0) => Ok(Receipt { detail: "exit 0".to_owned() }),
                Some(NEVER) => Err(Refusal::Never { why: format!("the program ended with {NEVER}") }),
                Some(code) => Err(later(&format!("ended with {code}"))),
                None => Err(later("was ended by a signal")),
            },
        }
    }
}
