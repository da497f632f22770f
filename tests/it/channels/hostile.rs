//! Foreign text stays text in every channel, and secrets stay secret.

use health_monitor::notify::channel::KINDS;
use health_monitor::notify::render::{markdown, plain, sanitised};
use proptest::prelude::*;
use serde_json::Value;

use super::{SECRETS, Scene, example, opened, wire};
use crate::support::smtp::MailServer;
use crate::support::stories::{self, HOSTILE};

/// Every text of a JSON document, with the type of the object around it.
fn texts<'a>(value: &'a Value, kind: &'a str, found: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::String(text) => found.push((kind, text)),
        Value::Array(all) => all.iter().for_each(|one| texts(one, kind, found)),
        Value::Object(all) => {
            let own = all.get("type").and_then(Value::as_str).unwrap_or(kind);
            all.values().for_each(|one| texts(one, own, found));
        }
        _ => {}
    }
}

#[test]
fn no_channel_writes_control_signs_or_turns_text_around() {
    let wire = wire();
    for kind in KINDS {
        for preview in example(kind.name, &wire).preview(&stories::hostile()) {
            let value = serde_json::from_str::<Value>(&preview.body);
            let mut found = Vec::new();
            match &value {
                Ok(value) => texts(value, "", &mut found),
                Err(_) => found.push(("", &preview.body)),
            }
            for (_, text) in found {
                let bad = text.chars().find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}'));
                assert_eq!(bad, None, "{}: {text:?}", kind.name);
            }
        }
    }
}

#[test]
fn cards_show_foreign_text_only_where_nothing_is_markup() {
    let card = example("teams", &wire()).preview(&stories::hostile()).remove(0).body;
    let value: Value = serde_json::from_str(&card).expect("JSON");
    let mut found = Vec::new();
    texts(&value["attachments"][0]["content"]["body"], "", &mut found);
    let mut seen = 0;
    for (kind, text) in found {
        if text.contains("evil.example") {
            seen += 1;
            assert_eq!(kind, "TextRun", "{text}");
        }
        assert!(!text.contains("{{") && !text.contains("<at>"), "{text}");
    }
    assert!(seen > 3, "it is told all the same");
    assert!(!card.contains("\"TextBlock\"") && !card.contains("\"FactSet\""), "these know markdown");
    assert!(value["attachments"][0]["content"].get("actions").is_none(), "a link that is no https is no button");
}

#[test]
fn slack_gets_foreign_text_only_as_plain_text() {
    let body = example("slack", &wire()).preview(&stories::hostile()).remove(0).body;
    let value: Value = serde_json::from_str(&body).expect("JSON");
    let mut found = Vec::new();
    texts(&value["blocks"], "", &mut found);
    for (kind, text) in found {
        if text.contains("<!channel>") {
            assert_eq!(kind, "plain_text", "{text}");
        }
        if kind == "mrkdwn" {
            assert!(!text.contains('<') && text.matches('*').count() <= 2, "{text}");
        }
    }
    let fallback = value["text"].as_str().expect("a fallback");
    assert!(!fallback.contains('<') && fallback.contains("&lt;"), "{fallback}");
}

#[test]
fn html_of_mails_runs_nothing_and_loads_nothing() {
    const ELEMENTS: &[&str] = &[
        "!DOCTYPE", "html", "head", "meta", "title", "body", "div", "p", "h1", "h2", "table", "tr", "td", "ul", "li",
        "b", "i", "a", "code", "br",
    ];
    const ATTRIBUTES: &[&str] = &["style", "href", "rel", "lang", "charset", "name", "content", "role"];
    let previews = example("graphMail", &wire()).preview(&stories::hostile());
    let html = &previews[1].body;
    let mut tags = 0;
    for tag in html.split('<').skip(1) {
        let inside = tag.split('>').next().expect("the rest of a tag");
        let name = inside.trim_start_matches('/').split(' ').next().unwrap_or_default();
        assert!(ELEMENTS.contains(&name), "<{inside}>");
        tags += 1;
        if name == "!DOCTYPE" {
            continue;
        }
        // What stands outside of quotes are names of attributes.
        let names =
            inside.split('"').step_by(2).flat_map(|part| part.split_whitespace()).filter(|part| part.ends_with('='));
        for attribute in names {
            assert!(ATTRIBUTES.contains(&attribute.trim_end_matches('=')), "<{inside}>");
        }
        if let Some(link) = inside.split("href=\"").nth(1) {
            assert!(link.starts_with("https://"), "<{inside}>");
        }
    }
    assert!(tags > 20 && html.contains("&lt;script&gt;"), "it is told, as text");
    assert!(!html.contains("url(") && !html.contains("@import"), "styles load nothing");
    let head = &previews[0].body;
    assert_eq!(head.lines().count(), 2, "one line each: {head}");
}

#[test]
fn the_hostile_contacts_of_a_customer_get_no_mail() {
    let head = &example("graphMail", &wire()).preview(&stories::hostile())[0].body;
    assert!(head.starts_with("To: ops@contoso.com\n"), "{head}");
}

#[tokio::test]
async fn a_mail_has_no_header_and_no_command_that_a_text_put_there() {
    let scene = Scene::start().await;
    let server = MailServer::start(&[]).await;
    let options = format!(
        r#"{{"host": "127.0.0.1", "port": {}, "security": "none", "from": "a@b.example", "to": ["c@d.example"], "contacts": true}}"#,
        server.port
    );
    let channel = opened("smtp", &options, &scene.wire).expect("right options");
    channel.send(&stories::hostile()).await.expect("taken");
    let letters = server.letters().await;
    let letter = &letters[0];
    let verbs: Vec<_> = letter.commands.iter().filter_map(|line| line.split([' ', ':']).next()).collect();
    assert_eq!(verbs, ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"], "{:?}", letter.commands);
    let names: Vec<_> =
        letter.headers().iter().filter_map(|line| line.split_once(':').map(|(name, _)| name.to_owned())).collect();
    let known = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "X-Azure-Health-Notice",
        "Importance",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    for name in &names {
        assert!(known.contains(&name.as_str()), "{name} in {names:?}");
    }
    assert_eq!(names.len(), names.iter().collect::<std::collections::BTreeSet<_>>().len(), "each once: {names:?}");
}

#[tokio::test]
async fn no_secret_shows_in_debug_previews_destinations_or_refusals() {
    let scene = Scene::start().await;
    let wire = wire();
    let mut shown = vec![format!("{wire:?}"), format!("{:?}", scene.wire)];
    for kind in KINDS {
        let channel = example(kind.name, &wire);
        shown.push(format!("{channel:?} {}", channel.destination()));
        shown.extend(channel.preview(&stories::outage_began()).into_iter().map(|preview| preview.body));
    }
    for kind in ["webhook", "teams", "slack", "pagerduty", "eventGrid", "logAnalytics"] {
        let channel = scene.channel(kind);
        shown.push(format!("{channel:?}"));
        for status in [401, 500] {
            let body = "echo: the-webhook-token whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".to_owned();
            scene.receivers.answer_next([health_monitor::sandbox::Order { status, body, ..Default::default() }]);
            shown.push(channel.send(&stories::outage_began()).await.expect_err("refused").to_string());
        }
    }
    let secrets =
        SECRETS.iter().map(|(_, value)| *value).chain(["the-signature", "the-webhook-token", "the-client-secret"]);
    for secret in secrets.chain([scene.receivers.routing_key(), scene.receivers.topic_key()]) {
        for text in &shown {
            assert!(!text.contains(secret), "a secret shows in {text}");
        }
    }
    for token in scene.app.sandbox.secrets() {
        assert!(shown.iter().all(|text| !text.contains(&token)), "a token shows");
    }
}

/// Markdown as CommonMark reads it: an escaped sign is a sign.
fn unescaped(markdown: &str) -> String {
    let mut out = String::new();
    let mut signs = markdown.chars();
    while let Some(c) = signs.next() {
        if c == '\\' { signs.next().into_iter().for_each(|next| out.push(next)) } else { out.push(c) }
    }
    out
}

proptest! {
    #[test]
    fn escaped_markdown_reads_as_it_was_and_has_no_sign_left(text in ".{0,200}") {
        let escaped = markdown::escape(&text);
        prop_assert_eq!(unescaped(&escaped), text.clone());
        let mut signs = escaped.chars();
        while let Some(c) = signs.next() {
            if c == '\\' {
                signs.next();
            } else {
                prop_assert!(!"*_[]<>`~#|!".contains(c), "{}", escaped);
            }
        }
    }

    #[test]
    fn sanitised_html_is_harmless_and_stays_as_it_is(text in ".{0,300}", most in 0_usize..400) {
        let dressed = format!("<p onclick=x()>{text}<script>{text}</script><a href=\"javascript:{text}\">x</a>{HOSTILE}");
        let (html, _) = sanitised(&dressed, most);
        let lower = html.to_ascii_lowercase();
        prop_assert!(!lower.contains("<script") && !lower.contains("<img") && !lower.contains("<p onclick"), "{}", html);
        prop_assert!(!lower.contains("href=\"javascript"), "{}", html);
        prop_assert_eq!(sanitised(&html, usize::MAX).0, html.clone());
        prop_assert!(plain(&html).iter().all(|paragraph| !paragraph.chars().any(char::is_control)));
    }
}
