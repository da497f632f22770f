//! Mail through Microsoft Graph, on behalf of a user or a shared mailbox of the partner's tenant ("Graph, Azure Monitor,
//! notification and portal-API contract", section 2).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::graph::{graph_answer, segment};
use super::request::header;
use super::service::Ask;
use super::{Client, Error, Refusal, Service};
use crate::model::Timestamp;

/// The largest request that Graph takes is about 4 MB; attachments are base64 in it.
const MOST_BYTES: usize = 4_000_000;
/// Recipients of one message, as Exchange has it by default.
const MOST_RECIPIENTS: usize = 500;
/// Headers of our own that Graph takes on one message.
const MOST_HEADERS: usize = 5;
/// What Exchange lets one application do to one mailbox at once.
const AT_ONCE: usize = 4;
/// Messages of one mailbox in one minute.
const PER_MINUTE: usize = 30;
/// More senders than a partner has; beyond it, those that rest are forgotten.
const MOST_MAILBOXES: usize = 1_000;

/// A message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mail {
    /// The mailbox that sends: sign-in name or object id of a user, or address of a shared mailbox.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Recipients of copies.
    pub cc: Vec<String>,
    /// Recipients of copies whom nobody sees.
    pub bcc: Vec<String>,
    /// Where answers go, when not to the sender.
    pub reply_to: Vec<String>,
    /// One line.
    pub subject: String,
    /// The text.
    pub body: MailBody,
    /// Headers of our own; their names begin with `x-`.
    pub headers: Vec<(String, String)>,
    /// Marked as important.
    pub important: bool,
    /// Files.
    pub attachments: Vec<Attachment>,
    /// Kept among the sender's sent items.
    pub keep_copy: bool,
}

/// The text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailBody {
    /// Plain text.
    Text(String),
    /// HTML, cleaned by whoever made it.
    Html(String),
}

impl Default for MailBody {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A file that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its type, such as `application/json`.
    pub content_type: String,
    /// Its bytes, below 3 MB.
    pub bytes: Vec<u8>,
}

/// Graph has taken a message: it has not arrived yet, and may still come back to the sender's mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Graph's id of the request, for support.
    pub request_id: Option<String>,
}

/// Why a message was not taken, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The message breaks a rule that we know: it was not sent, and never will be as it is.
    #[error("the message cannot be sent: {what}")]
    Invalid {
        /// Which rule.
        what: String,
    },
    /// Our application has no token for Graph.
    #[error(transparent)]
    Token(Error),
    /// Graph refused the message itself (400, 413): never as it is.
    #[error("Graph refused the message: {0}")]
    Refused(Box<Refusal>),
    /// Our application may not send as this mailbox (401, 403), or not yet: a fresh permission takes up to an hour.
    #[error("our application may not send as this mailbox: {0}")]
    NotPermitted(Box<Refusal>),
    /// There is no such mailbox (404).
    #[error("there is no such mailbox: {0}")]
    NoMailbox(Box<Refusal>),
    /// Graph asked us to slow down, or the mailbox has sent its 30 messages of this minute. Nothing was sent.
    #[error("the mailbox must rest")]
    Throttled {
        /// For how long.
        retry_after: Option<Duration>,
    },
    /// Graph failed or could not be reached. Sent again, the message may arrive twice: Graph has no idempotency key.
    #[error("Graph could not be reached or failed: {what}")]
    Unavailable {
        /// What happened.
        what: String,
    },
}

impl MailError {
    /// The refusal by Graph, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) | Self::NotPermitted(refusal) | Self::NoMailbox(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// What each mailbox has sent, in this process.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes(Mutex<HashMap<String, Arc<Mailbox>>>);

#[derive(Debug)]
struct Mailbox {
    places: Arc<Semaphore>,
    /// When the messages of the last minute were sent.
    sent: Mutex<VecDeque<Timestamp>>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), sent: Mutex::default() }
    }
}

impl Mailboxes {
    fn of(&self, from: &str) -> Arc<Mailbox> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_MAILBOXES {
            all.retain(|_, mailbox| Arc::strong_count(mailbox) > 1);
        }
        Arc::clone(all.entry(from.to_lowercase()).or_default())
    }
}

impl Mailbox {
    /// Takes one of this minute's messages, or says how long there is none.
    fn take(&self, now: Timestamp) -> Result<(), Duration> {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = TimeDelta::minutes(1);
        while sent.front().is_some_and(|at| now - *at >= minute) {
            sent.pop_front();
        }
        match sent.front() {
            Some(first) if sent.len() >= PER_MINUTE => {
                Err((*first + minute - now).to_std().unwrap_or(Duration::from_secs(1)))
            }
            _ => {
                sent.push_back(now);
                Ok(())
            }
        }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // Nobody closes the semaphore.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }
}

impl Client {
    /// Sends a message in the partner's tenant: one try, at most four at once and thirty a minute for each mailbox. Taken is not
    /// arrived.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send_mail(&self, mail: &Mail) -> Result<Accepted, MailError> {
        let body = body_of(mail)?;
        let tenant = self.identity.tenant_id;
        let token = self.app_token_for(tenant, Service::Graph).await.map_err(MailError::Token)?;
        let mailbox = self.mailboxes.of(&mail.from);
        let _place = mailbox.place().await;
        mailbox.take(self.clock.now()).map_err(|wait| MailError::Throttled { retry_after: Some(wait) })?;
        let url = self.cloud.graph_url(&format!("/users/{}/sendMail", segment(&mail.from)));
        let told = self.ask(Ask::new(Method::POST, &url, &token).json(&body)).await.map_err(failed)?;
        let request_id = header(&told.headers, "request-id");
        match graph_answer(told) {
            Ok(_) => Ok(Accepted { request_id }),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: Error) -> MailError {
    match error {
        Error::Refused(refusal) => match refusal.status {
            401 | 403 => MailError::NotPermitted(refusal),
            404 => MailError::NoMailbox(refusal),
            _ => MailError::Refused(refusal),
        },
        Error::Throttled { retry_after } => MailError::Throttled { retry_after },
        Error::Unavailable { what } => MailError::Unavailable { what },
        Error::Unreadable { what } => MailError::Unavailable { what: format!("no {what}") },
        // Only readings are put off.
        error @ (Error::TokenRefused(_) | Error::Credential { .. }) => MailError::Token(error),
    }
}

/// The request's body, or the rule that the message breaks. Pure.
fn body_of(mail: &Mail) -> Result<Value, MailError> {
    let invalid = |what: String| Err(MailError::Invalid { what });
    if mail.from.trim().is_empty() {
        return invalid("it has no sender".to_owned());
    }
    let recipients = mail.to.len() + mail.cc.len() + mail.bcc.len();
    if recipients == 0 {
        return invalid("it has no recipient".to_owned());
    }
    if recipients > MOST_RECIPIENTS {
        return invalid(format!("it has {recipients} recipients, and Exchange takes {MOST_RECIPIENTS}"));
    }
    let addresses = || mail.to.iter().chain(&mail.cc).chain(&mail.bcc).chain(&mail.reply_to);
    if let Some(wrong) = addresses().position(|address| !is_address(address)) {
        return invalid(format!("recipient number {} is no address", wrong + 1));
    }
    if mail.subject.contains(['\r', '\n']) {
        return invalid("its subject has more than one line".to_owned());
    }
    if mail.headers.len() > MOST_HEADERS {
        return invalid(format!("it has more than {MOST_HEADERS} headers of its own"));
    }
    let token = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let fits = |(name, value): &(String, String)| {
        name.to_ascii_lowercase().starts_with("x-") && token(name) && !value.contains(['\r', '\n'])
    };
    if !mail.headers.iter().all(fits) {
        return invalid("a header's name does not begin with x-, or a header has more than one line".to_owned());
    }
    let people = |addresses: &[String]| -> Vec<Value> {
        addresses.iter().map(|address| json!({"emailAddress": {"address": address.trim()}})).collect()
    };
    let (kind, content) = match &mail.body {
        MailBody::Text(text) => ("Text", text),
        MailBody::Html(html) => ("HTML", html),
    };
    let mut message = json!({
        "subject": mail.subject,
        "body": {"contentType": kind, "content": content},
        "toRecipients": people(&mail.to),
    });
    // What is empty is left out: Graph refuses empty lists of headers.
    for (name, addresses) in [("ccRecipients", &mail.cc), ("bccRecipients", &mail.bcc), ("replyTo", &mail.reply_to)] {
        if !addresses.is_empty() {
            message[name] = people(addresses).into();
        }
    }
    if mail.important {
        message["importance"] = "high".into();
    }
    if !mail.headers.is_empty() {
        message["internetMessageHeaders"] =
            mail.headers.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    }
    if !mail.attachments.is_empty() {
        message["attachments"] = mail.attachments.iter().map(attachment).collect();
    }
    let body = json!({"message": message, "saveToSentItems": mail.keep_copy});
    let size = body.to_string().len();
    if size > MOST_BYTES {
        return invalid(format!("it has {size} bytes with its attachments, and Graph takes {MOST_BYTES}"));
    }
    Ok(body)
}

fn attachment(file: &Attachment) -> Value {
    use base64::Engine as _;
    json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.content_type,
        "contentBytes": base64::engine::general_purpose::STANDARD.encode(&file.bytes),
    })
}

/// True for what may be an address: Exchange has the last word.
fn is_address(text: &str) -> bool {
    let text = text.trim();
    let parts = text.rsplit_once('@');
    text.len() <= 320
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';'))
        && parts.is_some_and(|(name, domain)| !name.is_empty() && !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail {
            from: "health@fabrikam.example".to_owned(),
            to: vec!["ops@contoso.example".to_owned()],
            subject: "Outage".to_owned(),
            body: MailBody::Html("<p>It is over.</p>".to_owned()),
            ..Mail::default()
        }
    }

    #[test]
    fn a_message_is_written_as_graph_reads_it() {
        let full = Mail {
            cc: vec!["copy@contoso.example".to_owned()],
            headers: vec![("x-azure-health-event".to_owned(), "ABCD-123".to_owned())],
            important: true,
            attachments: vec![Attachment {
                name: "e.json".to_owned(),
                content_type: "application/json".to_owned(),
                bytes: b"{}".to_vec(),
            }],
            ..mail()
        };
        insta::assert_json_snapshot!(body_of(&full).expect("valid"), @r##"
        {
          "message": {
            "attachments": [
              {
                "@odata.type": "#microsoft.graph.fileAttachment",
                "contentBytes": "e30=",
                "contentType": "application/json",
                "name": "e.json"
              }
            ],
            "body": {
              "content": "<p>It is over.</p>",
              "contentType": "HTML"
            },
            "ccRecipients": [
              {
                "emailAddress": {
                  "address": "copy@contoso.example"
                }
              }
            ],
            "importance": "high",
            "internetMessageHeaders": [
              {
                "name": "x-azure-health-event",
                "value": "ABCD-123"
              }
            ],
            "subject": "Outage",
            "toRecipients": [
              {
                "emailAddress": {
                  "address": "ops@contoso.example"
                }
              }
            ]
          },
          "saveToSentItems": false
        }
        "##);
    }

    #[test]
    fn what_graph_would_refuse_is_not_sent() {
        let many = vec!["a@b.example".to_owned(); 501];
        let header = |name: &str, value: &str| Mail { headers: vec![(name.into(), value.into())], ..mail() };
        let big = Attachment { name: "a".into(), content_type: "b".into(), bytes: vec![0; 3_100_000] };
        for (wrong, why) in [
            (Mail { to: Vec::new(), ..mail() }, "no recipient"),
            (Mail { from: " ".into(), ..mail() }, "no sender"),
            (Mail { to: many, ..mail() }, "501 recipients"),
            (Mail { to: vec!["a@b.example, c@d.example".into()], ..mail() }, "no address"),
            (Mail { to: vec!["nobody".into()], ..mail() }, "no address"),
            (Mail { subject: "a\r\nBcc: x@y.example".into(), ..mail() }, "more than one line"),
            (header("reply-to", "x"), "x-"),
            (header("x-a", "b\nc"), "x-"),
            (Mail { attachments: vec![big], ..mail() }, "bytes"),
        ] {
            let error = body_of(&wrong).expect_err(why);
            assert!(error.to_string().contains(why), "{error} says {why}");
        }
    }

    #[test]
    fn a_mailbox_sends_thirty_messages_in_any_minute() {
        let mailbox = Mailbox::default();
        let at = |seconds| Timestamp::from_timestamp(seconds, 0).expect("in range");
        for second in 0..30 {
            assert_eq!(mailbox.take(at(second)), Ok(()));
        }
        assert_eq!(mailbox.take(at(45)), Err(Duration::from_secs(15)));
        assert_eq!(mailbox.take(at(60)), Ok(()));
        assert_eq!(mailbox.take(at(60)), Err(Duration::from_secs(1)));
    }
}
