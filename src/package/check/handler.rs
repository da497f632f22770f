//! Whether a handler may be deployed: it starts on any Linux, is small, tells nothing of who built it, and its bill of materials
//! is its own.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::Finding;
use crate::package::bom::{FILE, SPEC_VERSION, hex};
use crate::package::{Elf, Machine};

/// What a handler should be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its file's name in the package.
    pub name: &'a str,
    /// Which processor it is for.
    pub machine: Machine,
    /// The most bytes that it may have.
    pub most: usize,
    /// Directories of the builder's machine, which must not be in it.
    pub places: &'a [&'a Path],
}

/// Looks at the handler of a package.
///
/// # Errors
/// All that is wrong with it.
pub fn check_handler(directory: &Path, wanted: Wanted<'_>) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    let mut add = |path: &str, what: String| findings.push(Finding { path: path.to_owned(), what });
    match fs::read(directory.join(wanted.name)) {
        Ok(handler) => {
            program(&handler, wanted, &mut |what| add(wanted.name, what));
            match fs::read_to_string(directory.join(FILE)) {
                Ok(bom) => bill(&bom, &handler, &mut |what| add(FILE, what)),
                Err(error) => add(FILE, error.to_string()),
            }
        }
        Err(error) => add(wanted.name, error.to_string()),
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn program(handler: &[u8], wanted: Wanted<'_>, add: &mut dyn FnMut(String)) {
    if handler.len() > wanted.most {
        add(format!("has {} bytes, {} at most are wanted", handler.len(), wanted.most));
    }
    for place in wanted.places {
        let place = place.to_string_lossy();
        if contains(handler, place.as_bytes()) {
            add(format!("names {place}, a directory of the machine that built it"));
        }
    }
    let Some(elf) = Elf::parse(handler) else {
        add("is no program for 64-bit Linux".to_owned());
        return;
    };
    if elf.machine != wanted.machine {
        add(format!("is for {:?}, not for {:?}", elf.machine, wanted.machine));
    }
    if let Some(loader) = elf.interpreter {
        add(format!("is not static: it needs the loader {loader}"));
    }
    if elf.needed > 0 {
        add(format!("is not static: it needs {} shared libraries", elf.needed));
    }
    if !elf.position_independent {
        add("is loaded at the same address each time, which helps an attacker".to_owned());
    }
    if elf.symbols {
        add("is not stripped".to_owned());
    }
}

fn bill(bom: &str, handler: &[u8], add: &mut dyn FnMut(String)) {
    let bom: Value = serde_json::from_str(bom).unwrap_or_default();
    if bom["bomFormat"] != "CycloneDX" || bom["specVersion"] != SPEC_VERSION {
        add(format!("is no CycloneDX {SPEC_VERSION} document"));
        return;
    }
    if bom["components"].as_array().is_none_or(Vec::is_empty) {
        add("names no component".to_owned());
    }
    let sum = hex(digest(&SHA256, handler).as_ref());
    if bom.pointer("/metadata/component/hashes/0/content").and_then(Value::as_str) != Some(&sum) {
        add("is of another handler: its SHA-256 is not this one's".to_owned());
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    // Most bytes are not the first of it; a plain `windows` comparison of 12 MB takes seconds in a debug build.
    let Some((first, rest)) = part.split_first() else { return false };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::elf::tests::made;

    const X86_64: u16 = 62;
    const MOVABLE: u16 = 3;
    const MOST: usize = 5000;

    /// What is found in a package whose handler and bill of materials are these.
    fn found(handler: &[u8], bom: Option<&str>) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("azure"), handler).unwrap();
        if let Some(bom) = bom {
            fs::write(directory.path().join(FILE), bom).unwrap();
        }
        let places = &[Path::new("/home/olga/monitor")];
        let wanted = Wanted { name: "azure", machine: Machine::X86_64, most: MOST, places };
        let findings = check_handler(directory.path(), wanted).err().unwrap_or_default();
        findings.iter().map(|finding| finding.to_string()).collect()
    }

    fn bom_of(handler: &[u8]) -> String {
        let sum = hex(digest(&SHA256, handler).as_ref());
        let component = serde_json::json!({"hashes": [{"alg": "SHA-256", "content": sum}]});
        let components = [serde_json::json!({"name": "warp"})];
        let metadata = serde_json::json!({"component": component});
        serde_json::json!({"bomFormat": "CycloneDX", "specVersion": SPEC_VERSION, "metadata": metadata, "components": components})
            .to_string()
    }

    #[test]
    fn a_static_handler_with_its_own_bill_is_content() {
        let handler = made(X86_64, MOVABLE, None, 0, false);
        assert_eq!(found(&handler, Some(&bom_of(&handler))), Vec::<String>::new());
    }

    #[test]
    fn each_fault_of_a_handler_is_found() {
        let one = |handler: &[u8], expected: &str| {
            let found = found(handler, Some(&bom_of(handler)));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{expected} not in {found:?}");
        };
        let good = made(X86_64, MOVABLE, None, 0, false);
        one(b"#!/bin/sh\n", "azure: is no program");
        one(&made(183, MOVABLE, None, 0, false), "is for Aarch64, not for X86_64");
        one(&made(X86_64, MOVABLE, Some("/lib64/ld-linux-x86-64.so.2"), 0, false), "the loader /lib64/ld-linux");
        one(&made(X86_64, MOVABLE, None, 2, false), "2 shared libraries");
        one(&made(X86_64, 2, None, 0, false), "at the same address");
        one(&made(X86_64, MOVABLE, None, 0, true), "not stripped");
        one(&[&good[..], &vec![0; MOST]].concat(), "at most are wanted");
        one(&[&good[..], b".../home/olga/monitor/src/lib.rs"].concat(), "names /home/olga/monitor");
    }

    #[test]
    fn each_fault_of_a_bill_is_found() {
        let handler = made(X86_64, MOVABLE, None, 0, false);
        let bom = bom_of(&handler);
        assert!(found(&handler, None)[0].starts_with("bom.json: "));
        assert!(found(&handler, Some("{}"))[0].contains("no CycloneDX"));
        assert!(found(&handler, Some(&bom.replace("[{\"name\":\"warp\"}]", "[]")))[0].contains("names no component"));
        assert!(found(&handler, Some(&bom_of(b"another")))[0].contains("another handler"));
        assert_eq!(found(&handler, Some(&bom)).len(), 0);
    }
}
