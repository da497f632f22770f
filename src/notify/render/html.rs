//! A message as HTML for mail: tables and inline styles, since mail programs know no more; no images, nothing from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Message, Section, Text, Tone};

/// The message as an HTML document. Everything is escaped but Azure's text, which is sanitised.
pub fn document(message: &Message, partner: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (message.subject) }
            }
            body style="margin:0;padding:16px;background:#f3f4f6;color:#1f2937;font-family:Segoe UI,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.45" {
                @if message.sections.len() > 1 { h1 style="font-size:20px;margin:0 0 16px" { (message.subject) } }
                @for part in &message.sections { (section(part)) }
                @if let Some(rest) = message.rest() { p { (rest) } }
                p style="color:#6b7280;font-size:12px" { "Sent by " (partner) ". Message " (message.id) "." }
            }
        }
    };
    page.into_string()
}

fn section(section: &Section) -> Markup {
    let (colour, ground) = match section.tone {
        Tone::Critical => ("#b91c1c", "#fef2f2"),
        Tone::Warning => ("#b45309", "#fffbeb"),
        Tone::Note => ("#1d4ed8", "#eff6ff"),
        Tone::Good => ("#15803d", "#f0fdf4"),
    };
    html! {
        div style={ "max-width:680px;margin:0 0 16px;background:#ffffff;border-left:6px solid " (colour) ";padding:16px" } {
            p style={ "margin:0 0 4px;display:inline-block;padding:2px 8px;font-size:13px;font-weight:600;color:" (colour) ";background:" (ground) } {
                (section.label)
            }
            h2 style="font-size:18px;margin:4px 0 12px" { (section.title) }
            table role="presentation" style="border-collapse:collapse" {
                @for (name, value) in &section.facts {
                    tr {
                        td style="padding:2px 16px 2px 0;color:#6b7280;vertical-align:top;white-space:nowrap" { (name) }
                        td style="padding:2px 0" { (value) }
                    }
                }
            }
            @if let Some(remedy) = &section.remedy { p { b { "What to do: " } (remedy) } }
            @for (name, list) in [("Resources", &section.resources), ("Customers", &section.affected)] {
                @if !list.is_empty() {
                    p style="margin:12px 0 4px;font-weight:600" { (name) }
                    ul style="margin:0;padding-left:20px" { @for entry in list { li { (entry) } } }
                }
            }
            @if let Some(text) = &section.text {
                p style="margin:12px 0 4px;font-weight:600" { "Azure says" }
                div style="border-top:1px solid #e5e7eb;padding-top:8px" {
                    // Sanitised by `sanitised`, the only place where a `Text` comes from.
                    (PreEscaped(&text.html))
                    @if text.cut { p { i { (Text::REST) } } }
                }
            }
            @if let Some(link) = &section.link {
                p style="margin:16px 0 0" {
                    a href=(link) style={ "display:inline-block;padding:8px 16px;color:#ffffff;text-decoration:none;background:" (colour) } {
                        "Open in Azure"
                    }
                }
            }
        }
    }
}
