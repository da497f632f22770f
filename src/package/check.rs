//! Whether a directory is a package that the Functions tools and the host take ("functions-host" sections 5 and 6).

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::BOM;
use crate::functions::{FILES, Function, HostJson, Route, Trigger};
use crate::settings;

mod handler;

pub use handler::{Wanted, check_handler};

/// A package is a handful of files; a mistaken path (such as a whole cargo tree) ends the look soon.
const MAX_ENTRIES: usize = 1000;

/// One thing that is wrong with a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file or folder, relative to the package.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}

/// Looks at a Functions package: what `func start` takes on a developer's machine. [`check_handler`] says whether it may be deployed.
///
/// # Errors
/// All that is wrong with it.
pub fn check(directory: &Path) -> Result<(), Vec<Finding>> {
    let mut findings = Findings(Vec::new());
    let executable = findings.host_json(directory);
    let functions = findings.functions(directory);
    findings.routes(&functions);
    findings.complete(directory);
    if let Some(executable) = &executable {
        findings.executable(directory, executable);
    }
    findings.strays(directory, executable.as_deref(), &functions);
    if findings.0.is_empty() { Ok(()) } else { Err(findings.0) }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: &str, what: impl Into<String>) {
        self.0.push(Finding { path: path.to_owned(), what: what.into() });
    }

    /// The executable that host.json names, if it names one.
    fn host_json(&mut self, directory: &Path) -> Option<String> {
        let text = match fs::read_to_string(directory.join("host.json")) {
            Ok(text) => text,
            Err(error) => {
                self.add("host.json", error.to_string());
                return None;
            }
        };
        if let Err(invalid) = HostJson::parse(&text) {
            self.add("host.json", invalid.why);
        }
        let json: Value = serde_json::from_str(&text).ok()?;
        if json.pointer("/extensionBundle/id").and_then(Value::as_str)
            != Some("Microsoft.Azure.Functions.ExtensionBundle")
        {
            self.add("host.json", "there is no extensionBundle, which queues need");
        }
        let batch_size = json.pointer("/extensions/queues/batchSize").and_then(Value::as_u64);
        if !batch_size.is_some_and(|size| (1..=32).contains(&size)) {
            self.add("host.json", "extensions.queues.batchSize must be 1 to 32");
        }
        if json.pointer("/customHandler/http").is_some() || json.get("configurationProfile").is_some() {
            self.add("host.json", "customHandler.http and configurationProfile cannot go with function.json files");
        }
        let executable = json.pointer("/customHandler/description/defaultExecutablePath").and_then(Value::as_str);
        if executable.is_none_or(str::is_empty) {
            self.add("host.json", "customHandler.description.defaultExecutablePath is missing");
        }
        executable.filter(|path| !path.is_empty()).map(str::to_owned)
    }

    /// Every folder is a function.
    fn functions(&mut self, directory: &Path) -> Vec<Function> {
        let mut functions: Vec<Function> = Vec::new();
        for name in folders(directory) {
            let file = format!("{name}/function.json");
            if !is_function_name(&name) {
                self.add(&name, "is no name of a function: a letter, then letters, digits, - and _");
            }
            let Ok(text) = fs::read_to_string(directory.join(&name).join("function.json")) else {
                self.add(&name, "is a folder without a function.json");
                continue;
            };
            let function = match Function::parse(&name, &text) {
                Ok(function) => function,
                Err(invalid) => {
                    self.add(&file, invalid.why);
                    continue;
                }
            };
            if functions.iter().any(|known| known.name.eq_ignore_ascii_case(&name)) {
                self.add(&name, "another function has this name but for upper and lower case");
            }
            if let Trigger::Timer { schedule, .. } = &function.trigger
                && let Some(setting) = schedule.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'))
                && !settings::NAMES.iter().any(|(known, _)| *known == setting)
            {
                self.add(&file, format!("its schedule is the setting {setting}, which this program does not know"));
            }
            functions.push(function);
        }
        functions
    }

    /// Each function of this program is there, as it is here: routes and queues are those that the handler has.
    fn complete(&mut self, directory: &Path) {
        for (name, json) in FILES {
            match fs::read_to_string(directory.join(name).join("function.json")) {
                Ok(text) if text == *json => {}
                Ok(_) => self.add(&format!("{name}/function.json"), "is another than this program has"),
                Err(_) => self.add(name, "is a function of this program, and missing"),
            }
        }
    }

    /// The host tries functions by name, and the first route that fits wins.
    fn routes(&mut self, functions: &[Function]) {
        let mut seen: Vec<(&Route, &Function)> = Vec::new();
        for function in functions {
            let Trigger::Http { route, .. } = &function.trigger else { continue };
            for (other, owner) in &seen {
                if route.overlaps(other) {
                    let what = format!("its route {route} and {other} of {} overlap", owner.name);
                    self.add(&format!("{}/function.json", function.name), what);
                }
            }
            seen.push((route, function));
        }
    }

    fn executable(&mut self, directory: &Path, executable: &str) {
        // The tools set the mode of the entry with exactly this name only.
        if executable.starts_with(['.', '/']) || executable.contains(['\\', '%', ' ']) {
            self.add("host.json", format!("defaultExecutablePath {executable:?} must be the plain name of the file"));
        }
        match fs::symlink_metadata(directory.join(executable)) {
            Ok(metadata) if metadata.is_file() => {
                #[cfg(unix)]
                if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0o111 {
                    self.add(executable, "is not executable for everybody");
                }
                if metadata.len() == 0 {
                    self.add(executable, "is empty");
                }
            }
            _ => self.add(executable, "host.json names it, but there is no such file"),
        }
    }

    /// Nothing else: settings hold secrets, sources and build trees do not belong into a deployment.
    fn strays(&mut self, directory: &Path, executable: Option<&str>, functions: &[Function]) {
        let mut known: BTreeSet<String> = BTreeSet::from(["host.json".to_owned(), BOM.to_owned()]);
        known.extend(executable.map(str::to_owned));
        for function in functions {
            known.insert(function.name.clone());
            known.insert(format!("{}/function.json", function.name));
        }
        let mut left = MAX_ENTRIES;
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(directory.join(&folder)) else { continue };
            for entry in entries.flatten() {
                if left == 0 {
                    self.add(".", format!("there are more than {MAX_ENTRIES} files"));
                    return;
                }
                left -= 1;
                let path = format!("{folder}{}", entry.file_name().to_string_lossy());
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_symlink() {
                    self.add(&path, "is a symbolic link");
                } else if kind.is_dir() {
                    folders.push(format!("{path}/"));
                } else if path == "local.settings.json" {
                    self.add(&path, "holds settings and secrets of a developer's machine");
                } else if !known.contains(&path) {
                    self.add(&path, "does not belong into the package");
                }
            }
        }
    }
}

fn folders(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn is_function_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 128
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        && !name.eq_ignore_ascii_case("host")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Error, assemble};

    /// A good package, changed by `spoil`, and what is then found.
    fn found(spoil: impl FnOnce(&Path)) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let handler = directory.path().join("built");
        fs::write(&handler, "#!").unwrap();
        let package = directory.path().join("package");
        assemble(&package, &handler, "{}").unwrap();
        spoil(&package);
        let findings = check(&package).err().unwrap_or_default();
        findings.iter().map(|finding| finding.to_string()).collect()
    }

    fn replace(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{} has no {from}", path.display());
        fs::write(path, text.replace(from, to)).unwrap();
    }

    #[test]
    fn what_is_assembled_is_a_package() {
        assert_eq!(found(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn each_fault_of_a_package_is_found() {
        let one = |spoil: &dyn Fn(&Path), expected: &str| {
            let found = found(spoil);
            assert!(found.iter().any(|finding| finding.contains(expected)), "{expected} not in {found:?}");
        };
        one(&|dir| fs::remove_file(dir.join("host.json")).unwrap(), "host.json: ");
        one(&|dir| replace(&dir.join("host.json"), "\"2.0\"", "\"1.0\""), "host.json: version");
        one(&|dir| replace(&dir.join("host.json"), "Microsoft.Azure.Functions.", ""), "extensionBundle");
        one(&|dir| replace(&dir.join("host.json"), "\"batchSize\": 32", "\"batchSize\": 33"), "batchSize");
        one(&|dir| replace(&dir.join("host.json"), "\"azure\"", "\"./azure\""), "plain name");
        one(&|dir| replace(&dir.join("host.json"), "\"azure\"", "\"handler\""), "handler: host.json names it");
        one(&|dir| replace(&dir.join("host.json"), "HttpRequest\": true", "HttpRequest\": false"), "Proxying");
        one(&|dir| fs::write(dir.join("azure"), "").unwrap(), "azure: is empty");
        one(&|dir| fs::write(dir.join("local.settings.json"), "{}").unwrap(), "local.settings.json: holds");
        one(&|dir| fs::write(dir.join("Cargo.toml"), "").unwrap(), "Cargo.toml: does not belong");
        one(&|dir| fs::write(dir.join("Probe/run.sh"), "").unwrap(), "Probe/run.sh: does not belong");
        one(&|dir| fs::create_dir(dir.join("src")).unwrap(), "src: is a folder without");
        one(&|dir| fs::remove_dir_all(dir.join("Probe")).unwrap(), "Probe: is a function of this program");
        one(&|dir| replace(&dir.join("Probe/function.json"), "\"get\"", "\"put\""), "Probe/function.json: is another");
        one(&|dir| fs::rename(dir.join("Probe"), dir.join("1Probe")).unwrap(), "1Probe: is no name");
        one(&|dir| replace(&dir.join("Probe/function.json"), "\"probe/", "\"/probe/"), "slash");
        one(&|dir| replace(&dir.join("Probe/function.json"), "probe/{kind}", "v1/{kind}"), "overlap");
        one(&|dir| replace(&dir.join("Probe/function.json"), "\"req\"", "\"re_q\""), "letters and digits");
        one(&|dir| replace(&dir.join("PollTimer/function.json"), "%POLL_SCHEDULE%", "%SCHEDULE%"), "does not know");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let not_executable =
                |dir: &Path| fs::set_permissions(dir.join("azure"), fs::Permissions::from_mode(0o644)).unwrap();
            one(&not_executable, "azure: is not executable");
            one(&|dir| std::os::unix::fs::symlink("/etc", dir.join("link")).unwrap(), "link: is a symbolic link");
        }
    }

    #[test]
    fn only_a_former_package_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("precious"), "").unwrap();
        let error = assemble(directory.path(), &directory.path().join("precious"), "{}").unwrap_err();
        assert!(matches!(error, Error::NotAPackage(_)));
        assert!(directory.path().join("precious").exists());

        // A project's root has a host.json as well.
        fs::write(directory.path().join("host.json"), "{}").unwrap();
        let error = assemble(directory.path(), &directory.path().join("precious"), "{}").unwrap_err();
        assert!(matches!(error, Error::NotAPackage(_)));
        assert!(directory.path().join("precious").exists());

        let package = directory.path().join("package");
        for _ in 0..2 {
            assemble(&package, &directory.path().join("precious"), "{}").unwrap();
        }
        fs::create_dir(package.join("src")).unwrap();
        fs::write(package.join("src").join("main.rs"), "").unwrap();
        assert!(matches!(assemble(&package, &directory.path().join("precious"), "{}"), Err(Error::NotAPackage(_))));
    }
}
