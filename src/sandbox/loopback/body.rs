//! A body as it is sent: as it is, or compressed as Azure compresses. What is long was compressed beforehand, piece by piece; what
//! is put between the pieces is stored in the stream as it is (RFC 1951, RFC 1952).

use flate2::{Compress, Compression, Crc, FlushCompress};

/// A gzip header without name and time.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of a deflate stream: stored, and empty.
const LAST: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Text that was written beforehand.
#[derive(Debug)]
pub(super) struct Piece {
    plain: Vec<u8>,
    /// Whole blocks that refer to nothing before them.
    packed: Vec<u8>,
}

impl Piece {
    pub(super) fn new(text: &[u8]) -> Self {
        // Without room to spare it would end early; incompressible text grows by some bytes.
        let mut packed = Vec::with_capacity(text.len() + text.len() / 8 + 64);
        let done = Compress::new(Compression::best(), false).compress_vec(text, &mut packed, FlushCompress::Full);
        done.expect("deflate takes any bytes");
        packed.shrink_to_fit();
        Self { plain: text.to_vec(), packed }
    }
}

/// Writes one body.
pub(super) struct Body<'a> {
    out: &'a mut Vec<u8>,
    /// None: not compressed.
    check: Option<Crc>,
}

impl<'a> Body<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, gzip: bool) -> Self {
        let check = gzip.then(|| {
            out.extend_from_slice(&GZIP);
            Crc::new()
        });
        Self { out, check }
    }

    pub(super) fn piece(&mut self, piece: &Piece) {
        match &mut self.check {
            Some(check) => {
                check.update(&piece.plain);
                self.out.extend_from_slice(&piece.packed);
            }
            None => self.out.extend_from_slice(&piece.plain),
        }
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        let Some(check) = &mut self.check else { return self.out.extend_from_slice(text) };
        check.update(text);
        for block in text.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
            self.out.push(0);
            self.out.extend_from_slice(&length.to_le_bytes());
            self.out.extend_from_slice(&(!length).to_le_bytes());
            self.out.extend_from_slice(block);
        }
    }

    pub(super) fn end(self) {
        if let Some(check) = self.check {
            self.out.extend_from_slice(&LAST);
            self.out.extend_from_slice(&check.sum().to_le_bytes());
            self.out.extend_from_slice(&check.amount().to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn body(gzip: bool, pieces: &[Piece]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut body = Body::new(&mut out, gzip);
        for (index, piece) in pieces.iter().enumerate() {
            body.text(&vec![b'0'; index * 70_000]);
            body.piece(piece);
        }
        body.end();
        out
    }

    #[test]
    fn what_is_compressed_in_pieces_is_one_stream_that_unpacks_to_the_same() {
        let pieces = ["", "a", "abcabcabcabc", &"Größe ".repeat(9_000)].map(|text| Piece::new(text.as_bytes()));
        let (plain, packed) = (body(false, &pieces), body(true, &pieces));
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, plain);
        assert!(body(true, &pieces[3..]).len() * 20 < body(false, &pieces[3..]).len());
    }
}
