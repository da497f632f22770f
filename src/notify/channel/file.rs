//! A file on this machine: one line of JSON for each message, at its end.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt as _;

use super::command::line_of;
use super::webhook::type_prefix;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal};
use crate::notify::render::event::Envelope;

/// The kind.
pub const KIND: Kind = Kind {
    name: "file",
    about: "a file on this machine, one line of JSON each (standalone)",
    example: r#"{"path": "/var/log/azure-health/notices.jsonl"}"#,
    options: &[
        ("path", "the whole path of the file"),
        ("typePrefix", "what the types of events begin with; default `azurehealthpartner`"),
    ],
    open,
};

#[derive(Debug)]
struct File {
    path: PathBuf,
    envelope: Envelope,
    /// One line at a time.
    turn: tokio::sync::Mutex<()>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let path = options.needed("path", "/var/log/azure-health/notices.jsonl").map(PathBuf::from);
    let type_prefix = type_prefix(options);
    if !options.wire.local {
        options.fault("kind", "file works only where the program runs on a machine of one's own");
        return None;
    }
    let path = path?;
    if !path.is_absolute() || path.file_name().is_none() {
        options.fault("path", "must be the whole path of a file");
        return None;
    }
    let envelope = Envelope { source: options.wire.source.clone(), type_prefix };
    Some(Arc::new(File { path, envelope, turn: tokio::sync::Mutex::default() }))
}

#[async_trait]
impl Channel for File {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.path.display().to_string()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 1, per_minute: 6_000 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        vec![Preview { content_type: "application/x-ndjson", body: line_of(&self.envelope, parcel) }]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let line = format!("{}\n", line_of(&self.envelope, parcel));
        let _turn = self.turn.lock().await;
        let written = async {
            let mut file = OpenOptions::new().append(true).create(true).open(&self.path).await?;
            // In one write, so that lines of several programs do not mix.
            file.write_all(line.as_bytes()).await?;
            file.sync_data().await
        };
        match written.await {
            Ok(()) => Ok(Receipt { detail: format!("{} bytes", line.len()) }),
            Err(error) => {
                Err(Refusal::Later { why: format!("the file cannot be written: {}", error.kind()), retry_after: None })
            }
        }
    }
}
