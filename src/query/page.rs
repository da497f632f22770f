//! Pages of an ordered list, with opaque cursors. Filters come first, so that a page is full while there is more. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Rows per page unless asked otherwise.
pub const DEFAULT_TOP: usize = 100;
/// The most rows per page.
pub const MAX_TOP: usize = 1000;

/// Which page is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageAsk {
    /// Rows per page.
    pub top: usize,
    /// Only rows after this key.
    pub after: Option<String>,
}

impl Default for PageAsk {
    fn default() -> Self {
        Self { top: DEFAULT_TOP, after: None }
    }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl PageAsk {
    /// Reads what a caller sent.
    ///
    /// # Errors
    /// The name of the parameter and what would be right.
    pub fn parse(top: Option<&str>, cursor: Option<&str>) -> Result<Self, (&'static str, String)> {
        let top = match top {
            None => DEFAULT_TOP,
            Some(text) => match text.parse() {
                Ok(top) if (1..=MAX_TOP).contains(&top) => top,
                _ => return Err(("top", format!("must be a number from 1 to {MAX_TOP}"))),
            },
        };
        let after = match cursor {
            None => None,
            Some(text) => match URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                Some(key) => Some(key),
                None => return Err(("cursor", "must be taken from the nextLink of an earlier page".to_owned())),
            },
        };
        Ok(Self { top, after })
    }
}

/// The cursor behind a key.
pub fn cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// Cuts one page out of rows that are in order of their unique keys.
pub fn page<T>(rows: Vec<T>, key: impl Fn(&T) -> String, ask: &PageAsk) -> Page<T> {
    let mut rest: Vec<T> = match &ask.after {
        Some(after) => rows.into_iter().filter(|row| key(row) > *after).collect(),
        None => rows,
    };
    let more = rest.len() > ask.top;
    rest.truncate(ask.top);
    let next = rest.last().filter(|_| more).map(|last| cursor(&key(last)));
    Page { rows: rest, next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn walking_all_pages_yields_each_row_once(count in 0_usize..60, top in 1_usize..20) {
            let rows: Vec<String> = (0..count).map(|n| format!("key-{n:04}")).collect();
            let (mut walked, mut cursor) = (Vec::new(), None);
            for _ in 0..=count {
                let ask = PageAsk::parse(Some(&top.to_string()), cursor.as_deref()).expect("a cursor of ours");
                let page = page(rows.clone(), Clone::clone, &ask);
                walked.extend(page.rows);
                cursor = page.next;
                if cursor.is_none() { break; }
            }
            prop_assert_eq!(walked, rows);
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        assert_eq!(PageAsk::parse(Some("0"), None).map_err(|e| e.0), Err("top"));
        assert_eq!(PageAsk::parse(Some("many"), None).map_err(|e| e.0), Err("top"));
        assert_eq!(PageAsk::parse(None, Some("?")).map_err(|e| e.0), Err("cursor"));
    }
}
