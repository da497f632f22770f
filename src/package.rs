//! The deployable package of the Functions app: host.json, one folder per function and the handler, nothing else. A tool of
//! developers; no host uses it.

mod check;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use check::{Finding, check};

use crate::functions::{FILES, HOST_JSON};

/// The handler's file name: `defaultExecutablePath` of host.json.
pub const HANDLER: &str = "azure";

/// What was put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The package's root.
    pub directory: PathBuf,
    /// The functions.
    pub functions: Vec<String>,
    /// The handler's size.
    pub handler_bytes: u64,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The directory holds something that is no package, so it is not replaced.
    #[error("{0} holds more than a package: empty it or choose another directory")]
    NotAPackage(PathBuf),
    /// Cargo could not build the handler.
    #[error("cargo could not build the handler: {0}")]
    Build(String),
}

/// Puts the package together from what is compiled in and a handler. A former package at the same place is replaced.
///
/// # Errors
/// [`Error::NotAPackage`], [`Error::Io`].
pub fn assemble(out: &Path, handler: &Path) -> Result<Report, Error> {
    if out.exists() {
        if !holds_only_a_package(out).map_err(failed("read", out))? {
            return Err(Error::NotAPackage(out.to_owned()));
        }
        fs::remove_dir_all(out).map_err(failed("remove", out))?;
    }
    fs::create_dir_all(out).map_err(failed("create", out))?;
    write(&out.join("host.json"), HOST_JSON)?;
    let mut functions = Vec::new();
    for (name, json) in FILES {
        let folder = out.join(name);
        fs::create_dir(&folder).map_err(failed("create", &folder))?;
        write(&folder.join("function.json"), json)?;
        functions.push((*name).to_owned());
    }
    let target = out.join(HANDLER);
    let handler_bytes = fs::copy(handler, &target).map_err(failed("copy", handler))?;
    set_mode(&target, 0o755)?;
    Ok(Report { directory: out.to_owned(), functions, handler_bytes })
}

/// Builds the handler as it is deployed, without sandbox and Lambda, and gives its path. `target` is a Rust target such as
/// `x86_64-unknown-linux-musl`, which has to be installed; None builds for this machine.
///
/// # Errors
/// [`Error::Build`].
pub fn build(root: &Path, target: Option<&str>) -> Result<PathBuf, Error> {
    let mut command = std::process::Command::new("cargo");
    command.current_dir(root).args(["build", "--release", "--no-default-features", "--bin", HANDLER]);
    // Its own directory: another set of features would else rebuild what `cargo test` built.
    let target_directory = root.join("target").join("handler");
    command.arg("--target-dir").arg(&target_directory);
    let mut built = target_directory;
    if let Some(target) = target {
        command.args(["--target", target]);
        built.push(target);
    }
    let status = command.status().map_err(|error| Error::Build(error.to_string()))?;
    if !status.success() {
        return Err(Error::Build(status.to_string()));
    }
    Ok(built.join("release").join(HANDLER))
}

/// True when nothing but a former package would be lost. The project's own root has a host.json too, so that alone says little.
fn holds_only_a_package(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_file_of_ours = name == "host.json" || name == HANDLER;
        let is_ours = match entry.file_type()? {
            kind if kind.is_file() => is_file_of_ours,
            kind if kind.is_dir() => {
                let names: io::Result<Vec<_>> = fs::read_dir(entry.path())?.map(|file| Ok(file?.file_name())).collect();
                names? == ["function.json"]
            }
            _ => false,
        };
        if !is_ours {
            return Ok(false);
        }
    }
    Ok(true)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(failed("write", path))?;
    set_mode(path, 0o644)
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of", path))
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> Result<(), Error> {
    Ok(())
}

fn failed<'a>(verb: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { doing: format!("{verb} {}", path.display()), source }
}
