//! What each channel writes for typical stories, and `docs/channels.md` with an example of each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use health_monitor::notify::channel::{KINDS, Preview};
use health_monitor::notify::render::{Message, fit, markdown, text};

use super::{example, wire};
use crate::support::stories;

/// All of a preview as one text.
fn whole(previews: &[Preview]) -> String {
    previews.iter().map(|preview| format!("--- {}\n{}\n", preview.content_type, preview.body)).collect()
}

#[test]
fn each_channel_tells_typical_stories() {
    let wire = wire();
    for kind in KINDS {
        let channel = example(kind.name, &wire);
        for (story, parcel) in stories::typical() {
            insta::assert_snapshot!(format!("{}__{story}", kind.name), whole(&channel.preview(&parcel)));
        }
    }
    for (story, parcel) in stories::typical() {
        let message = fit(|caps| Message::of(&parcel, caps), |message| text::text(message).len() < 20_000);
        insta::assert_snapshot!(format!("markdown__{story}"), markdown::markdown(&message));
    }
}

#[test]
fn a_message_is_never_larger_than_its_channel_takes_and_says_what_it_leaves_out() {
    let wire = wire();
    for (kind, most) in [
        ("webhook", 20_000),
        ("teams", 28 * 1_024),
        ("slack", 40_000),
        ("pagerduty", 512 * 1_024),
        ("graphMail", 120_000),
        ("smtp", 400_000),
        ("eventGrid", 1_048_576),
        ("azureMetrics", 4_000_000),
        ("logAnalytics", 1_048_576),
        ("command", 65_536),
        ("file", 65_536),
    ] {
        let channel = example(kind, &wire);
        for (story, parcel) in [("huge", stories::huge()), ("partner_500", stories::partner_500())] {
            let previews = channel.preview(&parcel);
            assert!(!previews.is_empty(), "{kind} {story}");
            for preview in &previews {
                // As it is sent: without the blanks that are for people.
                let compact = serde_json::from_str::<serde_json::Value>(&preview.body).map(|value| value.to_string());
                let sent = compact.unwrap_or_else(|_| preview.body.clone());
                assert!(sent.len() <= most, "{kind} {story}: {} bytes", sent.len());
            }
            let all = whole(&previews);
            let said = kind == "azureMetrics"
                || ["more", "textCut", "affectedTotal", "AffectedCustomersCount"].iter().any(|word| all.contains(word));
            assert!(said, "{kind} {story} says what it leaves out");
        }
    }
}

#[test]
fn the_notices_of_a_bundle_are_all_told_where_each_is_its_own() {
    let wire = wire();
    for (kind, count) in [("eventGrid", 40), ("logAnalytics", 40), ("pagerduty", 40)] {
        let previews = example(kind, &wire).preview(&stories::huge());
        let told: usize = previews
            .iter()
            .map(|preview| match serde_json::from_str(&preview.body).expect("JSON") {
                serde_json::Value::Array(rows) => rows.len(),
                _ => 1,
            })
            .sum();
        assert_eq!(told, count, "{kind}");
    }
}

/// The ending of a file by content type.
fn ending(content_type: &str) -> &'static str {
    match content_type {
        "text/html" => "html",
        "text/plain" => "txt",
        "message/rfc822" => "eml",
        "application/x-ndjson" => "jsonl",
        _ => "json",
    }
}

#[test]
fn the_documentation_shows_every_channel_as_it_is() {
    let wire = wire();
    let mut page = String::from(
        "# Channels\n\nWritten by `tests/it/channels/rendering.rs`, from the code.\n\nA channel is an entry of `channels` in the \
         routes (`routes.json`): its `kind`, and its options beside it. Secrets are never written there: an option names the \
         setting that holds the secret, which begins with `NOTIFY_`. Every example tells the same story, an outage that begins; \
         the snapshots in `tests/it/channels/snapshots` have the others.\n\nA destination on the web is reached over TLS at \
         addresses of the public internet only, checked at every attempt; redirects are not followed. What is too long for a \
         channel is shortened, and the message says so.\n\n| kind | what it is | an example |\n|---|---|---|\n",
    );
    let mut files = Vec::new();
    for kind in KINDS {
        let previews = example(kind.name, &wire).preview(&stories::outage_began());
        let mut links = Vec::new();
        for preview in &previews {
            let name = format!("{}.{}", kind.name, ending(preview.content_type));
            links.push(format!("[{name}](channels/{name})"));
            files.push((format!("channels/{name}"), format!("{}\n", preview.body.trim_end())));
        }
        let _ = writeln!(page, "| `{}` | {} | {} |", kind.name, kind.about, links.join(", "));
    }
    for kind in KINDS {
        let _ =
            write!(page, "\n## {}\n\n```json\n{}\n```\n\n| option | meaning |\n|---|---|\n", kind.name, kind.example);
        for (option, meaning) in kind.options {
            let _ = writeln!(page, "| `{option}` | {meaning} |");
        }
    }
    page.push_str(CHECKED);
    files.push(("channels.md".to_owned(), page));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut stale = Vec::new();
    for (name, text) in &files {
        if fs::read_to_string(root.join("docs").join(name)).unwrap_or_default() != *text {
            let found = root.join("target/docs").join(name);
            fs::create_dir_all(found.parent().expect("a folder")).expect("target can be written");
            fs::write(found, text).expect("target can be written");
            stale.push(name.as_str());
        }
    }
    assert!(stale.is_empty(), "not what comes out: {stale:?}; copy them: cp -r target/docs/. docs/");
}

const CHECKED: &str = "\n## What the examples are checked against\n\n`.ci/check-cards` has every Adaptive Card of the snapshots \
    parsed by Microsoft's own renderer (npm `adaptivecards`; their JSON schema is in no package registry) and every CloudEvent \
    checked against the JSON schema of the specification (in npm `cloudevents`). Slack and PagerDuty publish no schema of their \
    messages: the sandbox's receivers hold their documented limits instead.\n";
