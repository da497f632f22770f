//! Which language a page is in: what its address asks for, else what this browser asked for before, else what the browser
//! says that its owner reads.

use warp::http::{HeaderMap, header};

use super::messages::{ENGLISH, GERMAN, Messages};

/// The parameter of an address, and the cookie that remembers it. The cookie holds nothing but the tag.
pub(super) const PARAMETER: &str = "lang";

/// The languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
}

impl Language {
    /// All of them; the first is what nobody asked for.
    pub(super) const ALL: [Self; 2] = [Self::English, Self::German];

    /// Its tag (BCP 47).
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
        }
    }

    /// What it calls itself.
    pub(super) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
        }
    }

    /// Its words.
    pub(super) fn messages(self) -> &'static Messages {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }

    /// The language of a tag: `de-AT` is German.
    fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next()?;
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The language that a query asks for.
    pub(super) fn asked(query: &str) -> Option<Self> {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == PARAMETER).and_then(|(_, tag)| Self::of_tag(&tag))
    }

    /// The language of a request.
    pub(super) fn of(query: &str, remembered: Option<&str>, headers: &HeaderMap) -> Self {
        let accepted = || headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok().and_then(Self::accepted);
        let remembered = || remembered.and_then(Self::of_tag);
        Self::asked(query).or_else(remembered).or_else(accepted).unwrap_or(Self::ALL[0])
    }

    /// The best of an `Accept-Language`: the highest weight, of equal ones the first.
    fn accepted(value: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for part in value.split(',') {
            let (tag, parameters) = part.split_once(';').unwrap_or((part, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.trim().parse().ok());
            let (Some(language), Some(weight)) = (Self::of_tag(tag), weight) else { continue };
            if weight > best.map_or(0.0, |(weight, _)| weight) {
                best = Some((weight, language));
            }
        }
        best.map(|(_, language)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_counts_first_then_the_cookie_then_the_browser() {
        let mut headers = HeaderMap::new();
        assert_eq!(Language::of("", None, &headers), Language::English);
        headers.insert("accept-language", "de-CH".parse().expect("a header"));
        assert_eq!(Language::of("", None, &headers), Language::German);
        assert_eq!(Language::of("", Some("en"), &headers), Language::English);
        assert_eq!(Language::of("a=b&lang=de", Some("en"), &headers), Language::German);
        assert_eq!(
            Language::of("lang=xx", Some("\u{1}"), &headers),
            Language::German,
            "what is unknown does not count"
        );
    }

    #[test]
    fn of_what_a_browser_accepts_the_heaviest_that_we_have_counts() {
        for (accepted, language) in [
            ("fr, de;q=0.8, en;q=0.9", Some(Language::English)),
            ("fr;q=1, DE-at;q=0.3", Some(Language::German)),
            ("de, en", Some(Language::German)),
            ("de;q=0, en;q=0.1", Some(Language::English)),
            ("de;q=x", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(Language::accepted(accepted), language, "{accepted}");
        }
    }
}
