//! The frame of every page: one style, no script, and headers that keep the page and what it shows to itself.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use crate::app::App;

/// The one style. Inline, allowed by its hash: a page is one answer, and nothing else may style it.
const STYLE: &str = include_str!("style.css");

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
pub(super) fn answer(app: &App, page: Page<'_>) -> Response {
    let partner = &app.settings.partner_name;
    let tone = match page.tone {
        Tone::Neutral => "neutral",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (page.title) " · " (partner) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { div { span.mark aria-hidden="true" {} strong { (partner) } span.sub { "Azure health monitoring" } } }
                main class=(tone) {
                    h1 { (page.title) }
                    (page.body)
                }
            }
        }
    };
    let mut response = Response::new(markup.into_string().into());
    *response.status_mut() = page.status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
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
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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
