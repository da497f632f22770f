//! Writes a zip. libdeflate takes seconds and finds nearly as much as searches of minutes do; the `zip` crate, which cannot call
//! it, reads again what was written here.

use std::io;

use libdeflater::{CompressionLvl, Compressor, Crc};

/// Deflate: known to all that know version 2.0.
const DEFLATED: u16 = 8;
const VERSION: u16 = 20;

/// Made on Unix: the upper half of the attributes is the mode.
const UNIX: u16 = 3 << 8;
const REGULAR: u32 = 0o10_0000;

/// 1980-01-01, the first day that a zip knows.
const FIRST_DAY: u16 = 1 << 5 | 1;

/// What becomes an entry.
pub(super) struct Entry {
    /// With `/` between folders.
    pub(super) name: String,
    /// Of Unix, without the kind.
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
}

/// The zip of these (PKWARE's APPNOTE, 4.3): of the same entries the same bytes.
pub(super) fn packed(entries: impl IntoIterator<Item = io::Result<Entry>>) -> io::Result<Vec<u8>> {
    let mut deflate = Compressor::new(CompressionLvl::best());
    let (mut zip, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for entry in entries {
        let Entry { name, mode, content } = entry?;
        let mut deflated = vec![0; deflate.deflate_compress_bound(content.len())];
        let size = deflate.deflate_compress(&content, &mut deflated).map_err(io::Error::other)?;
        deflated.truncate(size);
        let mut sum = Crc::new();
        sum.update(&content);
        // What the entry and the directory both say; no flags, midnight, nothing extra.
        let mut about = shorts(&[VERSION, 0, DEFLATED, 0, FIRST_DAY]);
        about.extend(longs(&[sum.sum(), long(size)?, long(content.len())?]));
        about.extend(shorts(&[short(name.len())?, 0]));
        directory.extend(b"PK\x01\x02");
        directory.extend(shorts(&[UNIX | VERSION]));
        directory.extend(&about);
        // Neither a comment, nor a disk, nor attributes within.
        directory.extend(shorts(&[0, 0, 0]));
        directory.extend(longs(&[(REGULAR | mode) << 16, long(zip.len())?]));
        directory.extend(name.as_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(about);
        zip.extend(name.as_bytes());
        zip.extend(deflated);
        count = count.checked_add(1).ok_or_else(too_large)?;
    }
    let end = [long(directory.len())?, long(zip.len())?];
    zip.extend(directory);
    zip.extend(b"PK\x05\x06");
    zip.extend(shorts(&[0, 0, count, count]));
    zip.extend(longs(&end));
    zip.extend(shorts(&[0]));
    Ok(zip)
}

fn shorts(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn longs(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn short(number: usize) -> io::Result<u16> {
    number.try_into().map_err(|_| too_large())
}

fn long(number: usize) -> io::Result<u32> {
    number.try_into().map_err(|_| too_large())
}

fn too_large() -> io::Error {
    io::Error::other("more than a zip without extensions can have")
}
