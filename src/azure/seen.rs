//! What rows were found to say when they were read. Azure repeats nearly all of them from poll to poll byte for byte, and shows
//! the same event to hundreds of subscriptions: a row is read once, and what it says is held once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::convert::EventRow;
use super::texts::Texts;
use crate::model::{EventContent, Fingerprint, Fingerprints, TrackingId};

/// Rows remembered: a thousand customers with three subscriptions and ten events each.
const ROWS: usize = 32_768;
/// Events whose content is remembered; all of Azure has some hundred at a time.
const CONTENTS: usize = 2_048;

/// The rows and contents that this process saw last, over all customers.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    prints: Fingerprints,
    /// By whether Resource Graph said it, which may lack texts.
    rows: Mutex<HashMap<(bool, Fingerprint), EventRow>>,
    contents: Mutex<BTreeMap<(TrackingId, bool), Arc<EventContent>>>,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    /// What a row says: from memory, if this very row was read before and its texts are kept, else as `read` reads it.
    pub(super) fn row(
        &self,
        index_only: bool,
        row: &[u8],
        texts: &Texts<'_>,
        read: impl FnOnce() -> Option<EventRow>,
    ) -> Option<EventRow> {
        let Some(name) = self.prints.of(row).map(|print| (index_only, print)) else { return read() };
        let known = held(&self.rows).get(&name).cloned();
        if let Some(known) = known.filter(|known| texts.has(&known.event.content)) {
            return Some(known);
        }
        let read = read()?;
        let mut rows = held(&self.rows);
        if rows.len() >= ROWS {
            // What is still in use is soon back.
            rows.clear();
        }
        rows.insert(name, read.clone());
        Some(read)
    }

    /// Lets what says the same be the same piece of memory.
    pub(super) fn share(&self, row: &mut EventRow) {
        let (key, content) = ((row.tracking_id.clone(), row.event.index_only), &mut row.event.content);
        let mut contents = held(&self.contents);
        match contents.get_mut(&key) {
            Some(known) if *known == *content => content.clone_from(known),
            Some(known) => known.clone_from(content),
            None => {
                if contents.len() >= CONTENTS {
                    contents.clear();
                }
                contents.insert(key, Arc::clone(content));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::convert;
    use super::super::texts::Cleaned;
    use super::super::wire::fast;
    use super::*;

    fn row(id: &str, subscription: u8) -> Vec<u8> {
        let row = json!({"name": id, "id": format!("/subscriptions/00000000-0000-4000-8000-00000000000{subscription}/x"),
            "properties": {"title": "T", "description": "<p>Down.</p>"}});
        row.to_string().into_bytes()
    }

    fn read(seen: &Seen, row: &[u8], texts: &Texts<'_>) -> (EventRow, bool) {
        let mut was_read = false;
        let found = seen.row(true, row, texts, || {
            was_read = true;
            let mut row = convert::event_of(fast::event(row)?, true, |text| texts.keep(&text))?;
            seen.share(&mut row);
            Some(row)
        });
        (found.expect("it is a row"), was_read)
    }

    #[test]
    fn a_row_is_read_once_while_its_texts_are_kept_and_again_where_they_are_not() {
        let (seen, cleaned, nothing) = (Seen::default(), Cleaned::default(), BTreeSet::new());
        let first = Texts::new(&cleaned, &nothing);
        let (one, was_read) = read(&seen, &row("A-1", 1), &first);
        assert!(was_read);
        let (again, was_read) = read(&seen, &row("A-1", 1), &first);
        assert!(!was_read);
        assert_eq!(format!("{again:?}"), format!("{one:?}"));

        // Another customer, who does not have its text.
        let second = Texts::new(&cleaned, &nothing);
        assert!(read(&seen, &row("A-1", 1), &second).1);
        assert_eq!(second.into_new().len(), 1);

        let known = one.event.content.texts().copied().collect();
        assert!(!read(&seen, &row("A-1", 1), &Texts::new(&cleaned, &known)).1);
    }

    #[test]
    fn what_two_subscriptions_see_alike_is_held_once() {
        let (seen, cleaned, nothing) = (Seen::default(), Cleaned::default(), BTreeSet::new());
        let texts = Texts::new(&cleaned, &nothing);
        let [a, b, other] = [row("A-1", 1), row("A-1", 2), row("B-2", 2)].map(|row| read(&seen, &row, &texts).0);
        assert_ne!(a.subscription, b.subscription);
        assert!(Arc::ptr_eq(&a.event.content, &b.event.content));
        assert!(!Arc::ptr_eq(&a.event.content, &other.event.content));
    }

    #[test]
    fn what_is_remembered_does_not_grow_for_ever() {
        let (seen, cleaned, nothing) = (Seen::default(), Cleaned::default(), BTreeSet::new());
        let texts = Texts::new(&cleaned, &nothing);
        for number in 0..CONTENTS + 10 {
            read(&seen, &row(&format!("A-{number}"), 1), &texts);
        }
        assert!(held(&seen.contents).len() <= CONTENTS);
        let any = read(&seen, &row("A-1", 1), &texts).0;
        for number in 0..ROWS + 10 {
            seen.row(true, &number.to_le_bytes(), &texts, || Some(any.clone()));
        }
        assert!(held(&seen.rows).len() <= ROWS);
    }
}
