//! The frame of every page: one style, no script, and headers that keep the page and what it shows to itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::language::{Language, PARAMETER};
use super::messages::Messages;
use crate::app::App;

/// The one style. Inline, allowed by its hash: a page is one answer, and nothing else may style it.
const STYLE: &str = include_str!("style.css");

/// For whom a page is made: the app behind it, and the language in front of it.
#[derive(Clone)]
pub(super) struct View<'a> {
    pub app: &'a App,
    pub language: Language,
    pub text: &'static Messages,
    /// Path and query of this page, where it can be had in another language by asking for it again.
    pub here: Option<String>,
}

impl<'a> View<'a> {
    pub(super) fn new(app: &'a App, language: Language) -> Self {
        Self { app, language, text: language.messages(), here: None }
    }

    /// The page at this path and query.
    pub(super) fn at(self, here: impl Into<String>) -> Self {
        Self { here: Some(here.into()), ..self }
    }

    /// The partner's name.
    pub(super) fn partner(&self) -> &'a str {
        &self.app.settings.partner_name
    }

    /// This page in another language.
    fn in_language(&self, language: Language) -> Option<String> {
        let (path, query) = self.here.as_deref()?.split_once('?').unwrap_or((self.here.as_deref()?, ""));
        let kept = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != PARAMETER);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair(PARAMETER, language.tag());
        Some(href(self.app, &format!("{path}?{}", query.finish())))
    }
}

/// What a page is.
pub(super) struct Page<'a> {
    pub status: StatusCode,
    /// The heading, and the browser's title.
    pub title: &'a str,
    /// How it went, as the colour of the page's edge.
    pub tone: Tone,
    pub body: Markup,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Neutral,
    Good,
    Warning,
    Bad,
}

/// A page as an answer.
pub(super) fn answer(view: &View<'_>, page: Page<'_>) -> Response {
    let (app, frame, partner) = (view.app, &view.text.frame, view.partner());
    let tone = match page.tone {
        Tone::Neutral => "neutral",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    };
    let others = Language::ALL.into_iter().filter(|language| *language != view.language);
    let others: Vec<_> = others.filter_map(|language| Some((language, view.in_language(language)?))).collect();
    let markup = html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (page.title) " · " (partner) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { (frame.skip) }
                header {
                    div {
                        @match &app.settings.partner_logo {
                            Some(logo) => img.logo src=(logo) alt="";,
                            None => span.mark aria-hidden="true" {},
                        }
                        strong { (partner) } span.sub { (frame.purpose) }
                        @if !others.is_empty() {
                            nav aria-label=(frame.languages) {
                                @for (language, href) in &others {
                                    a href=(href) lang=(language.tag()) hreflang=(language.tag()) { (language.own_name()) }
                                }
                            }
                        }
                    }
                }
                main class=(tone) id="content" tabindex="-1" {
                    h1 { (page.title) }
                    (page.body)
                }
            }
        }
    };
    let mut response = Response::new(markup.into_string().into());
    *response.status_mut() = page.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(view.language.tag()));
    guard(app, &mut response);
    response
}

/// The headers of every answer to a browser, redirects included.
pub(super) fn guard(app: &App, response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if app.settings.public_is_https() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// A path of ours as browsers must write it: below the path of the public base address.
pub(super) fn href(app: &App, path: &str) -> String {
    format!("{}{path}", app.settings.public_base_url.path().trim_end_matches('/'))
}
