//! DER, as far as certificates and PKCS#12 files need it (X.690, section 10): values one after another, each with its tag.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// What a structure tells apart by number: `[0]` around something, or instead of its tag.
pub(super) const AROUND_0: u8 = 0xA0;
pub(super) const INSTEAD_0: u8 = 0x80;

/// What is left to be read.
#[derive(Clone, Copy)]
pub(super) struct Der<'a>(&'a [u8]);

/// One value.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next value. None: there is no whole one.
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        // A tag of several bytes belongs to nothing that is read here.
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            // A length of up to four bytes; none at all is BER's.
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Some(Value { tag, content, whole })
    }

    /// The next value's content, if it has this tag.
    pub(super) fn of(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|value| value.tag == tag).map(|value| value.content)
    }

    /// The same, to be read in turn.
    pub(super) fn within(&mut self, tag: u8) -> Option<Self> {
        self.of(tag).map(Self)
    }

    /// The next value's content if it has this tag; else nothing is read.
    pub(super) fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut further = *self;
        let content = further.of(tag)?;
        *self = further;
        Some(content)
    }

    /// A number that is neither negative nor above 32 bits.
    pub(super) fn number(&mut self) -> Option<u32> {
        let bytes = self.of(INTEGER)?;
        let sound = matches!(bytes, [0..=0x7F, ..]) && bytes.len() <= 5;
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        sound.then(|| number.try_into().ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_one_after_another_and_nothing_beyond_their_end() {
        let mut der = Der::new(&[0x30, 3, 2, 1, 5, 4, 0x81, 2, 7, 8]);
        assert_eq!(der.optional(INTEGER), None);
        assert_eq!(der.within(SEQUENCE).and_then(|mut inner| inner.number()), Some(5));
        let last = der.next().expect("a value");
        assert_eq!((last.tag, last.content, last.whole), (OCTET_STRING, &[7, 8][..], &[4, 0x81, 2, 7, 8][..]));
        assert!(der.is_empty() && der.next().is_none());
        for broken in
            [&[][..], &[4], &[4, 2, 1], &[4, 0x80, 1, 0, 0], &[4, 0x85, 0, 0, 0, 0, 1, 1], &[0x1F, 1, 1], &[4, 0x82, 1]]
        {
            assert!(Der::new(broken).next().is_none(), "{broken:?}");
        }
    }

    #[test]
    fn a_number_fits_or_is_none() {
        let number = |content: &[u8]| Der::new(&[&[2, content.len() as u8], content].concat()).number();
        assert_eq!(number(&[8, 0]), Some(2048));
        assert_eq!(number(&[0, 0xFF, 0xFF, 0xFF, 0xFF]), Some(u32::MAX));
        for wrong in [&[][..], &[0xFF], &[1, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 0]] {
            assert_eq!(number(wrong), None, "{wrong:?}");
        }
    }
}
