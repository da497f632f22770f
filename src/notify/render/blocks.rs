//! A message as Slack's blocks. Foreign text is `plain_text`, in which nothing is markup: no mention, no link, no emoji.

use serde_json::{Value, json};

use super::{Message, Section, Text, Tone, line};

/// Slack's caps ("Graph, Azure Monitor, notification and portal-API contract", section 6).
const MAX_HEADER: usize = 150;
const MAX_TEXT: usize = 3_000;
const MAX_FIELD: usize = 2_000;
const MAX_BLOCKS: usize = 50;
const MAX_TOTAL: usize = 12_500;

/// The body for an incoming webhook.
pub fn body(message: &Message) -> Value {
    let mut blocks = Vec::new();
    if message.sections.len() > 1 {
        blocks.push(header(&message.subject));
    }
    for part in &message.sections {
        section(&mut blocks, part);
    }
    if let Some(rest) = message.rest() {
        blocks.push(paragraph(&rest));
    }
    blocks.push(json!({"type": "context", "elements": [plain(&format!("Message {}", message.id), MAX_FIELD)]}));
    json!({"text": escaped(&message.subject), "mrkdwn": false, "unfurl_links": false, "unfurl_media": false, "blocks": blocks})
}

/// True when Slack takes it.
pub fn fits(body: &Value) -> bool {
    let blocks = body["blocks"].as_array().map_or(0, Vec::len);
    blocks <= MAX_BLOCKS && characters(body) <= MAX_TOTAL
}

fn characters(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(all) => all.iter().map(characters).sum(),
        Value::Object(all) => all.values().map(characters).sum(),
        _ => 0,
    }
}

fn section(blocks: &mut Vec<Value>, section: &Section) {
    let mark = match section.tone {
        Tone::Critical => "🔴",
        Tone::Warning => "🟠",
        Tone::Note => "🔵",
        Tone::Good => "🟢",
    };
    blocks.push(header(&format!("{mark} {}", section.label)));
    blocks.push(paragraph(&section.title));
    // Two columns: names left, values right; ten fields are five facts.
    for five in section.facts.chunks(5) {
        let fields: Vec<_> = five
            .iter()
            .flat_map(|(name, value)| {
                [
                    json!({"type": "mrkdwn", "text": format!("*{}*", named(name)), "verbatim": true}),
                    plain(value, MAX_FIELD),
                ]
            })
            .collect();
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    if let Some(remedy) = &section.remedy {
        blocks.push(paragraph(&format!("What to do: {remedy}")));
    }
    for (name, list) in [("Resources", &section.resources), ("Customers", &section.affected)] {
        if !list.is_empty() {
            let lines = std::iter::once(format!("{name}:")).chain(list.iter().map(|entry| format!("• {entry}")));
            paragraphs(blocks, lines);
        }
    }
    if let Some(text) = &section.text {
        let rest = text.cut.then(|| Text::REST.to_owned());
        paragraphs(blocks, text.paragraphs.iter().cloned().chain(rest));
    }
    if let Some(link) = &section.link {
        let button = json!({"type": "button", "text": plain("Open in Azure", MAX_FIELD), "url": link});
        blocks.push(json!({"type": "actions", "elements": [button]}));
    }
}

/// Lines in as few blocks as can hold them.
fn paragraphs(blocks: &mut Vec<Value>, lines: impl Iterator<Item = String>) {
    let mut held = String::new();
    for next in lines {
        let next = line(&next, MAX_TEXT);
        if !held.is_empty() && held.chars().count() + 1 + next.chars().count() > MAX_TEXT {
            blocks.push(paragraph(&std::mem::take(&mut held)));
        }
        if !held.is_empty() {
            held.push('\n');
        }
        held.push_str(&next);
    }
    if !held.is_empty() {
        blocks.push(paragraph(&held));
    }
}

fn header(text: &str) -> Value {
    let text = line(text, MAX_HEADER);
    json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": false}})
}

fn paragraph(text: &str) -> Value {
    json!({"type": "section", "text": plain(text, MAX_TEXT)})
}

fn plain(text: &str, most: usize) -> Value {
    let short: String = text.chars().take(most).collect();
    json!({"type": "plain_text", "text": short, "emoji": false})
}

/// The names of facts are mostly ours; what is not loses every sign that means something to Slack.
fn named(name: &str) -> String {
    name.chars().filter(|c| !"*_~`<>&".contains(*c)).collect()
}

/// The fallback, which Slack reads as its own markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
