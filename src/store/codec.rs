//! How documents are written and read: JSON in the order of our types, and where others had their hands in, what they wrote
//! lives on.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::documents::Stored;
use super::{Blob, ETag, Error};
use crate::model::{Fingerprint, Fingerprints};

/// The member of every document that holds its schema version.
const SCHEMA_VERSION: &str = "schemaVersion";

/// A document as it was read, with its version and what we did not understand of it.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The document.
    pub value: T,
    /// The version it had.
    pub etag: ETag,
    /// None: it is as this program writes it, so that nothing in it is foreign.
    foreign: Option<Box<Foreign>>,
}

/// A document that others wrote, or had their hands in.
#[derive(Debug, Clone)]
struct Foreign {
    /// The document as stored: where unknown fields live on.
    raw: Value,
    /// The document as we understood it. Kept, so that a caller who changes `value` in place loses nothing.
    known: Value,
}

/// Documents that this process wrote, or has looked into and found nothing foreign in.
#[derive(Debug, Default)]
pub(super) struct Ours {
    prints: Fingerprints,
    known: Mutex<HashSet<Name>>,
}

/// What a document is recognised by: as what it is read, and its bytes.
type Name = (&'static str, Fingerprint);

impl Ours {
    /// Documents remembered: some polls of a thousand customers.
    const MOST: usize = 16_384;

    fn name<T>(&self, body: &[u8]) -> Option<Name> {
        Some((std::any::type_name::<T>(), self.prints.of(body)?))
    }

    fn has(&self, name: Option<Name>) -> bool {
        name.is_some_and(|name| self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&name))
    }

    fn remember(&self, name: Option<Name>) {
        let Some(name) = name else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= Self::MOST {
            // What is still in use is soon back.
            known.clear();
        }
        known.insert(name);
    }

    pub fn decode<T: Stored>(&self, path: &str, blob: Blob) -> Result<Versioned<T>, Error> {
        let name = self.name::<T>(&blob.body);
        if self.has(name) {
            let value = serde_json::from_slice(&blob.body).map_err(|error| damaged(path, error))?;
            return Ok(Versioned { value, etag: blob.etag, foreign: None });
        }
        if let Some(value) = as_written(&blob.body) {
            self.remember(name);
            return Ok(Versioned { value, etag: blob.etag, foreign: None });
        }
        let raw: Value = serde_json::from_slice(&blob.body).map_err(|error| damaged(path, error))?;
        let found = raw.get(SCHEMA_VERSION).and_then(Value::as_u64).ok_or_else(|| damaged(path, "no schemaVersion"))?;
        if found > T::SCHEMA {
            return Err(Error::NewerSchema { path: path.to_owned(), found, known: T::SCHEMA });
        }
        let value = T::deserialize(&raw).map_err(|error| damaged(path, error))?;
        let known = serde_json::to_value(&value).map_err(|error| damaged(path, error))?;
        Ok(Versioned { value, etag: blob.etag, foreign: Some(Box::new(Foreign { raw, known })) })
    }

    pub fn encode<T: Stored>(&self, path: &str, value: &T, before: Option<&Versioned<T>>) -> Result<Bytes, Error> {
        let Some(Foreign { raw: Value::Object(raw), known: Value::Object(known) }) =
            before.and_then(|before| before.foreign.as_deref())
        else {
            let body = written(value).map_err(|error| damaged(path, error))?;
            self.remember(self.name::<T>(&body));
            return Ok(body);
        };
        let Ok(Value::Object(mut after)) = serde_json::to_value(value) else {
            return Err(damaged(path, "not a JSON object"));
        };
        keep_unknown(raw, known, &mut after);
        after.insert(SCHEMA_VERSION.to_owned(), T::SCHEMA.into());
        serde_json::to_vec(&after).map(Bytes::from).map_err(|error| damaged(path, error))
    }
}

fn damaged(path: &str, why: impl ToString) -> Error {
    Error::Damaged { path: path.to_owned(), why: why.to_string() }
}

/// What stands before the members of a document.
fn head<T: Stored>() -> String {
    format!("{{\"{SCHEMA_VERSION}\":{}", T::SCHEMA)
}

/// A document as this program writes it: its schema version, then its members in the order of our types.
fn written<T: Stored>(value: &T) -> Result<Bytes, serde_json::Error> {
    let mut body = head::<T>().into_bytes();
    let members = body.len();
    serde_json::to_writer(&mut body, value)?;
    match &mut body[members..] {
        [b'{', b'}'] => drop(body.remove(members)),
        [open @ b'{', ..] => *open = b',',
        _ => return Err(serde::ser::Error::custom("not a JSON object")),
    }
    Ok(body.into())
}

/// Reads a document that is byte for byte as this program writes what it reads from it. So nothing in it is unknown to us,
/// and no tree is built to find that out. None: it is not, or it cannot be read.
fn as_written<T: Stored>(body: &[u8]) -> Option<T> {
    let members = body.strip_prefix(head::<T>().as_bytes()).filter(|rest| rest.starts_with(b","))?;
    let value: T = serde_json::from_slice(body).ok()?;
    let mut same = Same { expected: members, begun: false };
    serde_json::to_writer(&mut same, &value).ok()?;
    same.expected.is_empty().then_some(value)
}

/// Takes what is written and compares it with what is expected; refuses the first difference.
struct Same<'a> {
    expected: &'a [u8],
    begun: bool,
}

impl io::Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The members follow the schema version instead of opening the document.
        let rest = match (bytes, std::mem::replace(&mut self.begun, true)) {
            ([b'{', rest @ ..], false) => {
                self.expected = &self.expected[1..];
                rest
            }
            (all, _) => all,
        };
        self.expected = self.expected.strip_prefix(rest).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies what `raw` has and our types did not understand (it is not in `known`) into `after`, at the same places.
///
/// A place is a name in an object. In a list it is an element that is still the same: equal, or with the same `id`.
/// What hung on an element that is gone or was changed beyond that goes with it: nobody can say where it belongs.
fn keep_unknown(raw: &Map<String, Value>, known: &Map<String, Value>, after: &mut Map<String, Value>) {
    for (name, value) in raw {
        match known.get(name) {
            Some(known) => {
                if let Some(after) = after.get_mut(name) {
                    keep_unknown_below(value, known, after);
                }
            }
            // A key that we only write in another case, such as a GUID typed by hand, was understood.
            None if known.keys().any(|known| known.eq_ignore_ascii_case(name)) => {}
            None => {
                after.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

fn keep_unknown_below(raw: &Value, known: &Value, after: &mut Value) {
    match (raw, known, after) {
        (Value::Object(raw), Value::Object(known), Value::Object(after)) => keep_unknown(raw, known, after),
        // Elements of `raw` and `known` belong together by position, as long as our types kept every element.
        (Value::Array(raw), Value::Array(known), Value::Array(after)) if raw.len() == known.len() => {
            let mut free: Vec<_> = raw.iter().zip(known).collect();
            let mut changed = Vec::new();
            for element in after {
                match free.iter().position(|(_, known)| **known == *element) {
                    Some(index) => {
                        let (raw, known) = free.remove(index);
                        keep_unknown_below(raw, known, element);
                    }
                    None => changed.push(element),
                }
            }
            for element in changed {
                let id = element.get("id").cloned();
                if let Some(index) = free.iter().position(|(_, known)| id.is_some() && known.get("id") == id.as_ref()) {
                    let (raw, known) = free.remove(index);
                    keep_unknown_below(raw, known, element);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::json;

    use std::sync::Arc;

    use serde::Serialize;

    use super::super::{Backend, Key, Memory, Month, Store};
    use super::*;
    use crate::model::TenantId;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fleet {
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default)]
        ships: BTreeMap<String, Ship>,
        #[serde(default)]
        log: Vec<Entry>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Ship {
        crew: u32,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Entry {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        text: String,
    }

    impl Stored for Fleet {
        const SCHEMA: u64 = 3;
    }

    fn key() -> Key {
        let tenant: TenantId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        Key::Timeline(tenant, Month::of("2026-01-15T12:00:00Z".parse().unwrap()))
    }

    async fn store_with(document: impl ToString) -> (Store, Arc<Memory>) {
        let backend = Arc::new(Memory::default());
        backend.create(&key().path(), document.to_string().into()).await.unwrap();
        (Store::new(Arc::clone(&backend) as Arc<dyn Backend>), backend)
    }

    async fn stored(backend: &Memory) -> Value {
        serde_json::from_slice(&backend.get(&key().path()).await.unwrap().unwrap().body).unwrap()
    }

    /// The document as it is after `change` was read, done and written.
    async fn after(document: Value, change: impl FnOnce(&mut Fleet)) -> Value {
        let (store, backend) = store_with(document).await;
        let before = store.read::<Fleet>(&key()).await.unwrap().unwrap();
        let mut value = before.value.clone();
        change(&mut value);
        store.replace(&key(), &before, &value).await.unwrap();
        let read = store.read::<Fleet>(&key()).await.unwrap().unwrap();
        assert_eq!(read.value, value, "what was kept does not change what we read");
        stored(&backend).await
    }

    #[tokio::test]
    async fn a_document_survives_a_round_trip_and_says_its_schema() {
        let backend = Arc::new(Memory::default());
        let store = Store::new(Arc::clone(&backend) as Arc<dyn Backend>);
        let fleet = Fleet { name: "Größe".to_owned(), note: None, ships: BTreeMap::new(), log: Vec::new() };
        store.create(&key(), &fleet).await.unwrap();
        assert_eq!(store.read::<Fleet>(&key()).await.unwrap().unwrap().value, fleet);
        assert_eq!(stored(&backend).await["schemaVersion"], 3);
        let error = store.create(&key(), &fleet).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    }

    #[test]
    fn nothing_is_foreign_in_what_this_program_wrote_and_any_other_byte_is_looked_into() {
        let ships = BTreeMap::from([("x".to_owned(), Ship { crew: 1 })]);
        let log = vec![Entry { id: None, text: "one".to_owned() }];
        let fleet = Fleet { name: "a".to_owned(), note: None, ships, log };
        let text = String::from_utf8(written(&fleet).unwrap().to_vec()).unwrap();
        let read = |text: &str| {
            let blob = Blob { body: Bytes::copy_from_slice(text.as_bytes()), etag: ETag("1".to_owned()) };
            Ours::default().decode::<Fleet>("p", blob).unwrap()
        };
        assert_eq!(read(&text).value, fleet);
        assert!(read(&text).foreign.is_none());
        for (ours, theirs) in [
            ("\"crew\":1", "\"crew\":1,\"flag\":2"),
            ("\"text\":\"one\"", "\"text\":\"one\",\"by\":\"ann\""),
            ("\"schemaVersion\":3", "\"schemaVersion\":3,\"colour\":\"blue\""),
            ("\"schemaVersion\":3", "\"schemaVersion\":2"),
            ("\"name\":\"a\"", "\"name\":\"b\",\"name\":\"a\""),
            ("\"name\":\"a\"", "\"name\": \"a\""),
            ("]}", "]} "),
        ] {
            let theirs = text.replacen(ours, theirs, 1);
            assert_ne!(theirs, text);
            assert_eq!(read(&theirs).value, fleet, "{theirs}");
            assert!(read(&theirs).foreign.is_some(), "{theirs}");
        }
    }

    #[test]
    fn what_this_process_knows_as_its_own_is_not_looked_into_again_and_anything_else_is() {
        let ours = Ours::default();
        let fleet = Fleet { name: "a".to_owned(), note: None, ships: BTreeMap::new(), log: Vec::new() };
        let body = ours.encode("p", &fleet, None).unwrap();
        assert!(ours.has(ours.name::<Fleet>(&body)));
        assert!(!ours.has(ours.name::<Ship>(&body)), "of another kind");
        let other = Ours::default();
        assert!(!other.has(other.name::<Fleet>(&body)), "by another process");
        let theirs = Bytes::from(String::from_utf8(body.to_vec()).unwrap().replace("\"name\"", "\"by\":1,\"name\""));
        for _ in 0..2 {
            let read = ours.decode::<Fleet>("p", Blob { body: theirs.clone(), etag: ETag("1".to_owned()) }).unwrap();
            assert!(read.foreign.is_some());
            let again = ours.encode("p", &fleet, Some(&read)).unwrap();
            assert!(String::from_utf8_lossy(&again).contains("\"by\":1") && !ours.has(ours.name::<Fleet>(&again)));
        }
        for number in 0..Ours::MOST + 10 {
            ours.remember(ours.name::<Fleet>(&number.to_le_bytes()));
        }
        assert!(ours.known.lock().expect("no holder panics").len() <= Ours::MOST);
    }

    #[tokio::test]
    async fn fields_of_others_survive_at_every_depth() {
        let document = json!({
            "schemaVersion": 3, "name": "a", "colour": "blue", "null": null,
            "ships": {"x": {"crew": 1, "flag": {"deep": [1, 2]}}, "gone": {"crew": 2, "flag": 1}},
            "log": [{"text": "one", "by": "ann"}, {"text": "two"}],
        });
        let after = after(document, |fleet| {
            fleet.name = "b".to_owned();
            fleet.note = Some("new".to_owned());
            fleet.ships.get_mut("x").unwrap().crew = 9;
            fleet.ships.remove("gone");
            fleet.ships.insert("y".to_owned(), Ship { crew: 3 });
            fleet.log.push(Entry { id: None, text: "three".to_owned() });
        })
        .await;
        let expected = json!({
            "schemaVersion": 3, "name": "b", "colour": "blue", "null": null, "note": "new",
            "ships": {"x": {"crew": 9, "flag": {"deep": [1, 2]}}, "y": {"crew": 3}},
            "log": [{"text": "one", "by": "ann"}, {"text": "two"}, {"text": "three"}],
        });
        assert_eq!(after, expected);
    }

    #[tokio::test]
    async fn fields_of_others_follow_their_list_element() {
        let document = json!({
            "schemaVersion": 3, "name": "a",
            "log": [
                {"text": "same", "x": 1}, {"text": "same", "x": 2}, {"id": 7, "text": "old", "x": 3},
                {"text": "changed", "x": 4}, {"text": "removed", "x": 5},
            ],
        });
        let after = after(document, |fleet| {
            fleet.log.pop();
            fleet.log[2].text = "new".to_owned();
            fleet.log[3].text = "changes".to_owned();
            fleet.log.reverse();
        })
        .await;
        let expected = json!([
            {"text": "changes"}, {"id": 7, "text": "new", "x": 3}, {"text": "same", "x": 1}, {"text": "same", "x": 2},
        ]);
        assert_eq!(after["log"], expected);
    }

    #[tokio::test]
    async fn a_value_that_we_removed_does_not_come_back() {
        let document = json!({"schemaVersion": 1, "name": "a", "note": "n", "ships": {"x": {"crew": 1}}});
        let after = after(document, |fleet| {
            fleet.note = None;
            fleet.ships.clear();
        })
        .await;
        assert_eq!(after, json!({"schemaVersion": 3, "name": "a", "ships": {}, "log": []}));
    }

    #[test]
    fn a_key_in_another_case_is_no_unknown_field() {
        // As a map whose keys are GUIDs reads what was typed by hand.
        let (raw, known) = (json!({"ABC": {"crew": 1}}), json!({"abc": {"crew": 1}}));
        let mut after = json!({});
        keep_unknown_below(&raw, &known, &mut after);
        assert_eq!(after, json!({}));
    }

    #[tokio::test]
    async fn a_newer_document_is_refused_and_left_alone() {
        let document = json!({"schemaVersion": 4, "name": "a", "future": true});
        let (store, backend) = store_with(&document).await;
        let error = store.read::<Fleet>(&key()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the document timeline/11111111-2222-4333-8444-555555555555/2026-01.json has schema version 4, this program \
             knows up to 3: update this program"
        );
        // Without a read there is nothing to replace it by, and creating finds it there.
        let fleet = Fleet { name: "b".to_owned(), note: None, ships: BTreeMap::new(), log: Vec::new() };
        assert!(matches!(store.create(&key(), &fleet).await, Err(Error::AlreadyExists { .. })));
        assert_eq!(stored(&backend).await, document);
    }

    #[tokio::test]
    async fn a_document_that_became_newer_after_it_was_read_is_not_overwritten() {
        let (store, backend) = store_with(json!({"schemaVersion": 3, "name": "a"})).await;
        let before = store.read::<Fleet>(&key()).await.unwrap().unwrap();
        let newer = json!({"schemaVersion": 4, "name": "c"});
        backend.update(&key().path(), newer.to_string().into(), &before.etag).await.unwrap();
        let error = store.replace(&key(), &before, &before.value).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        assert_eq!(stored(&backend).await, newer);
    }

    #[tokio::test]
    async fn a_damaged_document_is_named_and_left_alone() {
        for (damaged, why) in [
            ("", "EOF while parsing"),
            ("{\"schemaVersion\": 3, \"name\": \"a\"", "EOF while parsing"),
            ("\u{feff}{}", "expected value"),
            ("[]", "no schemaVersion"),
            ("{\"name\": \"a\"}", "no schemaVersion"),
            ("{\"schemaVersion\": \"3\", \"name\": \"a\"}", "no schemaVersion"),
            ("{\"schemaVersion\": -1, \"name\": \"a\"}", "no schemaVersion"),
            ("{\"schemaVersion\": 3}", "missing field `name`"),
            ("{\"schemaVersion\": 3, \"name\": 5}", "invalid type"),
        ] {
            let (store, backend) = store_with(damaged).await;
            let error = store.read::<Fleet>(&key()).await.unwrap_err();
            let Error::Damaged { path, why: said } = &error else { panic!("{damaged:?}: {error:?}") };
            assert_eq!(*path, key().path());
            assert!(said.contains(why), "{damaged:?}: {said}");
            assert_eq!(backend.get(&key().path()).await.unwrap().unwrap().body, damaged);
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever others add beside our fields: a read and a write that change nothing keep every byte of meaning.
        #[test]
        fn reading_and_writing_without_a_change_changes_nothing(
            top in prop::collection::btree_map("x[a-z]{1,4}", json_value(), 0..4),
            ships in prop::collection::btree_map("[A-Z]{1,3}", (any::<u32>(), json_value()), 0..4),
            log in prop::collection::vec(("[ab]{0,1}", json_value()), 0..5),
        ) {
            let mut document: Map<String, Value> = top.into_iter().collect();
            document.insert("schemaVersion".to_owned(), 3.into());
            document.insert("name".to_owned(), "a".into());
            let ships = ships.into_iter().map(|(name, (crew, x))| (name, json!({"crew": crew, "x": x})));
            document.insert("ships".to_owned(), Value::Object(ships.collect()));
            let log: Vec<_> = log.into_iter().map(|(text, x)| json!({"text": text, "x": x})).collect();
            document.insert("log".to_owned(), log.into());
            let document = Value::Object(document);

            let blob = Blob { body: document.to_string().into(), etag: ETag("1".to_owned()) };
            let before = Ours::default().decode::<Fleet>("p", blob).unwrap();
            let written = Ours::default().encode("p", &before.value, Some(&before)).unwrap();
            prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), document);
        }

        /// No bytes make reading panic.
        #[test]
        fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Ours::default().decode::<Fleet>("p", Blob { body: body.into(), etag: ETag("1".to_owned()) });
        }
    }
}
