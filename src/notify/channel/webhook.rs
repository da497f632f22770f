//! Signed webhooks: CloudEvents 1.0 in structured JSON, signed as Standard Webhooks 1.0 says.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::guard::{Guard, Post};
use super::{Channel, Kind, Options, Pace, Parcel, Preview, Receipt, Refusal, Target};
use crate::notify::render::event::Envelope;
use crate::notify::render::fit;
use crate::outside::Clock;

/// The kind.
pub const KIND: Kind = Kind {
    name: "webhook",
    about: "signed webhook (Standard Webhooks, CloudEvents 1.0)",
    example: r#"{"url": "https://hooks.contoso.com/health", "secretSetting": "NOTIFY_HOOK_SECRET"}"#,
    options: &[
        ("url", "the address; where it is a secret itself, `urlSetting` instead"),
        ("urlSetting", "the setting that holds the address"),
        (
            "secretSetting",
            "the setting that holds the secret that signs: `whsec_` and 24 to 64 random bytes in base64 (HMAC), or `whsk_` and an Ed25519 key; a list signs with each",
        ),
        ("formerSecretSetting", "former secrets, which sign as well while receivers change over"),
        ("headers", "further headers by name"),
        ("secretHeaders", "further headers whose values are in the settings named here; `authorization` only here"),
        (
            "typePrefix",
            "what the types of events begin with, such as `com.contoso.health`; default `azurehealthpartner`",
        ),
        ("maxBytes", "the longest body, 4,096 to 65,536; default 20,000"),
        ("timeoutSeconds", "how long an answer may take, 1 to 30; default 20"),
        ("perMinute", "messages a minute; default 600"),
    ],
    open,
};

/// What Standard Webhooks advises, and what intermediaries of CloudEvents must forward.
const ADVISED_BYTES: u64 = 20_000;
const MOST_BYTES: u64 = 65_536;
/// Headers that are not a partner's to set.
const RESERVED: &[&str] = &[
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "authorization",
    "cookie",
    "user-agent",
];

/// What signs.
enum Key {
    /// `whsec_`: HMAC-SHA256, scheme v1.
    Shared(hmac::Key),
    /// `whsk_`: Ed25519, scheme v1a.
    Pair(Box<Ed25519KeyPair>),
}

impl Key {
    fn read(secret: &str) -> Result<Self, &'static str> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| "holds no base64 after its prefix");
        if let Some(text) = secret.strip_prefix("whsk_") {
            let bytes = decode(text)?;
            let pair = match bytes.len() {
                32 => Ed25519KeyPair::from_seed_unchecked(&bytes),
                64 => Ed25519KeyPair::from_seed_and_public_key(&bytes[..32], &bytes[32..]),
                _ => return Err("holds no Ed25519 key: 32 or 64 bytes"),
            };
            return pair.map(|pair| Self::Pair(Box::new(pair))).map_err(|_| "holds no Ed25519 key");
        }
        let Some(text) = secret.strip_prefix("whsec_") else {
            return Err("holds no secret that begins with whsec_ or whsk_");
        };
        let bytes = decode(text)?;
        if !(24..=64).contains(&bytes.len()) {
            return Err("holds a secret of other than 24 to 64 bytes");
        }
        Ok(Self::Shared(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    fn sign(&self, signed: &[u8]) -> String {
        match self {
            Self::Shared(key) => format!("v1,{}", STANDARD.encode(hmac::sign(key, signed))),
            Self::Pair(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(signed))),
        }
    }
}

/// The value of `webhook-signature`: one signature of each key, so that a receiver may hold the old or the new one.
fn signature(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signed = format!("{id}.{timestamp}.").into_bytes();
    signed.extend_from_slice(body);
    keys.iter().map(|key| key.sign(&signed)).collect::<Vec<_>>().join(" ")
}

struct Webhook {
    target: Target,
    keys: Vec<Key>,
    headers: Vec<(HeaderName, HeaderValue)>,
    envelope: Envelope,
    most_bytes: usize,
    timeout: Option<Duration>,
    per_minute: u32,
    guard: Guard,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("target", &self.target).finish_non_exhaustive()
    }
}

fn open(options: &mut Options<'_>) -> Option<Arc<dyn Channel>> {
    let target = options.target();
    let mut keys = Vec::new();
    // The first signs; the others sign as well while receivers change over.
    let settings: Vec<_> = [
        ("secretSetting", options.list("secretSetting")),
        ("formerSecretSetting", options.list("formerSecretSetting")),
    ]
    .into_iter()
    .flat_map(|(field, all)| all.into_iter().map(move |setting| (field, setting)))
    .collect();
    for (field, setting) in &settings {
        let Some(secret) = options.secret_of(field, setting) else { continue };
        match Key::read(secret.expose_secret()) {
            Ok(key) => keys.push(key),
            Err(why) => options.fault(field, format!("names the setting {setting}, which {why}")),
        }
    }
    if !settings.iter().any(|(field, _)| *field == "secretSetting") {
        let advice = "is missing; it names a setting with a secret: whsec_ and 24 to 64 random bytes in base64";
        options.fault("secretSetting", advice);
    }
    let headers = headers(options);
    let source = options.wire.source.clone();
    let type_prefix = type_prefix(options);
    let most_bytes = options.number("maxBytes", 4_096, MOST_BYTES).unwrap_or(ADVISED_BYTES) as usize;
    let timeout = options.timeout();
    let per_minute = options.number("perMinute", 1, 6_000).unwrap_or(600) as u32;
    Some(Arc::new(Webhook {
        target: target?,
        keys,
        headers,
        envelope: Envelope { source, type_prefix },
        most_bytes,
        timeout,
        per_minute,
        guard: options.wire.guard.clone(),
        clock: Arc::clone(&options.wire.clock),
    }))
}

/// `typePrefix`: what the types of events begin with.
pub(super) fn type_prefix(options: &mut Options<'_>) -> String {
    let Some(prefix) = options.text("typePrefix") else { return Envelope::TYPE_PREFIX.to_owned() };
    let sound = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if prefix.len() > 100 || !prefix.split('.').all(sound) {
        options.fault("typePrefix", "must be a reverse domain name such as com.contoso.health");
    }
    prefix
}

/// `headers` with their values, and `secretHeaders` with the settings that hold them.
fn headers(options: &mut Options<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in options.pairs("headers") {
        headers.extend(header(options, "headers", &name, &value.into(), false));
    }
    for (name, setting) in options.pairs("secretHeaders") {
        if let Some(secret) = options.secret_of("secretHeaders", &setting) {
            headers.extend(header(options, "secretHeaders", &name, &secret, true));
        }
    }
    headers
}

fn header(
    options: &mut Options<'_>,
    field: &str,
    name: &str,
    value: &SecretString,
    secret: bool,
) -> Option<(HeaderName, HeaderValue)> {
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str()) || lower.starts_with("webhook-") || lower.starts_with("ce-");
    // A token in `Authorization` is a receiver's right, but only as a secret.
    if reserved && !(secret && lower == "authorization") {
        options.fault(
            field,
            format!("has {lower}, which is not free; a token for authorization belongs into secretHeaders"),
        );
        return None;
    }
    let pair = (lower.parse::<HeaderName>().ok(), HeaderValue::from_str(value.expose_secret()).ok());
    let (Some(name), Some(mut value)) = pair else {
        options.fault(field, "has a name or value that no header can have");
        return None;
    };
    value.set_sensitive(secret);
    Some((name, value))
}

impl Webhook {
    fn body(&self, parcel: &Parcel) -> String {
        let make = |caps| self.envelope.event(parcel, caps).to_string();
        fit(make, |body| body.len() <= self.most_bytes)
    }
}

#[async_trait]
impl Channel for Webhook {
    fn kind(&self) -> &'static str {
        KIND.name
    }

    fn destination(&self) -> String {
        self.target.name()
    }

    fn pace(&self) -> Pace {
        Pace { concurrent: 4, per_minute: self.per_minute }
    }

    fn preview(&self, parcel: &Parcel) -> Vec<Preview> {
        let body = self.body(parcel);
        let pretty = serde_json::from_str(&body).map(|value: serde_json::Value| format!("{value:#}"));
        vec![Preview { content_type: "application/cloudevents+json", body: pretty.unwrap_or(body) }]
    }

    async fn send(&self, parcel: &Parcel) -> Result<Receipt, Refusal> {
        let body = self.body(parcel).into_bytes();
        let now = self.clock.now();
        let id = parcel.id.to_string();
        let timestamp = now.timestamp();
        let signed = signature(&self.keys, &id, timestamp, &body);
        let ours = [("webhook-id", id), ("webhook-timestamp", timestamp.to_string()), ("webhook-signature", signed)];
        let mut headers = self.headers.clone();
        for (name, value) in ours {
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Refusal::Never { why: format!("{name} cannot be a header") })?;
            headers.push((HeaderName::from_static(name), value));
        }
        let post = Post {
            url: self.target.url(),
            headers,
            content_type: "application/cloudevents+json; charset=utf-8",
            body,
            patience: self.timeout,
        };
        let answer = self.guard.post(post, now).await?;
        match answer.status {
            200..300 => Ok(Receipt { detail: answer.status.to_string() }),
            410 => Err(answer.gone("the receiver")),
            415 => Err(answer.never("the receiver takes no CloudEvents: it")),
            300..400 => Err(Refusal::Later {
                why: format!(
                    "the receiver answered {}: redirects are not followed, its address must be mended",
                    answer.status
                ),
                retry_after: None,
            }),
            _ => Err(answer.later("the receiver")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;

    #[test]
    fn the_test_vector_of_standard_webhooks_holds() {
        let key = Key::read(SECRET).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(
            signature(&[key], "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, BODY),
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="
        );
    }

    #[test]
    fn each_key_signs_while_receivers_change_over() {
        use aws_lc_rs::signature::{ED25519, KeyPair as _, UnparsedPublicKey};
        let seed = [7_u8; 32];
        let pair = format!("whsk_{}", STANDARD.encode(seed));
        let keys = [SECRET, &pair].map(|text| Key::read(text).unwrap_or_else(|why| panic!("{why}")));
        let both = signature(&keys, "id", 1, BODY);
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert!(first.starts_with("v1,"));
        let bytes = STANDARD.decode(second.strip_prefix("v1a,").expect("the scheme of key pairs")).expect("base64");
        let public = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed").public_key().as_ref().to_vec();
        let signed = [b"id.1.".as_slice(), BODY].concat();
        UnparsedPublicKey::new(&ED25519, public).verify(&signed, &bytes).expect("the receiver can check it");
    }

    #[test]
    fn a_secret_in_another_form_is_refused_with_what_is_wrong() {
        for bad in ["", "whsec_", "whsec_AAAA", "hunter2", "whsec_!!!", "whsk_AAAA"] {
            assert!(Key::read(bad).is_err(), "{bad}");
        }
    }
}
