//! `send-mail`: a message on behalf of a mailbox, with our application's own identity.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use health_monitor::azure::{Mail, MailBody, Service};
use health_monitor::daemon::{self, explain};
use serde_json::json;

use crate::Common;
use crate::asking::{Asking, explained, patiently};
use crate::output::{self, WrongInput};

const NEEDS: &str = "Mail.Send of Microsoft Graph, as an application permission with an administrator's consent";

#[derive(Debug, Args)]
pub struct Options {
    /// The mailbox that sends: sign-in name or object id; `sample_user` of the parameters file without it
    #[arg(long, value_name = "USER")]
    from: Option<String>,
    /// A recipient (several times for several); the sender himself without it
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// A recipient of a copy
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<String>,
    /// A recipient of a copy whom nobody sees
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<String>,
    /// One line
    #[arg(long, default_value = "A message from Azure Health Partner Monitor")]
    subject: String,
    /// The text; - reads it from standard input
    #[arg(long, default_value = "This message was sent with the identity of an application.", conflicts_with = "html")]
    text: String,
    /// A file with the text as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Mark it as important
    #[arg(long)]
    important: bool,
    /// Keep no copy among the sent items
    #[arg(long)]
    no_copy: bool,
    #[command(flatten)]
    asking: Asking,
}

pub async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let caller = options.asking.caller(common).await?;
    let from = options.from.or_else(|| caller.sample_user.clone());
    let from = from.ok_or_else(|| {
        WrongInput("--from names the mailbox that sends (or `sample_user` in the parameters file)".to_owned())
    })?;
    let body = match (&options.html, options.text.as_str()) {
        (Some(file), _) => {
            MailBody::Html(std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
        }
        (None, "-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("standard input")?;
            MailBody::Text(text)
        }
        (None, text) => MailBody::Text(text.to_owned()),
    };
    let to = if options.to.is_empty() { vec![from.clone()] } else { options.to };
    let mail = Mail {
        from: from.clone(),
        to,
        cc: options.cc,
        bcc: options.bcc,
        subject: options.subject,
        body,
        important: options.important,
        keep_copy: !options.no_copy,
        ..Mail::default()
    };
    warn_of_sender(&mail);
    let job = async |patience: &mut daemon::Patience<'_>| daemon::send(&caller.azure, &mail, patience).await;
    let (result, waited) = patiently(&options.asking, NEEDS, job).await;
    let accepted = match result {
        Ok(accepted) => accepted,
        Err(error) => {
            let explain = |asker: &explain::Asker<'_>| explain::mail(&error, &from, asker);
            let tenant = caller.identity.tenant_id;
            return Err(explained(&error, &caller, tenant, Service::Graph, waited, explain).await);
        }
    };
    if common.json {
        output::json(&json!({"accepted": true, "from": mail.from, "to": mail.to, "requestId": accepted.request_id}))?;
    } else {
        println!(
            "Graph took the message from {} to {} (request {}). If it cannot be delivered, word of that comes to the sender's mailbox.",
            mail.from,
            mail.to.join(", "),
            accepted.request_id.as_deref().unwrap_or("without id")
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Exchange lets senders at `onmicrosoft.com` write to 100 strangers a day, all of the tenant together.
fn warn_of_sender(mail: &Mail) {
    let domain = |address: &str| address.rsplit('@').next().unwrap_or_default().to_lowercase();
    let own = domain(&mail.from);
    let strangers = mail.to.iter().chain(&mail.cc).chain(&mail.bcc).any(|address| domain(address) != own);
    if own.ends_with(".onmicrosoft.com") && strangers {
        eprintln!(
            "health-monitor: senders at onmicrosoft.com reach 100 recipients outside of the tenant in 24 hours, all together; \
             use an address at a domain of your own"
        );
    }
}
