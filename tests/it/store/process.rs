//! A second process on the same directory: this test binary once more, serving a directory over its standard streams.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use health_monitor::store::{Backend, Blob, ETag, Error, Listed, Local};
use serde::{Deserialize, Serialize};

/// Marks our lines among those that the test harness prints.
const MARK: &str = "STORE-PROCESS ";

#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    Open {
        directory: String,
    },
    Get {
        path: String,
    },
    Create {
        path: String,
        body: String,
    },
    Update {
        path: String,
        body: String,
        etag: String,
    },
    List {
        prefix: String,
    },
    Delete {
        path: String,
    },
    /// Write until killed, telling each document that is safe.
    Hammer {
        writer: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    Nothing,
    Version(String),
    Document { body: String, etag: String },
    Listing(Vec<(String, String)>),
    AlreadyExists,
    Conflict,
    Failed(String),
    Wrote { path: String, count: u64 },
}

/// A running second process.
pub struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::process::serves_a_directory_to_the_test_that_started_it",
                "--ignored",
                "--nocapture",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut process = Self { child, input, output };
        let opened = process.ask(&Ask::Open { directory: directory.to_str().unwrap().to_owned() });
        assert!(matches!(opened, Answer::Nothing), "{opened:?}");
        process
    }

    pub fn send(&mut self, ask: &Ask) {
        writeln!(self.input, "{}", serde_json::to_string(ask).unwrap()).unwrap();
    }

    /// The next answer, or None when the process has ended.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some((_, answer)) = line.split_once(MARK) {
                // A killed process may leave half a line.
                return serde_json::from_str(answer).ok();
            }
            line.clear();
        }
        None
    }

    pub fn ask(&mut self, ask: &Ask) -> Answer {
        self.send(ask);
        self.answer().expect("the second process answers")
    }

    /// SIGKILL: nothing in the process can react.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The documents of the second process as a backend of this one.
pub struct OtherProcess(Arc<Mutex<Process>>);

impl std::fmt::Debug for OtherProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OtherProcess")
    }
}

impl OtherProcess {
    pub fn start(directory: &Path) -> Self {
        Self(Arc::new(Mutex::new(Process::start(directory))))
    }

    async fn ask(&self, path: &str, ask: Ask) -> Result<Answer, Error> {
        let process = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || process.lock().unwrap().ask(&ask)).await.unwrap() {
            Answer::AlreadyExists => Err(Error::AlreadyExists { path: path.to_owned() }),
            Answer::Conflict => Err(Error::Conflict { path: path.to_owned() }),
            Answer::Failed(why) => Err(Error::Unavailable { doing: "answer".to_owned(), source: why.into() }),
            answer => Ok(answer),
        }
    }
}

#[async_trait]
impl Backend for OtherProcess {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        match self.ask(path, Ask::Get { path: path.to_owned() }).await? {
            Answer::Nothing => Ok(None),
            Answer::Document { body, etag } => {
                Ok(Some(Blob { body: STANDARD.decode(body).unwrap().into(), etag: ETag(etag) }))
            }
            answer => panic!("{answer:?}"),
        }
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        match self.ask(path, Ask::Create { path: path.to_owned(), body: STANDARD.encode(body) }).await? {
            Answer::Version(etag) => Ok(ETag(etag)),
            answer => panic!("{answer:?}"),
        }
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        let ask = Ask::Update { path: path.to_owned(), body: STANDARD.encode(body), etag: etag.0.clone() };
        match self.ask(path, ask).await? {
            Answer::Version(etag) => Ok(ETag(etag)),
            answer => panic!("{answer:?}"),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        match self.ask(prefix, Ask::List { prefix: prefix.to_owned() }).await? {
            Answer::Listing(lines) => {
                Ok(lines.into_iter().map(|(path, etag)| Listed { path, etag: ETag(etag) }).collect())
            }
            answer => panic!("{answer:?}"),
        }
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        self.ask(path, Ask::Delete { path: path.to_owned() }).await.map(drop)
    }
}

fn tell(answer: &Answer) {
    // A line of its own: the harness leaves its own line open.
    println!("\n{MARK}{}", serde_json::to_string(answer).unwrap());
}

async fn serve(store: &Local, ask: Ask) -> Result<Answer, Error> {
    let bytes = |text: &str| Bytes::from(STANDARD.decode(text).unwrap());
    Ok(match ask {
        Ask::Get { path } => match store.get(&path).await? {
            Some(blob) => Answer::Document { body: STANDARD.encode(blob.body), etag: blob.etag.0 },
            None => Answer::Nothing,
        },
        Ask::Create { path, body } => Answer::Version(store.create(&path, bytes(&body)).await?.0),
        Ask::Update { path, body, etag } => Answer::Version(store.update(&path, bytes(&body), &ETag(etag)).await?.0),
        Ask::List { prefix } => {
            Answer::Listing(store.list(&prefix).await?.into_iter().map(|line| (line.path, line.etag.0)).collect())
        }
        Ask::Delete { path } => {
            store.delete(&path).await?;
            Answer::Nothing
        }
        Ask::Hammer { writer } => {
            super::crash::hammer(store, &writer, |path, count| {
                tell(&Answer::Wrote { path: path.to_owned(), count });
            })
            .await
        }
        Ask::Open { .. } => unreachable!("a process opens one directory"),
    })
}

#[test]
#[ignore = "the second process of other tests, which start it; alone it has nothing to do"]
fn serves_a_directory_to_the_test_that_started_it() {
    let mut asks = std::io::stdin().lines().map(|line| serde_json::from_str::<Ask>(&line.unwrap()).unwrap());
    let Some(Ask::Open { directory }) = asks.next() else { return };
    let store = Local::open(directory).unwrap();
    tell(&Answer::Nothing);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for ask in asks {
        tell(&match runtime.block_on(serve(&store, ask)) {
            Ok(answer) => answer,
            Err(Error::AlreadyExists { .. }) => Answer::AlreadyExists,
            Err(Error::Conflict { .. }) => Answer::Conflict,
            Err(error) => Answer::Failed(error.to_string()),
        });
    }
}
