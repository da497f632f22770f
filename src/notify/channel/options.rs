//! Reads what `routes.json` says about a channel. Every fault is kept and said at once, never only the first.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::{Channel, Wire, address};
use crate::model::sha256_hex;

/// A fault of a channel's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The option.
    pub field: String,
    /// What is wrong with it; never a secret.
    pub why: String,
}

impl Invalid {
    /// A fault of an option.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self { field: field.into(), why: why.into() }
    }
}

/// The address of a destination. Debug shows its host only: path and query are often the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// The address.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The host, and a short hash that tells addresses on it apart.
    pub fn name(&self) -> String {
        format!("{} #{}", self.0.host_str().unwrap_or_default(), &sha256_hex(self.0.as_str().as_bytes())[..8])
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name())
    }
}

/// The options of one channel, and what was found wrong so far.
#[derive(Debug)]
pub struct Options<'a> {
    /// The channel's name.
    pub name: &'a str,
    /// What it is made with.
    pub wire: &'a Wire,
    given: &'a Map<String, Value>,
    asked: BTreeSet<&'static str>,
    faults: Vec<Invalid>,
}

impl<'a> Options<'a> {
    pub(super) fn new(name: &'a str, given: &'a Map<String, Value>, wire: &'a Wire) -> Self {
        Self { name, wire, given, asked: BTreeSet::new(), faults: Vec::new() }
    }

    /// The channel, or all faults: those found, and options that nobody asked for.
    pub(super) fn end(mut self, channel: Option<Arc<dyn Channel>>) -> Result<Arc<dyn Channel>, Vec<Invalid>> {
        for field in self.given.keys() {
            if !self.asked.contains(field.as_str()) {
                let known: Vec<_> = self.asked.iter().copied().collect();
                self.faults.push(Invalid::new(field.clone(), format!("is no option; there are {}", known.join(", "))));
            }
        }
        match channel {
            Some(channel) if self.faults.is_empty() => Ok(channel),
            _ => Err(self.faults),
        }
    }

    /// Notes a fault.
    pub fn fault(&mut self, field: &str, why: impl Into<String>) {
        self.faults.push(Invalid::new(field, why));
    }

    fn given(&mut self, field: &'static str) -> Option<&'a Value> {
        self.asked.insert(field);
        self.given.get(field).filter(|value| !value.is_null())
    }

    /// A text of one line, trimmed. None: not given, or a fault.
    pub fn text(&mut self, field: &'static str) -> Option<String> {
        match self.given(field)? {
            Value::String(text) if is_line(text) => Some(text.trim().to_owned()),
            _ => {
                self.fault(field, "must be a text of one line");
                None
            }
        }
    }

    /// A text that must be there.
    pub fn needed(&mut self, field: &'static str, such_as: &str) -> Option<String> {
        if self.given(field).is_none() {
            self.fault(field, format!("is missing; it is such as {such_as}"));
            return None;
        }
        self.text(field)
    }

    /// Yes or no; no when it is not given.
    pub fn flag(&mut self, field: &'static str) -> bool {
        match self.given(field) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.fault(field, "must be true or false");
                false
            }
        }
    }

    /// One of some words; the first when it is not given.
    pub fn word(&mut self, field: &'static str, words: &[&'static str]) -> &'static str {
        let first = words.first().copied().unwrap_or_default();
        let Some(text) = self.text(field) else { return first };
        match words.iter().find(|word| **word == text) {
            Some(word) => word,
            None => {
                self.fault(field, format!("must be one of {}", words.join(", ")));
                first
            }
        }
    }

    /// A number within bounds.
    pub fn number(&mut self, field: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.given(field)?;
        let number = value.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(field, format!("must be a number from {least} to {most}"));
        }
        number
    }

    /// `timeoutSeconds`, 1 to 30.
    pub fn timeout(&mut self) -> Option<Duration> {
        self.number("timeoutSeconds", 1, 30).map(Duration::from_secs)
    }

    /// A list of texts, each of one line; one text counts as a list of it.
    pub fn list(&mut self, field: &'static str) -> Vec<String> {
        let all = match self.given(field) {
            None => return Vec::new(),
            Some(Value::String(text)) if is_line(text) => return vec![text.trim().to_owned()],
            Some(Value::Array(all)) => all,
            Some(_) => {
                self.fault(field, "must be a list of texts");
                return Vec::new();
            }
        };
        let texts: Vec<_> = all.iter().filter_map(Value::as_str).filter(|text| is_line(text)).collect();
        if texts.len() != all.len() {
            self.fault(field, "must be a list of texts, each of one line");
        }
        texts.into_iter().map(|text| text.trim().to_owned()).collect()
    }

    /// Names with texts.
    pub fn pairs(&mut self, field: &'static str) -> Vec<(String, String)> {
        let Some(value) = self.given(field) else { return Vec::new() };
        let pairs = value.as_object().map(|all| {
            let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
            all.iter().filter_map(text).collect::<Vec<_>>()
        });
        match pairs {
            Some(pairs) if Some(pairs.len()) == value.as_object().map(Map::len) => pairs,
            _ => {
                self.fault(field, "must be an object of texts");
                Vec::new()
            }
        }
    }

    /// Mail addresses.
    pub fn mailboxes(&mut self, field: &'static str) -> Vec<String> {
        let all = self.list(field);
        if let Some(wrong) = all.iter().position(|text| !is_mailbox(text)) {
            self.fault(field, format!("has no mail address at place {}", wrong + 1));
        }
        all.into_iter().filter(|text| is_mailbox(text)).collect()
    }

    /// The secret of the setting that the option names. None: not given, or a fault.
    pub fn secret(&mut self, field: &'static str) -> Option<SecretString> {
        let setting = self.text(field)?;
        self.secret_of(field, &setting)
    }

    /// The secret of a setting that an option names.
    pub fn secret_of(&mut self, field: &str, setting: &str) -> Option<SecretString> {
        match self.wire.secret(setting) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.fault(field, why);
                None
            }
        }
    }

    /// A secret that must be there.
    pub fn needed_secret(&mut self, field: &'static str, such_as: &str) -> Option<SecretString> {
        if self.given(field).is_none() {
            self.fault(field, format!("is missing; it names a setting such as {such_as}"));
            return None;
        }
        self.secret(field)
    }

    /// An address: written in `url`, or in the setting that `urlSetting` names.
    pub fn target(&mut self) -> Option<Target> {
        match (self.given("url").is_some(), self.given("urlSetting").is_some()) {
            (true, false) => {
                let text = self.text("url")?;
                self.target_of("url", &text)
            }
            (false, true) => self.secret_target(),
            (true, true) => {
                self.fault("url", "stands beside urlSetting: one of them");
                None
            }
            (false, false) => {
                let both = "is missing: the address, or in urlSetting the name of the setting that holds it";
                self.fault("url", both);
                None
            }
        }
    }

    /// An address that is a secret: in the setting that `urlSetting` names.
    pub fn secret_target(&mut self) -> Option<Target> {
        let secret = self.needed_secret("urlSetting", "NOTIFY_OPS_URL")?;
        self.target_of("urlSetting", secret.expose_secret())
    }

    /// The address in a text.
    pub fn target_of(&mut self, field: &str, text: &str) -> Option<Target> {
        match address::target(text, self.wire.guard.reach()) {
            Ok(url) if own(&url, self.wire) => {
                self.fault(field, "is our own address");
                None
            }
            Ok(url) => Some(Target(url)),
            Err(why) => {
                self.fault(field, why);
                None
            }
        }
    }

    /// An address of an Azure service: our token goes to none but those whose host ends as one of `ends` says.
    pub fn azure_target(&mut self, field: &'static str, such_as: &str, ends: &[&str]) -> Option<Target> {
        let text = self.needed(field, such_as)?;
        let target = self.target_of(field, &text)?;
        let host = target.0.host_str().unwrap_or_default();
        let local = host == "127.0.0.1" || host == "localhost";
        if !local && !ends.iter().any(|end| host.ends_with(end)) {
            self.fault(field, format!("has a host that does not end with {}", ends.join(" or ")));
            return None;
        }
        Some(target)
    }
}

/// True for our own public address: a notice that comes back to us tells nobody.
fn own(url: &Url, wire: &Wire) -> bool {
    let ours = Url::parse(&wire.source).ok();
    ours.is_some_and(|ours| {
        ours.host_str() == url.host_str() && ours.port_or_known_default() == url.port_or_known_default()
    })
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains(|c: char| c.is_control())
}

/// True for what may be a mail address, on its own: no name, no second address, no header.
pub fn is_mailbox(text: &str) -> bool {
    let harmless = |c: char| !c.is_whitespace() && !c.is_control() && !"<>,;:\"()[]\\".contains(c);
    let parts = text.rsplit_once('@');
    text.len() <= 254
        && text.chars().all(harmless)
        && parts.is_some_and(|(name, domain)| {
            !name.is_empty()
                && !name.contains('@')
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
        })
}
