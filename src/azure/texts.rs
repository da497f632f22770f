//! The texts of one reading: each is cleaned once, however many regions, subscriptions and polls repeat it, and kept only
//! when the customer's snapshot does not have it yet.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use super::convert::clean;
use crate::model::{EventContent, Fingerprint, Fingerprints, TextHash};

/// Texts whose cleaned form is remembered; all of Azure publishes far fewer in the 90 days that we read.
const REMEMBERED: usize = 16_384;

/// What texts were found to be when they were cleaned: of a foreign text, the hash of what is left of it.
#[derive(Debug, Default)]
pub(crate) struct Cleaned {
    prints: Fingerprints,
    known: Mutex<HashMap<Fingerprint, Option<TextHash>>>,
}

impl Cleaned {
    fn get(&self, raw: Fingerprint) -> Option<Option<TextHash>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&raw).copied()
    }

    fn put(&self, raw: Fingerprint, cleaned: Option<TextHash>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            // What is still in use is soon back.
            known.clear();
        }
        known.insert(raw, cleaned);
    }
}

/// The texts of one reading.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    cleaned: &'a Cleaned,
    /// What the customer's snapshot refers to: stored already.
    known: &'a BTreeSet<TextHash>,
    new: Mutex<BTreeMap<TextHash, String>>,
}

impl<'a> Texts<'a> {
    pub fn new(cleaned: &'a Cleaned, known: &'a BTreeSet<TextHash>) -> Self {
        Self { cleaned, known, new: Mutex::default() }
    }

    /// True when every text of a content is stored, or will be with this reading.
    pub fn has(&self, content: &EventContent) -> bool {
        let new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        content.texts().all(|hash| self.known.contains(hash) || new.contains_key(hash))
    }

    /// Takes a foreign text in. Gives the name of what is left of it; None when nothing is.
    pub fn keep(&self, text: &str) -> Option<TextHash> {
        let raw = self.cleaned.prints.of(text.as_bytes());
        let is_kept = |hash: &TextHash| {
            self.known.contains(hash) || self.new.lock().unwrap_or_else(PoisonError::into_inner).contains_key(hash)
        };
        match raw.and_then(|raw| self.cleaned.get(raw)) {
            Some(None) => return None,
            Some(Some(hash)) if is_kept(&hash) => return Some(hash),
            _ => {}
        }
        let left = clean(text);
        let hash = left.as_deref().map(TextHash::of);
        if let Some(raw) = raw {
            self.cleaned.put(raw, hash);
        }
        if let (Some(hash), Some(text)) = (&hash, left)
            && !self.known.contains(hash)
        {
            self.new.lock().unwrap_or_else(PoisonError::into_inner).insert(*hash, text);
        }
        hash
    }

    /// Takes in texts that were cleaned elsewhere.
    pub fn extend(&self, texts: BTreeMap<TextHash, String>) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).extend(texts);
    }

    /// What is not stored yet.
    pub fn into_new(self) -> BTreeMap<TextHash, String> {
        self.new.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_named_by_what_is_left_of_it_and_kept_unless_it_is_stored() {
        let (cleaned, nothing) = (Cleaned::default(), BTreeSet::new());
        let html = "<p onclick=x>Down.</p>";
        let first = Texts::new(&cleaned, &nothing);
        let name = first.keep(html).expect("something is left");
        assert_eq!(first.keep(html), Some(name));
        assert_eq!(first.keep("<script>x</script>"), None);
        assert_eq!(first.keep("<script>x</script>"), None);
        assert_eq!(first.into_new(), BTreeMap::from([(name, "<p>Down.</p>".to_owned())]));

        // Another customer, of whom it is not stored: remembering its name is not having it.
        let second = Texts::new(&cleaned, &nothing);
        assert_eq!(second.keep(html), Some(name));
        assert_eq!(second.into_new().len(), 1);

        let known = BTreeSet::from([name]);
        for cleaned in [&cleaned, &Cleaned::default()] {
            let third = Texts::new(cleaned, &known);
            assert_eq!(third.keep(html), Some(name));
            assert!(third.into_new().is_empty());
        }
    }

    #[test]
    fn what_is_remembered_does_not_grow_for_ever() {
        let (cleaned, nothing) = (Cleaned::default(), BTreeSet::new());
        for number in 0..REMEMBERED + 10 {
            cleaned.put(cleaned.prints.of(number.to_string().as_bytes()).expect("a fingerprint"), None);
        }
        assert!(cleaned.known.lock().expect("no holder panics").len() <= REMEMBERED);
        assert!(Texts::new(&cleaned, &nothing).keep("text").is_some());
    }
}
