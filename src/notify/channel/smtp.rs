//! Mail through SMTP: over TLS only, each mail over its own connection to an address that was checked.

use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::{ExposeSecret as _, SecretString};

use super::graph_mail::{Recipients, document};
use super::guard::Guard;
use super::options::is_mailbox;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, address};
use crate::model::Timestamp;
use crate::notify::render::{Tone, text};
use crate::outside::Clock;
use crate::settings::Reach;

/// The kind.
pub const KIND: Kind = Kind {
    name: "smtp",
    about: "mail through SMTP (TLS)",
    example: r#"{"host": "smtp.contoso.com", "user": "health", "passwordSetting": "NOTIFY_SMTP_PASSWORD",
  "from": "health@contoso.com", "to": ["ops@contoso.com"]}"#,
    options: &[
        ("host", "the mail server"),
        ("port", "default 587, with `tls` 465"),
        ("security", "`startTls` (default), `tls`, or `none` to this machine"),
        ("user", "the login"),
        ("passwordSetting", "the setting that holds its password"),
        ("from", "the sender"),
        ("to", "addresses"),
        ("cc", "addresses"),
        ("bcc", "addresses"),
        ("replyTo", "addresses"),
        ("contacts", "true: the customer's contacts too; never of a message about several customers"),
    ],
    open,
};

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    /// From its first byte, port 465.
    Tls,
    /// From STARTTLS on, port 587; a server without it gets nothing.
    StartTls,
    /// Not: to this machine only.
    None,
}

#[derive(Debug)]
struct Smtp {
    host: String,
    port: u16,
    security: Security,
    login: Option<(String, SecretString)>,
    from: Address,
    recipients: Recipients,
    partner: String,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let host = options.needed("host", "smtp.contoso.com");
    let security = match options.word("security", &["startTls", "tls", "none"]) {
        "tls" => Security::Tls,
        "none" => Security::None,
        _ => Security::StartTls,
    };
    let usual = if security == Security::Tls { 465 } else { 587 };
    let port = options.number("port", 1, 65_535).unwrap_or(usual) as u16;
    let reach = options.wire.guard.reach();
    if let Some(host) = &host {
        // The same rules as for addresses of the web; the port is a mail server's.
        match address::target(&format!("https://{host}/"), reach) {
            Ok(url) if url.host_str() != Some(host.to_ascii_lowercase().as_str()) => {
                options.fault("host", "must be the name of a host and nothing else");
            }
            Ok(_) => {}
            Err(why) => options.fault("host", why),
        }
    }
    if reach == Reach::Public && ![25, 465, 587, 2525].contains(&port) {
        options.fault("port", "must be 465, 587, 2525 or 25");
    }
    if security == Security::None {
        let local = host.as_deref().is_some_and(|host| host == "localhost" || host.starts_with("127."));
        if reach == Reach::Public || !local {
            options.fault("security", "may be none only to this machine, where PRIVATE_DESTINATIONS allows it");
        }
    }
    let user = options.text("user");
    let password = options.secret("passwordSetting");
    if user.is_some() != password.is_some() {
        options.fault("user", "and passwordSetting belong together");
    }
    let from = options.needed("from", "health@contoso.com").and_then(|from| {
        let address = from.parse::<Address>().ok().filter(|_| is_mailbox(&from));
        if address.is_none() {
            options.fault("from", "must be a mail address");
        }
        address
    });
    let recipients = Recipients::read(options);
    Some(Arc::new(Smtp {
        host: host?,
        port,
        security,
        login: user.zip(password),
        from: from?,
        recipients,
        partner: options.wire.partner.clone(),
        guard: options.wire.guard.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

impl Smtp {
    fn mail(&self, parcel: &Parcel, now: Timestamp) -> Result<lettre::Message, Refusal> {
        let never = |what: &str| Refusal::Never { why: format!("the mail cannot be written: {what}") };
        let mailbox =
            |text: &String| text.parse().map(|address| Mailbox::new(None, address)).map_err(|_| never("an address"));
        let (message, document) = document(parcel, &self.partner);
        let domain = self.from.domain();
        let mut mail = lettre::Message::builder()
            // The partner's name, in one line; lettre encodes what is not ASCII.
            .from(Mailbox::new(Some(crate::notify::render::line(&self.partner, 80)), self.from.clone()))
            .subject(message.subject.as_str())
            .date(now.into())
            .message_id(Some(format!("<{}@{domain}>", parcel.id)));
        for to in &self.recipients.of(parcel)? {
            mail = mail.to(mailbox(to)?);
        }
        for cc in &self.recipients.cc {
            mail = mail.cc(mailbox(cc)?);
        }
        for bcc in &self.recipients.bcc {
            mail = mail.bcc(mailbox(bcc)?);
        }
        for reply_to in &self.recipients.reply_to {
            mail = mail.reply_to(mailbox(reply_to)?);
        }
        if let [only] = parcel.notices.as_slice() {
            // Nobody ever gets the mail of this id: mail programs show together what refers to the same.
            let thread = format!("<thread-{}@{domain}>", only.thread_lane());
            mail = mail.in_reply_to(thread.clone()).references(thread);
        }
        let mut own =
            vec![("Auto-Submitted", "auto-generated".to_owned()), ("X-Azure-Health-Notice", parcel.id.to_string())];
        if message.tone == Tone::Critical {
            own.push(("Importance", "high".to_owned()));
        }
        for (name, value) in own {
            mail = mail.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        let boundary = format!("part-{}", parcel.id);
        let parts = MultiPart::alternative().boundary(boundary);
        let parts = parts.singlepart(SinglePart::plain(text::text(&message))).singlepart(SinglePart::html(document));
        mail.multipart(parts).map_err(|_| never("its parts"))
    }
}

#[async_trait]
impl Channel for Smtp {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        format!("{} as {}", self.host, self.from)
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 2, per_minute: 30 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        let body = match self.mail(parcel, parcel.sent_at) {
            Ok(mail) => String::from_utf8_lossy(&mail.formatted()).replace("\r\n", "\n"),
            Err(refusal) => refusal.to_string(),
        };
        vec![Preview { content_type: "message/rfc822", body }]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let mail = self.mail(parcel, self.clock.now())?;
        let address = self.guard.address_of(&self.host).await?;
        if self.security == Security::None && !address.is_loopback() {
            return Err(Refusal::Never { why: "without TLS mail goes to this machine only".to_owned() });
        }
        // The connection goes to the checked address; the certificate must be the name's.
        let tls = || {
            TlsParameters::new(self.host.clone())
                .map_err(|_| Refusal::Later { why: "TLS cannot be started here".to_owned(), retry_after: None })
        };
        let tls = match self.security {
            Security::Tls => Tls::Wrapper(tls()?),
            Security::StartTls => Tls::Required(tls()?),
            Security::None => Tls::None,
        };
        let domain = self.from.domain().to_owned();
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.to_string())
            .port(self.port)
            .tls(tls)
            .hello_name(ClientId::Domain(domain))
            .timeout(Some(self.guard.patience()));
        if let Some((user, password)) = &self.login {
            transport = transport.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        let transport = transport.build();
        let patience = self.guard.patience();
        // The timeout of the library is one of each step; a server that dawdles at each of them has this one.
        match tokio::time::timeout(patience * 2, transport.send(mail)).await {
            Ok(Ok(response)) => Ok(Receipt { detail: u16::from(response.code()).to_string() }),
            Ok(Err(error)) => Err(refused(&error)),
            Err(_) => Err(Refusal::Later { why: "the mail server took too long".to_owned(), retry_after: None }),
        }
    }
}

fn refused(error: &lettre::transport::smtp::Error) -> Refusal {
    let code = error.status().map(u16::from);
    let shown = code.map_or_else(|| "nothing".to_owned(), |code| code.to_string());
    // Exchange Online turns passwords off with a code of its own behind a usual 550.
    let login = matches!(code, Some(530 | 534 | 535 | 538)) || error.to_string().contains("5.7.30");
    match code {
        Some(_) if login => Refusal::Gone { why: format!("the mail server refused our login: it answered {shown}") },
        Some(_) if error.is_permanent() => Refusal::Never { why: format!("the mail server answered {shown}") },
        Some(_) => Refusal::Later { why: format!("the mail server answered {shown}"), retry_after: None },
        None if error.is_tls() => Refusal::Later {
            why: "no TLS connection with the mail server: its certificate, or it offers none".to_owned(),
            retry_after: None,
        },
        None if error.is_client() => Refusal::Later {
            why: "the mail server lacks what was asked of it, such as STARTTLS or a way to log in".to_owned(),
            retry_after: None,
        },
        None => Refusal::Later { why: "no connection with the mail server".to_owned(), retry_after: None },
    }
}
