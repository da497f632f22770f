//! A message as an Adaptive Card. Foreign text stands in text runs, which know no markdown: nothing has to be escaped, and nothing
//! can be forgotten.

use serde_json::{Value, json};

use super::{Message, Section, Text, Tone};

/// The card, version 1.4: what Teams shows everywhere.
pub fn card(message: &Message) -> Value {
    let mut body = Vec::new();
    if message.sections.len() > 1 {
        body.push(block(vec![run(&message.subject, &[("weight", "Bolder"), ("size", "Large")])], "None"));
    }
    for part in &message.sections {
        body.push(section(part));
    }
    if let Some(rest) = message.rest() {
        body.push(block(vec![run(&rest, &[])], "Medium"));
    }
    body.push(block(
        vec![run(&format!("Message {}", message.id), &[("size", "Small"), ("color", "Default")])],
        "Medium",
    ));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": harmless(&message.subject),
        "msteams": {"width": "Full"},
        "body": body,
    });
    // A button for each says nothing of which is which: only a single notice has one.
    if let ([only], Some(card)) = (message.sections.as_slice(), card.as_object_mut()) {
        if let Some(link) = &only.link {
            let action = json!({"type": "Action.OpenUrl", "title": "Open in Azure", "url": link});
            card.insert("actions".to_owned(), json!([action]));
        }
    }
    card
}

fn section(section: &Section) -> Value {
    let (style, colour) = match section.tone {
        Tone::Critical => ("attention", "Attention"),
        Tone::Warning => ("warning", "Warning"),
        Tone::Note => ("accent", "Accent"),
        Tone::Good => ("good", "Good"),
    };
    let mut items = vec![
        block(vec![run(&section.label, &[("weight", "Bolder"), ("color", colour)])], "None"),
        block(vec![run(&section.title, &[("weight", "Bolder"), ("size", "Medium")])], "None"),
    ];
    items.extend(section.facts.iter().map(|(name, value)| named(name, value)));
    if let Some(remedy) = &section.remedy {
        items.push(named("What to do", remedy));
    }
    for (name, list) in [("Resources", &section.resources), ("Customers", &section.affected)] {
        if !list.is_empty() {
            items.push(block(vec![run(name, &[("weight", "Bolder")])], "Medium"));
            items.extend(list.iter().map(|entry| block(vec![run(&format!("• {entry}"), &[])], "None")));
        }
    }
    if let Some(text) = &section.text {
        items.push(block(vec![run("Azure says", &[("weight", "Bolder")])], "Medium"));
        items.extend(text.paragraphs.iter().map(|paragraph| block(vec![run(paragraph, &[])], "Small")));
        if text.cut {
            items.push(block(vec![run(Text::REST, &[])], "Small"));
        }
    }
    json!({"type": "Container", "style": style, "bleed": true, "separator": true, "spacing": "Medium", "items": items})
}

fn named(name: &str, value: &str) -> Value {
    block(vec![run(&format!("{name}: "), &[("weight", "Bolder")]), run(value, &[])], "Small")
}

fn block(inlines: Vec<Value>, spacing: &str) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines, "spacing": spacing})
}

fn run(text: &str, looks: &[(&str, &str)]) -> Value {
    let mut run = json!({"type": "TextRun", "text": harmless(text)});
    for (name, value) in looks {
        run[*name] = (*value).into();
    }
    run
}

/// Clients fill `{{DATE(..)}}` in; elsewhere `<at>` mentions people.
fn harmless(text: &str) -> String {
    text.replace("{{", "{ {").replace("}}", "} }").replace("<at>", "< at>").replace("</at>", "< /at>")
}
