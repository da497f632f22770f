//! Settings of what browsers see, and of who asks how often.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::read::Reader;
use super::{Caller, Door, RateLimits};

/// The largest logo: it is in every page.
const LOGO_LIMIT: usize = 64 * 1024;

impl Default for RateLimits {
    fn default() -> Self {
        Self { per_client: 60, total: 1_200, lookups_per_client: 10, lookups_total: 120 }
    }
}

/// `client=60,total=1200,clientLookups=10,totalLookups=120`; what is not named keeps its default. `off` is all of them 0.
impl FromStr for RateLimits {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "off" {
            return Ok(Self { per_client: 0, total: 0, lookups_per_client: 0, lookups_total: 0 });
        }
        let mut limits = Self::default();
        for part in text.split(',') {
            let (name, value) = part.split_once('=').ok_or(())?;
            let place = match name.trim() {
                "client" => &mut limits.per_client,
                "total" => &mut limits.total,
                "clientLookups" => &mut limits.lookups_per_client,
                "totalLookups" => &mut limits.lookups_total,
                _ => return Err(()),
            };
            *place = value.trim().parse().ok().filter(|rate| *rate <= 1_000_000).ok_or(())?;
        }
        Ok(limits)
    }
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn rate_limits(&mut self) -> RateLimits {
        let Some(text) = self.text("RATE_LIMITS") else { return RateLimits::default() };
        text.parse().unwrap_or_else(|()| {
            let expected =
                "requests per minute, such as client=60,total=1200,clientLookups=10,totalLookups=120, or off";
            self.fault("RATE_LIMITS", format!("{} characters of something else", text.chars().count()), expected);
            RateLimits::default()
        })
    }

    /// By what callers are told apart. The Functions host dials us itself and writes the header; elsewhere nobody's header is
    /// believed unless that is set.
    pub(super) fn caller(&mut self, door: Door) -> Caller {
        const NAME: &str = "CLIENT_ADDRESS_HEADER";
        match self.text(NAME) {
            None if door == Door::Functions => Caller::Header("x-forwarded-for".to_owned()),
            None => Caller::Connection,
            Some(text) if text == "none" => Caller::Connection,
            Some(text) if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
                Caller::Header(text.to_ascii_lowercase())
            }
            Some(text) => {
                let expected = "the name of a header that your own proxy writes, such as x-forwarded-for, or none";
                self.fault(NAME, format!("{} characters that are no header's name", text.chars().count()), expected);
                Caller::Connection
            }
        }
    }

    /// The logo as a `data:` address: a page needs no other file, and a picture in `img` runs no script.
    pub(super) fn partner_logo(&mut self) -> Option<String> {
        const NAME: &str = "PARTNER_LOGO";
        let path = self.text(NAME)?;
        let expected = "a PNG or SVG file of at most 64 KiB";
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.fault(NAME, format!("a file that cannot be read ({})", error.kind()), expected);
                return None;
            }
        };
        if bytes.len() > LOGO_LIMIT {
            self.fault(NAME, format!("a file of {} bytes", bytes.len()), expected);
            return None;
        }
        let Some(kind) = picture(&bytes) else {
            self.fault(NAME, "a file of another kind", expected);
            return None;
        };
        Some(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
    }
}

/// What kind of picture this is, by its content.
fn picture(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    let text = std::str::from_utf8(bytes).ok()?.trim_start_matches('\u{feff}').trim_start();
    let is_svg = text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg"));
    is_svg.then_some("image/svg+xml")
}
