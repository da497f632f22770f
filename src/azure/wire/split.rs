//! Cuts a listing into its rows while it arrives, so that no more than one row of it is held. Pure.
//!
//! It only finds where rows begin and end; whether they are JSON is seen when they are read. What is no row stays together
//! as the envelope, where the rows' array is empty: `{"value":[],"nextLink":".."}`.

/// The arrays whose elements are rows: of Resource Manager and of Resource Graph, in any case.
const ROWS: [&[u8]; 2] = [b"\"value\"", b"\"data\""];

/// A listing that is being cut.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    /// Everything outside rows.
    envelope: Vec<u8>,
    /// The row that is not whole yet.
    row: Vec<u8>,
    /// How many objects and arrays are open.
    depth: u32,
    in_rows: bool,
    in_string: bool,
    escaped: bool,
    /// Where the last text at depth 1 began in the envelope: a name, when a colon follows.
    name: usize,
}

impl Splitter {
    /// Takes the next piece, and gives each row that it completes.
    pub(crate) fn take(&mut self, piece: &[u8], mut row: impl FnMut(&[u8])) {
        let mut from = 0;
        let mut at = 0;
        while at < piece.len() {
            if self.in_string {
                at += self.skip_text(&piece[at..]);
                continue;
            }
            let byte = piece[at];
            at += 1;
            match byte {
                b'"' => {
                    self.in_string = true;
                    if self.depth == 1 {
                        self.name = self.envelope.len() + (at - 1 - from);
                    }
                }
                b'{' | b'[' => {
                    self.depth = self.depth.saturating_add(1);
                    if byte == b'[' && self.depth == 2 && !self.in_rows {
                        self.keep(&piece[from..at]);
                        from = at;
                        self.in_rows = self.is_rows();
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.in_rows && self.depth == 1 {
                        self.end_row(&piece[from..at - 1], &mut row);
                        from = at - 1;
                        self.in_rows = false;
                    }
                }
                b',' if self.in_rows && self.depth == 2 => {
                    self.end_row(&piece[from..at - 1], &mut row);
                    from = at;
                }
                _ => {}
            }
        }
        self.keep(&piece[from..]);
    }

    /// The envelope, once everything has arrived. What is left of a row that never ended makes it no JSON.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.envelope.append(&mut self.row);
        self.envelope
    }

    /// How many bytes belong to the text that is open; its end is noted.
    fn skip_text(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        loop {
            if std::mem::take(&mut self.escaped) {
                if at == piece.len() {
                    self.escaped = true;
                    return at;
                }
                at += 1;
            }
            at += plain(&piece[at..]);
            match piece.get(at) {
                None => return at,
                Some(b'"') => {
                    self.in_string = false;
                    return at + 1;
                }
                Some(_) => {
                    self.escaped = true;
                    at += 1;
                }
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.in_rows { self.row.extend_from_slice(piece) } else { self.envelope.extend_from_slice(piece) }
    }

    /// True when the name before the array that begins is one of ours.
    fn is_rows(&self) -> bool {
        let tail = self.envelope.get(self.name..).unwrap_or_default();
        ROWS.iter().any(|name| {
            tail.len() > name.len()
                && tail[..name.len()].eq_ignore_ascii_case(name)
                && tail[name.len()..].iter().all(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | b'['))
        })
    }

    fn end_row(&mut self, last: &[u8], row: &mut impl FnMut(&[u8])) {
        let whole = if self.row.is_empty() {
            last
        } else {
            self.row.extend_from_slice(last);
            &self.row
        };
        if !whole.iter().all(u8::is_ascii_whitespace) {
            row(whole);
        }
        self.row.clear();
    }
}

/// The bytes before the first quotation mark or backslash, eight at a time: nearly all of a listing is text.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The well-known test for a zero byte in a word: its lowest set bit is exact.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
    words.len() * 8 + in_rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn cut(text: &[u8], pieces: usize) -> (Vec<Value>, Result<Value, serde_json::Error>) {
        let mut splitter = Splitter::default();
        let mut rows = Vec::new();
        for piece in text.chunks(pieces.max(1)) {
            splitter.take(piece, |row| rows.push(serde_json::from_slice(row).unwrap_or(Value::Null)));
        }
        (rows, serde_json::from_slice(&splitter.end()))
    }

    #[test]
    fn rows_come_out_one_by_one_and_the_envelope_keeps_the_rest() {
        let text = br#" {"totalRecords" : 3, "Data" : [ {"a": "x]},{\"[\\"} , 7 ,[1,{"b":[]}] ], "facets":[1], "$skipToken":"t\"["} "#;
        for pieces in [1, 2, 3, 7, 1000] {
            let (rows, envelope) = cut(text, pieces);
            assert_eq!(rows, [json!({"a": "x]},{\"[\\"}), json!(7), json!([1, {"b": []}])]);
            let expected = json!({"totalRecords": 3, "Data": [], "facets": [1], "$skipToken": "t\"["});
            assert_eq!(envelope.expect("whole"), expected);
        }
    }

    #[test]
    fn what_is_no_listing_is_envelope_and_what_breaks_off_is_no_json() {
        for text in
            ["{\"value\": {\"value\": [1]}}", "[[1],2]", "{\"name\":\"value\",\"x\":[1]}", "17", "{\"a\":\"value\"}"]
        {
            let (rows, envelope) = cut(text.as_bytes(), 3);
            assert!(rows.is_empty(), "{text}");
            assert_eq!(envelope.expect("whole"), serde_json::from_str::<Value>(text).expect("JSON"), "{text}");
        }
        for text in ["{\"value\":[{\"a\":1},{\"b\"", "{\"value\":[{\"a\":1}", "", "<html>", "{\"value\":[\"open"] {
            assert!(cut(text.as_bytes(), 4).1.is_err(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-z\"\\\\{}\\[\\],:é ]{0,12}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"]{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// However it arrives, cutting gives what parsing the whole gives.
        #[test]
        fn cutting_is_parsing(
            rows in prop::collection::vec(any_json(), 0..5),
            other in any_json(),
            name in prop::sample::select(vec!["value", "data", "Value"]),
            pieces in 1_usize..64,
            pretty in any::<bool>(),
        ) {
            let whole = json!({ "before": other, name: rows, "zlast": other });
            let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) }.expect("JSON");
            let (cut_rows, envelope) = cut(text.as_bytes(), pieces);
            prop_assert_eq!(cut_rows, rows);
            prop_assert_eq!(envelope.expect("whole"), json!({ "before": other, name: [], "zlast": other }));
        }

        /// No bytes make it panic.
        #[test]
        fn any_bytes_are_cut(bytes in prop::collection::vec(prop::sample::select(b"{}[],:\"\\ 1avluedt".to_vec()), 0..80), pieces in 1_usize..9) {
            let _ = cut(&bytes, pieces);
        }
    }
}
