//! The software bill of materials: CycloneDX 1.6 of what is linked into one handler, and of nothing else. The same sources give
//! the same document: no time, and a serial number that follows from the content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Door, Error, failed};

/// The name in a package.
pub const FILE: &str = "bom.json";

/// The version that is written.
pub(super) const SPEC_VERSION: &str = "1.6";

/// What cargo says of one handler, as text.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// `cargo metadata --format-version 1` for its target.
    pub metadata: &'a str,
    /// `cargo tree --edges normal,no-proc-macro --prefix none --format {p}` for its features and target.
    pub tree: &'a str,
    /// `Cargo.lock`.
    pub lock: &'a str,
    /// The compiler's version, whose std is linked in.
    pub rustc: &'a str,
    /// The C library that is linked in, as `getconf GNU_LIBC_VERSION` says it (`glibc 2.36`); None when none is.
    pub libc: Option<&'a str>,
}

/// Asks cargo and the machine, and writes the document for a handler.
///
/// # Errors
/// [`Error::Build`], [`Error::Io`].
pub fn bom(root: &Path, door: Door, target: &str, handler: &Path) -> Result<String, Error> {
    let ask = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).current_dir(root).args(arguments).output();
        let output = output.map_err(|error| Error::Build(format!("{program}: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Build(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
    };
    let metadata = ask("cargo", &["metadata", "--locked", "--format-version", "1", "--filter-platform", target])?;
    let tree = ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
    let tree = ask("cargo", &[&tree[..], &["--target", target], door.features()].concat())?;
    let lock = root.join("Cargo.lock");
    let lock = std::fs::read_to_string(&lock).map_err(failed("read", &lock))?;
    let rustc = ask("rustc", &["--version"])?;
    let rustc = rustc.split(' ').nth(1).unwrap_or_default();
    let libc = if target.ends_with("-gnu") { Some(ask("getconf", &["GNU_LIBC_VERSION"])?) } else { None };
    let bytes = std::fs::read(handler).map_err(failed("read", handler))?;
    let sources =
        Sources { metadata: &metadata, tree: &tree, lock: &lock, rustc, libc: libc.as_deref().map(str::trim) };
    let document = document(sources, door.binary(), &bytes).ok_or_else(|| Error::Build("cargo metadata".to_owned()))?;
    Ok(format!("{document:#}\n"))
}

/// The document; None when the sources are not what cargo writes.
pub fn document(sources: Sources<'_>, binary: &str, handler: &[u8]) -> Option<Value> {
    let metadata: Value = serde_json::from_str(sources.metadata).ok()?;
    let linked = linked(sources.tree);
    let checksums = checksums(sources.lock);
    let resolve = &metadata["resolve"];
    let root = resolve["root"].as_str()?;

    let mut names = BTreeMap::new();
    let (mut components, mut application) = (Vec::new(), Value::Null);
    for package in metadata["packages"].as_array()? {
        let (name, version) = (package["name"].as_str()?, package["version"].as_str()?);
        if !linked.contains(&(name, version)) {
            continue;
        }
        let is_root = package["id"] == root;
        let purl = format!("pkg:cargo/{name}@{version}");
        let reference = if is_root { format!("{name}@{version}") } else { purl.clone() };
        names.insert(package["id"].as_str()?, reference.clone());
        let mut component = json!({"type": "library", "bom-ref": reference, "name": name, "version": version});
        if let Some(license) = package["license"].as_str() {
            // The old way to write "or" is no SPDX expression.
            let license = license.replace(" / ", "/").replace('/', " OR ");
            component["licenses"] = json!([{"expression": license}]);
        }
        if is_root {
            component["type"] = json!("application");
            component["hashes"] = json!([{"alg": "SHA-256", "content": hex(digest(&SHA256, handler).as_ref())}]);
            component["properties"] = json!([{"name": "cargo:bin", "value": binary}]);
            application = component;
            continue;
        }
        component["purl"] = json!(purl);
        if let Some(checksum) = checksums.get(&(name, version)) {
            component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
        }
        if let Some(repository) = package["repository"].as_str().filter(|address| address.starts_with("https://")) {
            component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
        }
        components.push(component);
    }
    let rust = ("rust-std", sources.rustc, "MIT OR Apache-2.0");
    let libc =
        sources.libc.and_then(|libc| libc.split_once(' ')).map(|(name, version)| (name, version, "LGPL-2.1-or-later"));
    let beside: Vec<_> = [Some(rust), libc].into_iter().flatten().collect();
    for (name, version, license) in &beside {
        let purl = format!("pkg:generic/{name}@{version}");
        components.push(json!({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "licenses": [{"expression": license}]}));
    }
    components.sort_by_key(|component| component["bom-ref"].as_str().map(str::to_owned));

    let mut dependencies = BTreeMap::new();
    for node in resolve["nodes"].as_array()? {
        let Some(name) = names.get(node["id"].as_str()?) else { continue };
        let mut on: BTreeSet<String> = BTreeSet::new();
        for dependency in node["deps"].as_array()? {
            let normal = dependency["dep_kinds"].as_array()?.iter().any(|kind| kind["kind"].is_null());
            on.extend(dependency["pkg"].as_str().filter(|_| normal).and_then(|id| names.get(id)).cloned());
        }
        if node["id"] == root {
            on.extend(beside.iter().map(|(name, version, _)| format!("pkg:generic/{name}@{version}")));
        }
        dependencies.insert(name.clone(), on);
    }
    let dependencies: Vec<_> = dependencies.iter().map(|(name, on)| json!({"ref": name, "dependsOn": on})).collect();
    let content =
        json!({"components": components, "dependencies": dependencies, "metadata": {"component": application}});
    let serial = Uuid::new_v5(&Uuid::NAMESPACE_URL, content.to_string().as_bytes());
    let mut document = content;
    document["bomFormat"] = json!("CycloneDX");
    document["specVersion"] = json!(SPEC_VERSION);
    document["serialNumber"] = json!(serial.urn().to_string());
    document["version"] = json!(1);
    Some(document)
}

/// Names and versions out of lines such as `serde v1.0.229` and `ours v0.1.0 (/path)`.
fn linked(tree: &str) -> BTreeSet<(&str, &str)> {
    let words = tree.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    words.filter_map(|words| Some((*words.first()?, words.get(1)?.strip_prefix('v')?))).collect()
}

/// The checksums of Cargo.lock, which cargo metadata does not tell.
fn checksums(lock: &str) -> BTreeMap<(&str, &str), &str> {
    let entries = lock.split("[[package]]").map(|entry| {
        let of =
            |key: &str| entry.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        Some(((of("name")?, of("version")?), of("checksum")?))
    });
    entries.flatten().collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "packages": [
            {"id": "path+file:///home/olga/ours#0.1.0", "name": "ours", "version": "0.1.0", "license": "MIT", "repository": null},
            {"id": "r#warp@1.0.0", "name": "warp", "version": "1.0.0", "license": "MIT/Apache-2.0", "repository": "https://example.org/warp"},
            {"id": "r#warp@2.0.0", "name": "warp", "version": "2.0.0", "license": "MIT", "repository": null},
            {"id": "r#macros@1.0.0", "name": "macros", "version": "1.0.0", "license": "MIT", "repository": null}
        ],
        "resolve": {"root": "path+file:///home/olga/ours#0.1.0", "nodes": [
            {"id": "path+file:///home/olga/ours#0.1.0", "deps": [
                {"pkg": "r#warp@1.0.0", "dep_kinds": [{"kind": null}]},
                {"pkg": "r#warp@2.0.0", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "r#macros@1.0.0", "dep_kinds": [{"kind": null}]}
            ]},
            {"id": "r#warp@1.0.0", "deps": []}
        ]}
    }"#;
    const LOCK: &str = "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"warp\"\nversion = \"1.0.0\"\nchecksum = \"aa\"\n\n\
        [[package]]\nname = \"warp\"\nversion = \"2.0.0\"\nchecksum = \"bb\"\n";

    fn of(tree: &str, libc: Option<&str>) -> Value {
        let sources = Sources { metadata: METADATA, tree, lock: LOCK, rustc: "1.95.0", libc };
        document(sources, "azure", b"handler").unwrap()
    }

    #[test]
    fn what_is_linked_is_named_with_licence_and_checksum_and_nothing_else() {
        let bom = of("ours v0.1.0 (/home/olga/ours)\nwarp v1.0.0\nwarp v1.0.0 (*)\n", Some("glibc 2.36"));
        let names: Vec<_> =
            bom["components"].as_array().unwrap().iter().map(|it| it["bom-ref"].as_str().unwrap()).collect();
        assert_eq!(names, ["pkg:cargo/warp@1.0.0", "pkg:generic/glibc@2.36", "pkg:generic/rust-std@1.95.0"]);
        let warp = &bom["components"][0];
        assert_eq!(warp["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(warp["hashes"][0]["content"], "aa");
        assert_eq!(bom["components"][1]["licenses"][0]["expression"], "LGPL-2.1-or-later");
        let ours = &bom["metadata"]["component"];
        assert_eq!(ours["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert_eq!(
            bom["dependencies"][0],
            json!({"ref": "ours@0.1.0", "dependsOn": names}),
            "neither the version of tests nor the macros"
        );
        assert!(!bom.to_string().contains("olga"), "nothing of the builder's machine");
    }

    #[test]
    fn the_serial_number_follows_from_the_content() {
        let tree = "ours v0.1.0 (/home/olga/ours)\nwarp v1.0.0\n";
        assert_eq!(of(tree, None), of(tree, None));
        assert_ne!(of(tree, None)["serialNumber"], of(tree, Some("glibc 2.36"))["serialNumber"]);
        assert!(of(tree, None)["serialNumber"].as_str().unwrap().starts_with("urn:uuid:"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_bill_of_this_program_has_what_its_handler_links() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bills = [Door::Functions, Door::Lambda].map(|door| {
            let bom = bom(root, door, crate::package::TARGET, &root.join("Cargo.toml")).unwrap();
            serde_json::from_str::<Value>(&bom).unwrap()
        });
        for bom in &bills {
            for component in bom["components"].as_array().unwrap() {
                assert!(component["licenses"][0]["expression"].is_string(), "{component}");
                let purl = component["purl"].as_str().unwrap();
                let sum = component["hashes"][0]["content"].as_str().unwrap_or_default();
                assert_eq!(sum.len(), if purl.starts_with("pkg:cargo/") { 64 } else { 0 }, "{component}");
            }
        }
        let has = |bom: &Value, name: &str| bom["components"].as_array().unwrap().iter().any(|it| it["name"] == name);
        for linked in ["aws-lc-sys", "reqwest", "warp", "glibc", "rust-std"] {
            assert!(bills.iter().all(|bom| has(bom, linked)), "{linked}");
        }
        for not in ["clap", "zip", "proptest", "insta", "serde_derive", "cc"] {
            assert!(!bills.iter().any(|bom| has(bom, not)), "{not}");
        }
        assert!(has(&bills[1], "lambda_runtime") && !has(&bills[0], "lambda_runtime"));
    }
}
