//! Azure's texts: HTML sanitised once more, and as paragraphs of plain text.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// What may stay of HTML in a mail: less than what is kept, since mail programs differ.
static HARMLESS: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "p",
        "br",
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ul",
        "ol",
        "li",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "code",
        "pre",
        "hr",
    ];
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from(tags))
        .clean_content_tags(HashSet::from(["script", "style", "title"]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"])), ("td", HashSet::from(["colspan", "rowspan"]))]))
        .url_schemes(HashSet::from(["https"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer nofollow"));
    builder
});

/// The HTML, harmless, cut to about `most` bytes with every element closed, and whether something was cut off.
pub fn sanitised(html: &str, most: usize) -> (String, bool) {
    let mut end = html.len().min(most);
    while !html.is_char_boundary(end) {
        end -= 1;
    }
    let cut = end < html.len();
    if cut {
        let head = &html[..end];
        // Not inside of a tag, nor of an entity.
        if let Some(open) = head.rfind('<').filter(|open| head.rfind('>').is_none_or(|close| close < *open)) {
            end = open;
        }
        let head = &html[..end];
        if let Some(and) = head.rfind('&').filter(|and| end - and < 12 && !head[*and..].contains(';')) {
            end = and;
        }
    }
    // Signs that nobody sees, and those that turn text around, are no part of a text of Azure's.
    let seen = |c: &char| *c == '\n' || !(c.is_control() || super::words::is_invisible(*c));
    let shown: String = html[..end].trim().chars().map(|c| if c == '\t' { ' ' } else { c }).filter(seen).collect();
    (HARMLESS.clean(&shown).to_string(), cut)
}

/// Paragraphs of plain text from HTML: lists as lines with a dash, links with their address, cells apart.
pub fn plain(html: &str) -> Vec<String> {
    paragraphs(&HARMLESS.clean(html).to_string())
}

/// The same of HTML that [`sanitised`] gave: it is well-formed, a `<` begins a tag and nothing else.
pub(super) fn paragraphs(sanitised: &str) -> Vec<String> {
    let mut writer = Writer::default();
    let mut rest = sanitised;
    while let Some(open) = rest.find('<') {
        writer.text(&rest[..open]);
        let Some(close) = rest[open..].find('>') else { break };
        writer.tag(&rest[open + 1..open + close]);
        rest = &rest[open + close + 1..];
    }
    writer.text(rest);
    writer.end()
}

#[derive(Default)]
struct Writer {
    paragraphs: Vec<String>,
    current: String,
    /// The address of the open link, and where its words begin.
    link: Option<(String, usize)>,
}

impl Writer {
    fn text(&mut self, raw: &str) {
        for c in entities(raw).chars() {
            let c = if c.is_control() || c.is_whitespace() { ' ' } else { c };
            if super::words::is_invisible(c) || (c == ' ' && (self.current.is_empty() || self.current.ends_with(' '))) {
                continue;
            }
            self.current.push(c);
        }
    }

    fn tag(&mut self, tag: &str) {
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        match (name, tag.starts_with('/')) {
            ("a", false) => {
                let href = tag.split_once("href=\"").and_then(|(_, rest)| rest.split('"').next());
                self.link = href.map(|href| (entities(href), self.current.len()));
            }
            ("a", true) => {
                if let Some((href, start)) = self.link.take() {
                    let said = self.current.get(start..).unwrap_or_default().trim();
                    // Whatever the words promise, the address is what it is.
                    if said != href {
                        self.current.push_str(&format!(" ({href})"));
                    }
                }
            }
            ("li", false) => {
                self.paragraph();
                self.current.push_str("- ");
            }
            ("td" | "th", false) => {}
            ("td" | "th", true) => self.current.push_str(" | "),
            ("b" | "strong" | "i" | "em" | "u" | "code", _) => {}
            _ => self.paragraph(),
        }
    }

    fn paragraph(&mut self) {
        let text = self.current.trim().trim_end_matches(" |").trim();
        if !text.is_empty() && text != "-" {
            self.paragraphs.push(text.to_owned());
        }
        self.current.clear();
        if let Some((_, start)) = &mut self.link {
            *start = 0;
        }
    }

    fn end(mut self) -> Vec<String> {
        self.paragraph();
        self.paragraphs
    }
}

/// The entities that ammonia writes.
fn entities(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", " ")
        // Last, so that `&amp;lt;` stays what it was.
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_becomes_paragraphs_and_links_say_where_they_lead() {
        let html = "<p>Down since <b>10:00</b> &amp; still.</p><ul><li>VM</li><li>SQL</li></ul>\
                    <p>See <a href=\"https://aka.ms/x?a=1&amp;b=2\">status</a> or <a href=\"https://aka.ms/\">https://aka.ms/</a>.</p>\
                    <table><tr><td>a</td><td>b</td></tr></table><a href='javascript:x()'>c</a>&amp;lt;b&amp;gt;";
        assert_eq!(
            plain(html),
            [
                "Down since 10:00 & still.",
                "- VM",
                "- SQL",
                "See status (https://aka.ms/x?a=1&b=2) or https://aka.ms/.",
                "a | b",
                "c&lt;b&gt;"
            ]
        );
    }

    #[test]
    fn a_cut_text_is_closed_and_never_ends_within_a_tag() {
        let html = "<p>One <b>two &amp; <a href=\"https://aka.ms/x\">three</a></b></p>";
        for most in 0..=html.len() {
            let (short, cut) = sanitised(html, most);
            assert_eq!(cut, most < html.len());
            assert_eq!(short.matches("<p>").count(), short.matches("</p>").count(), "{short}");
            assert_eq!(short.matches("<a ").count(), short.matches("</a>").count(), "{short}");
            assert!(!short.contains("href=\"\"") && !short.contains("&amp;amp"), "{short}");
        }
    }
}
