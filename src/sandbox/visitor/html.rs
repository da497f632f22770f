//! Just enough of HTML to read forms and words from a page: tags, attributes and character references. No scripts, no styles.

/// A form as the page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Its target, perhaps relative.
    pub action: String,
    /// `get` or `post`.
    pub method: String,
    /// Its fields and buttons, in order.
    pub fields: Vec<Field>,
}

/// A field or a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; fields without one are never sent.
    pub name: String,
    /// `hidden`, `text`, `checkbox`, `radio`, `submit`, `option`, `textarea` and so on.
    pub kind: String,
    /// Its value.
    pub value: String,
    /// Checked or selected.
    pub checked: bool,
    /// Never sent.
    pub disabled: bool,
}

impl Form {
    /// What a browser sends when no button is named: hidden and text fields, checked boxes, chosen options.
    pub fn values(&self) -> Vec<(String, String)> {
        let sent = |field: &&Field| {
            !field.disabled
                && !field.name.is_empty()
                && match field.kind.as_str() {
                    "checkbox" | "radio" | "option" => field.checked,
                    "submit" | "button" | "reset" | "image" | "file" => false,
                    _ => true,
                }
        };
        self.fields.iter().filter(sent).map(|field| (field.name.clone(), field.value.clone())).collect()
    }

    /// The fields of a name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    /// The value of the first field of a name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }
}

/// An element of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    pub tag: String,
    pub attributes: Vec<(String, String)>,
    /// The elements around it, outermost first.
    pub parents: Vec<String>,
    /// All words in it.
    pub text: String,
}

impl Element {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        attribute(&self.attributes, name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }
}

/// The elements of a page, in order.
pub(super) fn elements(page: &str) -> Vec<Element> {
    const VOID: [&str; 7] = ["meta", "input", "br", "img", "link", "hr", "wbr"];
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    // Of style and script the words are left out; of a title they count here.
    for token in tokens(page) {
        match token {
            Token::Open(tag, attributes) => {
                let parents = open.iter().map(|at| elements[*at].tag.clone()).collect();
                let is_void = VOID.contains(&tag.as_str());
                elements.push(Element { tag, attributes, parents, text: String::new() });
                if !is_void {
                    open.push(elements.len() - 1);
                }
            }
            Token::Text(text) => open.iter().for_each(|at| elements[*at].text.push_str(decode(text).trim())),
            Token::Close(tag) => {
                if let Some(depth) = open.iter().rposition(|at| elements[*at].tag == tag) {
                    open.truncate(depth);
                }
            }
        }
    }
    elements
}

enum Token<'a> {
    Open(String, Vec<(String, String)>),
    Close(String),
    Text(&'a str),
}

/// The forms of a page.
pub(super) fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    let mut select: Option<(String, bool)> = None;
    let mut textarea: Option<String> = None;
    for token in tokens(page) {
        match token {
            Token::Open(tag, attributes) if tag == "form" => {
                let method = attribute(&attributes, "method").unwrap_or("get").to_ascii_lowercase();
                let action = attribute(&attributes, "action").unwrap_or_default().to_owned();
                forms.push(Form { action, method, fields: Vec::new() });
                open = true;
            }
            Token::Close(tag) if tag == "form" => open = false,
            _ if !open => {}
            Token::Open(tag, attributes) => {
                let Some(form) = forms.last_mut() else { continue };
                let text = |name: &str| attribute(&attributes, name).unwrap_or_default().to_owned();
                let has = |name: &str| attribute(&attributes, name).is_some();
                match tag.as_str() {
                    "input" | "button" => {
                        let default = if tag == "button" { "submit" } else { "text" };
                        let kind = attribute(&attributes, "type").unwrap_or(default).to_ascii_lowercase();
                        let checkable = kind == "checkbox" || kind == "radio";
                        let value = if checkable && !has("value") { "on".to_owned() } else { text("value") };
                        form.fields.push(Field {
                            name: text("name"),
                            kind,
                            value,
                            checked: has("checked"),
                            disabled: has("disabled"),
                        });
                    }
                    "select" => select = Some((text("name"), has("disabled"))),
                    "option" => {
                        if let Some((name, disabled)) = &select {
                            form.fields.push(Field {
                                name: name.clone(),
                                kind: "option".to_owned(),
                                value: text("value"),
                                checked: has("selected"),
                                disabled: *disabled || has("disabled"),
                            });
                        }
                    }
                    "textarea" => {
                        textarea = Some(String::new());
                        form.fields.push(Field {
                            name: text("name"),
                            kind: "textarea".to_owned(),
                            value: String::new(),
                            checked: false,
                            disabled: has("disabled"),
                        });
                    }
                    _ => {}
                }
            }
            Token::Text(text) => {
                if let (Some(_), Some(field)) = (&textarea, forms.last_mut().and_then(|form| form.fields.last_mut())) {
                    field.value.push_str(&decode(text));
                }
            }
            Token::Close(tag) => match tag.as_str() {
                "textarea" => textarea = None,
                "select" => {
                    // Without a selected option the first counts.
                    if let (Some((name, _)), Some(form)) = (select.take(), forms.last_mut()) {
                        let of = |field: &&mut Field| field.kind == "option" && field.name == name;
                        let chosen = form.fields.iter().any(|field| field.name == name && field.checked);
                        if !chosen && let Some(first) = form.fields.iter_mut().find(of) {
                            first.checked = true;
                        }
                    }
                }
                _ => {}
            },
        }
    }
    forms
}

/// The words of a page.
pub(super) fn text(page: &str) -> String {
    let mut words = String::new();
    for token in tokens(page) {
        match token {
            Token::Text(text) => words.push_str(&decode(text)),
            // Inline elements do not part words.
            Token::Open(tag, _) | Token::Close(tag)
                if !["a", "b", "i", "em", "strong", "span", "small", "code", "abbr", "time"]
                    .contains(&tag.as_str()) =>
            {
                words.push(' ');
            }
            _ => {}
        }
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn attribute<'a>(attributes: &'a [(String, String)], name: &str) -> Option<&'a str> {
    attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn tokens(page: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        if start > 0 {
            tokens.push(Token::Text(&rest[..start]));
        }
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let end = tag_end(rest);
        let inner = rest[1..end].trim_end_matches('/');
        rest = rest.get(end + 1..).unwrap_or_default();
        if let Some(name) = inner.strip_prefix('/') {
            tokens.push(Token::Close(name.trim().to_ascii_lowercase()));
        } else if inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let (name, attributes) = inner.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((inner, ""));
            let name = name.to_ascii_lowercase();
            // What is inside of these is no text of the page.
            if name == "script" || name == "style" {
                let close = format!("</{name}");
                rest = rest.find(&close).map_or("", |at| &rest[at..]);
            }
            tokens.push(Token::Open(name, parse_attributes(attributes)));
        }
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest));
    }
    tokens
}

/// Where the tag at the start of the text ends; a `>` inside of quotes does not count.
fn tag_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            None if c == '>' => return at,
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
    }
    text.len()
}

fn parse_attributes(text: &str) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let Some(after) = rest.strip_prefix('=') else {
            attributes.push((name, String::new()));
            continue;
        };
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| *c == '"' || *c == '\'');
        let (value, next) = match quote {
            Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
            None => after.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((after, "")),
        };
        attributes.push((name, decode(value)));
        rest = next.trim_start();
    }
    attributes
}

/// Character references to characters.
fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        decoded.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.find(';').filter(|end| *end <= 10);
        match end.and_then(|end| Some((character(&rest[1..end])?, end))) {
            Some((c, end)) => {
                decoded.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(name: &str) -> Option<char> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => number(&hex[1..], 16),
            digits => number(digits, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_a_browser_reads_them() {
        let page = r#"<p>a &lt; b</p><!-- <form> -->
            <form method="POST" action="/x?a=1&amp;b=2"><input type=hidden name=csrf value="t&quot;&#x41;&#66;">
            <input type="checkbox" name="s" value="1" checked><input type="checkbox" name="s" value="2">
            <input type="radio" name="r" value="a > b" checked/><select name="o"><option value="p">P<option value="q">Q</select>
            <textarea name="t">x &amp; y</textarea><input name="off" value="1" disabled>
            <button name="action" value="go">Go</button></form><form></form>"#;
        let forms = forms(page);
        assert_eq!(forms.len(), 2);
        assert_eq!((forms[0].method.as_str(), forms[0].action.as_str()), ("post", "/x?a=1&b=2"));
        let values = forms[0].values();
        let expected = [("csrf", "t\"AB"), ("s", "1"), ("r", "a > b"), ("o", "p"), ("t", "x & y")];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(forms[0].named("action").next().map(|field| field.kind.as_str()), Some("submit"));
        assert_eq!(forms[1].method, "get");
    }

    #[test]
    fn the_words_of_a_page_are_what_a_reader_sees() {
        let page = "<style>p{}</style><h1>One</h1><p>two <b>th</b>ree &amp; four</p><script>five()</script>";
        assert_eq!(text(page), "One two three & four");
    }
}
