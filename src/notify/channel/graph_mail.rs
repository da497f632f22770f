//! Mail through Microsoft Graph, from a mailbox of the partner's tenant.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::options::is_mailbox;
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal};
use crate::azure::{self, Mail, MailBody, MailError};
use crate::notify::render::{Message, Tone, fit, html};

/// The kind.
pub const KIND: Kind = Kind {
    name: "graphMail",
    about: "mail through Microsoft Graph (sendMail)",
    example: r#"{"from": "health@contoso.com", "to": ["ops@contoso.com"], "contacts": true}"#,
    options: &[
        (
            "from",
            "the mailbox that sends, in the partner's tenant; an address of `*.onmicrosoft.com` may write to 100 outside recipients a day",
        ),
        ("to", "addresses"),
        ("cc", "addresses"),
        ("bcc", "addresses"),
        ("replyTo", "addresses"),
        ("contacts", "true: the customer's contacts too; never of a message about several customers"),
    ],
    open,
};

/// Mail programs cut off what is longer.
pub(super) const MOST_HTML: usize = 90_000;
/// The most recipients of one message.
pub(super) const MOST_RECIPIENTS: usize = 100;
/// How soon a permission that may still spread is tried again.
const SPREADING: Duration = Duration::from_secs(5 * 60);

/// Who gets a mail: addresses that are set, and the customer's contacts.
#[derive(Debug)]
pub(super) struct Recipients {
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub reply_to: Vec<String>,
    contacts: bool,
}

impl Recipients {
    pub(super) fn read(options: &mut Options<'_>) -> Self {
        let mailboxes = |options: &mut Options<'_>, field| options.mailboxes(field);
        let all = Self {
            to: mailboxes(options, "to"),
            cc: mailboxes(options, "cc"),
            bcc: mailboxes(options, "bcc"),
            reply_to: mailboxes(options, "replyTo"),
            contacts: options.flag("contacts"),
        };
        if all.to.is_empty() && !all.contacts {
            options.fault("to", "is missing: addresses, or \"contacts\": true for those of the customer");
        }
        if all.to.len() + all.cc.len() + all.bcc.len() > MOST_RECIPIENTS {
            options.fault(
                "to",
                format!("has with cc and bcc more than {MOST_RECIPIENTS} addresses: use a distribution list"),
            );
        }
        all
    }

    /// The recipients of this parcel. A bundle is of one channel, but maybe of several customers: its contacts are told only what
    /// concerns them, so that a bundle of several customers has none.
    pub(super) fn of(&self, parcel: &Parcel) -> Result<Vec<String>, Refusal> {
        let mut to = self.to.clone();
        if self.contacts {
            let mut customers = parcel.notices.iter().map(|notice| notice.story.customer.as_ref());
            let first = customers.next().flatten();
            if let Some(first) =
                first.filter(|first| customers.all(|next| next.is_some_and(|next| next.tenant_id == first.tenant_id)))
            {
                let room = MOST_RECIPIENTS.saturating_sub(to.len() + self.cc.len() + self.bcc.len());
                let new = first.contacts.iter().filter(|one| is_mailbox(one) && !to.contains(one)).take(room);
                let new: Vec<_> = new.cloned().collect();
                to.extend(new);
            }
        }
        if to.is_empty() {
            return Err(Refusal::Never { why: "there is nobody to write to: the customer has no contacts".to_owned() });
        }
        Ok(to)
    }
}

#[derive(Debug)]
struct GraphMail {
    from: String,
    recipients: Recipients,
    partner: String,
    azure: azure::Client,
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let from = options.needed("from", "health@contoso.com");
    if from.as_deref().is_some_and(|from| !is_mailbox(from)) {
        options.fault("from", "must be the address of a mailbox");
    }
    let recipients = Recipients::read(options);
    let partner = options.wire.partner.clone();
    Some(Arc::new(GraphMail { from: from?, recipients, partner, azure: options.wire.azure.clone() }))
}

/// The HTML of a mail.
pub(super) fn document(parcel: &Parcel, partner: &str) -> (Message, String) {
    let make = |caps| {
        let message = Message::of(parcel, caps);
        let document = html::document(&message, partner);
        (message, document)
    };
    fit(make, |(_, document)| document.len() <= MOST_HTML)
}

impl GraphMail {
    fn mail(&self, parcel: &Parcel) -> Result<Mail, Refusal> {
        let (message, document) = document(parcel, &self.partner);
        let mut headers = vec![("x-azure-health-notice".to_owned(), parcel.id.to_string())];
        if let [only] = parcel.notices.as_slice() {
            headers.extend(
                only.story.event.iter().map(|event| ("x-azure-health-event".to_owned(), event.tracking_id.to_string())),
            );
        }
        Ok(Mail {
            from: self.from.clone(),
            to: self.recipients.of(parcel)?,
            cc: self.recipients.cc.clone(),
            bcc: self.recipients.bcc.clone(),
            reply_to: self.recipients.reply_to.clone(),
            subject: message.subject,
            body: MailBody::Html(document),
            headers,
            important: message.tone == Tone::Critical,
            attachments: Vec::new(),
            keep_copy: false,
        })
    }
}

#[async_trait]
impl Channel for GraphMail {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.from.to_lowercase()
    }

    /// What Exchange lets one application do to one mailbox.
    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: 30 }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        match self.mail(parcel) {
            Ok(Mail { body: MailBody::Html(body), subject, to, .. }) => vec![
                Preview { content_type: "text/plain", body: format!("To: {}\nSubject: {subject}\n", to.join(", ")) },
                Preview { content_type: "text/html", body },
            ],
            Ok(_) => Vec::new(),
            Err(refusal) => vec![Preview { content_type: "text/plain", body: refusal.to_string() }],
        }
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let mail = self.mail(parcel)?;
        match self.azure.send_mail(&mail).await {
            Ok(_) => Ok(Receipt { detail: "202".to_owned() }),
            Err(error) => Err(refused(error, parcel)),
        }
    }
}

fn refused(error: MailError, parcel: &Parcel) -> Refusal {
    let code =
        error.refusal().map(|refusal| format!("{} {}", refusal.status, code_of(&refusal.code))).unwrap_or_default();
    match error {
        MailError::Invalid { what } => Refusal::Never { why: what },
        MailError::Token(_) => {
            Refusal::Later { why: "our application has no token for Graph".to_owned(), retry_after: None }
        }
        MailError::Refused(_) => Refusal::Never { why: format!("Graph answered {code}") },
        MailError::NotPermitted(_) if parcel.within_first_hour() => Refusal::Later {
            why: format!("Graph answered {code}: a fresh permission takes up to an hour"),
            retry_after: Some(SPREADING),
        },
        MailError::NotPermitted(_) => {
            Refusal::Gone { why: format!("our application may not send as this mailbox: Graph answered {code}") }
        }
        MailError::NoMailbox(_) => Refusal::Gone { why: format!("there is no such mailbox: Graph answered {code}") },
        MailError::Throttled { retry_after } => Refusal::Later { why: "the mailbox must rest".to_owned(), retry_after },
        MailError::Unavailable { .. } => {
            Refusal::Later { why: "Graph failed or could not be reached".to_owned(), retry_after: None }
        }
    }
}

/// A code of an error, letters and digits only.
pub(super) fn code_of(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect()
}
