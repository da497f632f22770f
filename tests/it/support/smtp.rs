//! A small mail server of this machine: takes mail, or answers as it was told to. It knows no TLS.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A mail as it came.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    pub commands: Vec<String>,
    pub lines: Vec<String>,
}

impl Letter {
    /// The headers, unfolded.
    pub fn headers(&self) -> Vec<String> {
        let mut headers: Vec<String> = Vec::new();
        for line in self.lines.iter().take_while(|line| !line.is_empty()) {
            match headers.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
                Some(last) => last.push_str(line),
                None => headers.push(line.clone()),
            }
        }
        headers
    }
}

pub struct MailServer {
    pub port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
    server: JoinHandle<()>,
}

impl MailServer {
    /// `refusals`: an answer for the first command that begins with a word, such as `("RCPT", "550 5.1.1 no")`.
    pub async fn start(refusals: &'static [(&'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let letters: Arc<Mutex<Vec<Letter>>> = Arc::default();
        let kept = letters.clone();
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let letter = talk(stream, refusals).await;
                    kept.lock().unwrap().push(letter);
                });
            }
        });
        Self { port, letters, server }
    }

    /// What came, whether it was taken or not; waits for conversations that are just ending.
    pub async fn letters(&self) -> Vec<Letter> {
        for _ in 0..100 {
            if !self.letters.lock().unwrap().is_empty() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        self.letters.lock().unwrap().clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn talk(stream: TcpStream, refusals: &[(&str, &str)]) -> Letter {
    let mut letter = Letter::default();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let _ = write.write_all(b"220 mail.example ESMTP\r\n").await;
    while let Ok(Some(command)) = lines.next_line().await {
        letter.commands.push(command.clone());
        let verb = command.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        if let Some((_, answer)) = refusals.iter().find(|(word, _)| *word == verb) {
            let _ = write.write_all(format!("{answer}\r\n").as_bytes()).await;
            continue;
        }
        let answer = match verb.as_str() {
            "EHLO" => "250-mail.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" => "235 2.7.0 welcome\r\n",
            "DATA" => "354 go on\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 2.0.0 ok\r\n",
        };
        let _ = write.write_all(answer.as_bytes()).await;
        if verb == "DATA" {
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "." {
                    break;
                }
                letter.lines.push(line);
            }
            let _ = write.write_all(b"250 2.0.0 taken\r\n").await;
        }
        if verb == "QUIT" {
            break;
        }
    }
    letter
}
