//! What the header of a Linux program says of what it needs from the machine that starts it.

/// What matters of a 64-bit ELF file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// The processor: `e_machine`.
    pub machine: Machine,
    /// The loader that must be there (`PT_INTERP`); a static program has none.
    pub interpreter: Option<String>,
    /// Shared libraries that must be there (`DT_NEEDED`), as many as are named; a static program has none.
    pub needed: usize,
    /// True when it may be loaded at any address: a static program that is relocated by itself.
    pub position_independent: bool,
    /// True when symbols for a debugger are left, which nobody needs where it runs.
    pub symbols: bool,
}

/// Processors that hosts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// x86-64: every plan of Azure Functions.
    X86_64,
    /// AArch64: Graviton on Lambda.
    Aarch64,
    /// Another one.
    Other(u16),
}

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const SHT_SYMTAB: u32 = 2;
const DT_NEEDED: u64 = 1;

impl Elf {
    /// Reads the headers; None when it is no little-endian 64-bit ELF program, or is cut off.
    pub fn parse(file: &[u8]) -> Option<Self> {
        // EI_CLASS 2 is 64 bit, EI_DATA 1 is little-endian.
        if file.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let kind = u16_at(file, 16)?;
        if !matches!(kind, 2 | 3) {
            return None;
        }
        let machine = match u16_at(file, 18)? {
            62 => Machine::X86_64,
            183 => Machine::Aarch64,
            other => Machine::Other(other),
        };
        let mut elf = Self { machine, interpreter: None, needed: 0, position_independent: kind == 3, symbols: false };
        for header in table(file, u64_at(file, 32)?, u16_at(file, 54)?, u16_at(file, 56)?)? {
            let part = || part(file, u64_at(header, 8)?, u64_at(header, 32)?);
            match u32_at(header, 0)? {
                PT_INTERP => {
                    let name = part()?.split(|byte| *byte == 0).next().unwrap_or_default();
                    elf.interpreter = Some(String::from_utf8_lossy(name).into_owned());
                }
                PT_DYNAMIC => {
                    elf.needed += part()?.chunks_exact(16).filter(|entry| u64_at(entry, 0) == Some(DT_NEEDED)).count();
                }
                _ => {}
            }
        }
        for header in table(file, u64_at(file, 40)?, u16_at(file, 58)?, u16_at(file, 60)?)? {
            elf.symbols |= u32_at(header, 4)? == SHT_SYMTAB;
        }
        Some(elf)
    }
}

/// The headers of a table: where it begins, the size of one, how many there are.
fn table(file: &[u8], offset: u64, size: u16, count: u16) -> Option<impl Iterator<Item = &[u8]>> {
    let all = part(file, offset, u64::from(size) * u64::from(count))?;
    Some(all.chunks_exact(usize::from(size).max(1)))
}

fn part(file: &[u8], offset: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    file.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A program that is as good as none, with what the headers say of it.
    pub fn made(machine: u16, kind: u16, interpreter: Option<&str>, needed: u64, symbols: bool) -> Vec<u8> {
        let mut file = vec![0; 1024];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01");
        put(16, &kind.to_le_bytes());
        put(18, &machine.to_le_bytes());
        // Where the tables are: program headers at 64, section headers at 512.
        put(32, &64_u64.to_le_bytes());
        put(40, &512_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &2_u16.to_le_bytes());
        put(58, &64_u16.to_le_bytes());
        put(60, &1_u16.to_le_bytes());
        if let Some(name) = interpreter {
            put(64, &PT_INTERP.to_le_bytes());
            put(64 + 8, &256_u64.to_le_bytes());
            put(64 + 32, &(name.len() as u64 + 1).to_le_bytes());
            put(256, name.as_bytes());
        }
        put(120, &PT_DYNAMIC.to_le_bytes());
        put(120 + 8, &320_u64.to_le_bytes());
        put(120 + 32, &(16 * needed).to_le_bytes());
        for entry in 0..needed as usize {
            put(320 + 16 * entry, &DT_NEEDED.to_le_bytes());
        }
        put(512 + 4, &(if symbols { SHT_SYMTAB } else { 0 }).to_le_bytes());
        file
    }

    #[test]
    fn the_headers_say_what_a_program_needs() {
        let elf = Elf::parse(&made(62, 3, None, 0, false)).unwrap();
        assert_eq!(
            elf,
            Elf { machine: Machine::X86_64, interpreter: None, needed: 0, position_independent: true, symbols: false }
        );
        let elf = Elf::parse(&made(183, 2, Some("/lib64/ld.so"), 3, true)).unwrap();
        assert_eq!(elf.machine, Machine::Aarch64);
        assert_eq!(elf.interpreter.as_deref(), Some("/lib64/ld.so"));
        assert_eq!(elf.needed, 3);
        assert!(elf.symbols && !elf.position_independent);
    }

    #[test]
    fn a_file_that_is_cut_off_or_no_program_is_none() {
        let file = made(62, 3, Some("/lib64/ld.so"), 3, true);
        for length in 0..512 {
            assert_eq!(Elf::parse(&file[..length]), None, "{length}");
        }
        assert_eq!(Elf::parse(b"#!/bin/sh\n"), None);
    }

    /// Cargo builds tests dynamically; the linker's own output is the better witness.
    #[cfg(all(target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
    #[test]
    fn this_very_test_needs_a_loader_and_libraries() {
        let elf = Elf::parse(&std::fs::read(std::env::current_exe().unwrap()).unwrap()).unwrap();
        assert!(elf.interpreter.unwrap().contains("ld-linux"));
        assert!(elf.needed >= 1);
        assert!(elf.position_independent && elf.symbols);
    }
}
