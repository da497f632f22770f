//! The deployable packages: of the Functions app (host.json, one folder per function, the handler, its bill of materials), of the
//! Lambda function (bootstrap and bill of materials), and their zips. A tool of developers; no host uses it.

mod archive;
mod bom;
mod build;
mod check;
mod elf;
mod pack;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use archive::{check_zip, zip};
pub use bom::{FILE as BOM, Sources, bom, document};
pub use build::{Door, Limits, TARGET, build, places};
pub use check::{Finding, Wanted, check, check_handler};
pub use elf::{Elf, Machine};

use crate::functions::{FILES, HOST_JSON};

/// The handler's file name: `defaultExecutablePath` of host.json.
pub const HANDLER: &str = "azure";

/// The name that Lambda starts.
pub const BOOTSTRAP: &str = "bootstrap";

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
    /// Cargo or the compiler could not do it.
    #[error("could not build: {0}")]
    Build(String),
}

/// Puts the Functions package together from what is compiled in, a handler and its bill of materials ([`bom()`]). A former package
/// at the same place is replaced.
///
/// # Errors
/// [`Error::NotAPackage`], [`Error::Io`].
pub fn assemble(out: &Path, handler: &Path, bom: &str) -> Result<Report, Error> {
    start(out)?;
    write(&out.join("host.json"), HOST_JSON)?;
    let mut functions = Vec::new();
    for (name, json) in FILES {
        let folder = out.join(name);
        fs::create_dir(&folder).map_err(failed("create", &folder))?;
        write(&folder.join("function.json"), json)?;
        functions.push((*name).to_owned());
    }
    finish(out, handler, HANDLER, bom, functions)
}

/// Puts the Lambda package together: `bootstrap` and its bill of materials.
///
/// # Errors
/// [`Error::NotAPackage`], [`Error::Io`].
pub fn assemble_lambda(out: &Path, handler: &Path, bom: &str) -> Result<Report, Error> {
    start(out)?;
    finish(out, handler, BOOTSTRAP, bom, Vec::new())
}

fn start(out: &Path) -> Result<(), Error> {
    if out.exists() {
        if !holds_only_a_package(out).map_err(failed("read", out))? {
            return Err(Error::NotAPackage(out.to_owned()));
        }
        fs::remove_dir_all(out).map_err(failed("remove", out))?;
    }
    fs::create_dir_all(out).map_err(failed("create", out))
}

fn finish(out: &Path, handler: &Path, name: &str, bom: &str, functions: Vec<String>) -> Result<Report, Error> {
    write(&out.join(BOM), bom)?;
    let target = out.join(name);
    let handler_bytes = fs::copy(handler, &target).map_err(failed("copy", handler))?;
    set_mode(&target, 0o755)?;
    Ok(Report { directory: out.to_owned(), functions, handler_bytes })
}

/// True when nothing but a former package would be lost. The project's own root has a host.json too, so that alone says little.
fn holds_only_a_package(directory: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_file_of_ours = ["host.json", BOM, HANDLER, BOOTSTRAP].iter().any(|ours| name == *ours);
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
