//! A message as CommonMark: for receivers that pass it on to a chat of their own.

use super::{Message, Section, Text};

/// The message as markdown.
pub fn markdown(message: &Message) -> String {
    let mut out = String::new();
    if message.sections.len() > 1 {
        out.push_str(&format!("# {}\n\n", escape(&message.subject)));
    }
    for section in &message.sections {
        write(&mut out, section);
    }
    if let Some(rest) = message.rest() {
        out.push_str(&format!("{}\n", escape(&rest)));
    }
    out.trim_end().to_owned()
}

fn write(out: &mut String, section: &Section) {
    out.push_str(&format!("## {}: {}\n\n", escape(&section.label), escape(&section.title)));
    for (name, value) in &section.facts {
        out.push_str(&format!("- **{}**: {}\n", escape(name), escape(value)));
    }
    if let Some(remedy) = &section.remedy {
        out.push_str(&format!("\n**What to do**: {}\n", escape(remedy)));
    }
    for (name, list) in [("Resources", &section.resources), ("Customers", &section.affected)] {
        if !list.is_empty() {
            out.push_str(&format!("\n**{name}**\n\n"));
            list.iter().for_each(|entry| out.push_str(&format!("- {}\n", escape(entry))));
        }
    }
    if let Some(text) = &section.text {
        text.paragraphs.iter().for_each(|paragraph| out.push_str(&format!("\n> {}\n", escape(paragraph))));
        if text.cut {
            out.push_str(&format!("\n> {}\n", Text::REST));
        }
    }
    if let Some(link) = &section.link {
        // Between angle brackets nothing but these two ends an address, and no address has them unescaped.
        out.push_str(&format!("\n[Open in Azure](<{}>)\n", link.replace('<', "%3C").replace('>', "%3E")));
    }
    out.push('\n');
}

/// Text that stays text: every ASCII punctuation character may be escaped in CommonMark. What begins lists is escaped at the
/// beginning, and the `:` of addresses and the `@` of mentions too, by which chats find them without markup.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(c) = signs.next() {
        let begins = out.is_empty() && matches!(c, '-' | '+' | '=');
        let leads = c == ':' && signs.peek() == Some(&'/');
        if begins || leads || "\\`*_{}[]<>#!|~@&$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
