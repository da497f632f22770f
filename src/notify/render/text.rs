//! A message as plain text: of mails, and of whatever shows no more.

use super::{Message, Section, Text};

/// The message as plain text.
pub fn text(message: &Message) -> String {
    let mut out = String::new();
    if message.sections.len() > 1 {
        out.push_str(&format!("{}\n\n", message.subject));
    }
    for section in &message.sections {
        write(&mut out, section);
    }
    if let Some(rest) = message.rest() {
        out.push_str(&format!("{rest}\n\n"));
    }
    out.push_str(&format!("Message {}\n", message.id));
    out
}

fn write(out: &mut String, section: &Section) {
    let heading = format!("{}: {}", section.label, section.title);
    out.push_str(&format!("{heading}\n{}\n\n", "-".repeat(heading.chars().count().min(100))));
    let width = section.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, value) in &section.facts {
        out.push_str(&format!("{name:<width$}  {value}\n"));
    }
    if let Some(remedy) = &section.remedy {
        out.push_str(&format!("\nWhat to do: {remedy}\n"));
    }
    for (name, list) in [("Resources", &section.resources), ("Customers", &section.affected)] {
        if !list.is_empty() {
            out.push_str(&format!("\n{name}:\n"));
            list.iter().for_each(|entry| out.push_str(&format!("- {entry}\n")));
        }
    }
    if let Some(text) = &section.text {
        out.push_str("\nAzure says:\n");
        text.paragraphs.iter().for_each(|paragraph| out.push_str(&format!("{paragraph}\n")));
        if text.cut {
            out.push_str(&format!("{}\n", Text::REST));
        }
    }
    if let Some(link) = &section.link {
        out.push_str(&format!("\n{link}\n"));
    }
    out.push('\n');
}
