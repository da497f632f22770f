//! Recognises bytes that this process has seen before, faster than by a hash that means something elsewhere.

use std::hash::{BuildHasher as _, RandomState};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// The fingerprint of some bytes: equal for equal bytes, and for others with a chance of 1 in 2^100. Never stored, since the next
/// process has another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

/// Takes fingerprints: the GMAC of the bytes under a key that nobody knows, at the speed of memory where a processor
/// multiplies without carry, as all of the last ten years do. It is no signature, for the nonce is always the same.
#[derive(Debug)]
pub struct Fingerprints {
    key: Option<LessSafeKey>,
}

impl Default for Fingerprints {
    fn default() -> Self {
        let seed = RandomState::new();
        let key = [seed.hash_one(0).to_le_bytes(), seed.hash_one(1).to_le_bytes()].concat();
        Self { key: UnboundKey::new(&AES_128_GCM, &key).ok().map(LessSafeKey::new) }
    }
}

impl Fingerprints {
    /// The fingerprint. None: there is none to be had, so that nothing is recognised.
    pub fn of(&self, bytes: &[u8]) -> Option<Fingerprint> {
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = self.key.as_ref()?.seal_in_place_separate_tag(nonce, Aad::from(bytes), &mut []).ok()?;
        tag.as_ref().try_into().ok().map(Fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_have_the_same_fingerprint_and_others_another() {
        let (one, other) = (Fingerprints::default(), Fingerprints::default());
        let text = "Azure said this. ".repeat(200);
        let print = one.of(text.as_bytes());
        assert!(print.is_some());
        assert_eq!(one.of(text.as_bytes()), print);
        assert_ne!(other.of(text.as_bytes()), print, "each has its own key");
        for at in [0, 1, 15, 16, 1_000, text.len() - 1] {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1;
            assert_ne!(one.of(&changed), print, "byte {at}");
        }
        assert_ne!(one.of(&text.as_bytes()[1..]), print);
        assert_ne!(one.of(b""), one.of(b"\0"));
    }
}
