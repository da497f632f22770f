//! Reads a document piece by piece, and keeps every fault with the place it is at.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::near::near;

/// The most members, faults or letters of foreign text that are said.
const MOST_SAID: usize = 40;

/// A fault of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901).
    pub pointer: String,
    /// What is there.
    pub found: String,
    /// What would be right.
    pub right: String,
    /// Names that were probably meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
    /// The sentence of whoever knows better what is wrong, such as a channel of its options.
    #[serde(skip)]
    pub said: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        if let Some(said) = &self.said {
            return write!(f, "{place}: {said}");
        }
        write!(f, "{place}: found {}; right would be {}", self.found, self.right)?;
        match self.near.as_slice() {
            [] => Ok(()),
            near => write!(f, "; did you mean {}?", near.join(" or ")),
        }
    }
}

/// A place in a document, with its value.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub pointer: String,
    pub value: &'a Value,
}

impl<'a> Place<'a> {
    /// The place of a member or element.
    pub fn at(&self, name: &str, value: &'a Value) -> Self {
        Self { pointer: format!("{}/{}", self.pointer, escaped(name)), value }
    }
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub faults: Vec<Fault>,
}

impl Reader {
    /// Notes a fault.
    pub fn fault(&mut self, place: &Place<'_>, right: impl Into<String>) {
        self.fault_at(place.pointer.clone(), shown(place.value), right, Vec::new());
    }

    /// Notes a fault with names that were probably meant.
    pub fn unknown<'n>(
        &mut self,
        place: &Place<'_>,
        right: impl Into<String>,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let word = place.value.as_str().unwrap_or_default();
        let near = near(word, known).into_iter().map(str::to_owned).collect();
        self.fault_at(place.pointer.clone(), shown(place.value), right, near);
    }

    /// Notes a fault of something that is no value of the document.
    pub fn fault_at(&mut self, pointer: String, found: String, right: impl Into<String>, near: Vec<String>) {
        self.faults.push(Fault { pointer, found, right: right.into(), near, said: None });
    }

    /// Notes what a channel says of one of its options.
    pub fn option_fault(&mut self, pointer: String, found: &str, field: &str, why: &str) {
        let said = Some(format!("{field} {why}"));
        self.faults.push(Fault { pointer, found: found.to_owned(), right: why.to_owned(), near: Vec::new(), said });
    }

    /// An object with known members only.
    pub fn object<'a>(&mut self, place: &Place<'a>, known: &[&str]) -> Option<&'a Map<String, Value>> {
        let object = self.any_object(place)?;
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            let right = format!("one of the members {}", known.join(", "));
            let near = near(name, known.iter().copied()).into_iter().map(str::to_owned).collect();
            let found = format!("the member {}", shown(&Value::String(name.clone())));
            self.fault_at(format!("{}/{}", place.pointer, escaped(name)), found, right, near);
        }
        Some(object)
    }

    /// An object with any members.
    pub fn any_object<'a>(&mut self, place: &Place<'a>) -> Option<&'a Map<String, Value>> {
        let object = place.value.as_object();
        if object.is_none() {
            self.fault(place, "an object");
        }
        object
    }

    /// A member that must be there.
    pub fn needed<'a>(
        &mut self,
        place: &Place<'a>,
        object: &'a Map<String, Value>,
        name: &str,
        right: &str,
    ) -> Option<Place<'a>> {
        match object.get(name) {
            Some(value) => Some(place.at(name, value)),
            None => {
                self.fault_at(format!("{}/{name}", place.pointer), "nothing".to_owned(), right, Vec::new());
                None
            }
        }
    }

    /// A member, if it is there. `null` counts as absent.
    pub fn given<'a>(&self, place: &Place<'a>, object: &'a Map<String, Value>, name: &str) -> Option<Place<'a>> {
        object.get(name).filter(|value| !value.is_null()).map(|value| place.at(name, value))
    }

    /// A list of at most `most` elements.
    pub fn list<'a>(&mut self, place: &Place<'a>, most: usize) -> Vec<Place<'a>> {
        let Some(list) = place.value.as_array() else {
            self.fault(place, "a list");
            return Vec::new();
        };
        if list.len() > most {
            let found = format!("{} elements", list.len());
            self.fault_at(place.pointer.clone(), found, format!("at most {most}"), Vec::new());
            return Vec::new();
        }
        list.iter().enumerate().map(|(index, value)| place.at(&index.to_string(), value)).collect()
    }

    /// One line of text, neither empty nor too long.
    pub fn text<'a>(&mut self, place: &Place<'a>) -> Option<&'a str> {
        let sound =
            |text: &&str| !text.trim().is_empty() && text.chars().count() <= 200 && !text.chars().any(char::is_control);
        let text = place.value.as_str().filter(sound);
        if text.is_none() {
            self.fault(place, "one line of text, 1 to 200 characters");
        }
        text
    }

    /// A name that becomes part of ids and paths.
    pub fn name<'a>(&mut self, place: &Place<'a>) -> Option<&'a str> {
        let name = place.value.as_str().filter(|name| is_name(name));
        if name.is_none() {
            self.fault(place, NAME_RULE);
        }
        name
    }

    /// One of some words. Case counts unless `loose`.
    pub fn word<'a>(&mut self, place: &Place<'a>, words: &[&str], loose: bool) -> Option<&'a str> {
        let is = |text: &&str| words.iter().any(|word| word == text || (loose && word.eq_ignore_ascii_case(text)));
        let word = place.value.as_str().filter(is);
        if word.is_none() {
            self.unknown(place, format!("one of {}", words.join(", ")), words.iter().copied());
        }
        word
    }

    /// A whole number within bounds.
    pub fn number(&mut self, place: &Place<'_>, least: u64, most: u64, of: &str) -> Option<u64> {
        let number = place.value.as_u64().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.fault(place, format!("a whole number of {of} from {least} to {most}"));
        }
        number
    }

    /// Something that is parsed.
    pub fn parsed<T: std::str::FromStr>(&mut self, place: &Place<'_>, right: &str) -> Option<T> {
        let parsed = place.value.as_str().and_then(|text| text.parse().ok());
        if parsed.is_none() {
            self.fault(place, right);
        }
        parsed
    }
}

/// What names of channels and ids of routes are made of.
pub(super) const NAME_RULE: &str = "1 to 60 letters, digits, '-' or '_'";

/// True for a name that may become part of ids and paths.
pub(super) fn is_name(name: &str) -> bool {
    (1..=60).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// A value as it is said in a fault: short, on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::String(text) if text.chars().count() > MOST_SAID => {
            let cut: String = text.chars().take(MOST_SAID).collect();
            format!("{:?}", format!("{cut}..."))
        }
        other => other.to_string(),
    }
}

fn escaped(name: &str) -> String {
    let name: String = name.chars().take(MOST_SAID).collect();
    name.replace('~', "~0").replace('/', "~1")
}
