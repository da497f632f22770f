//! The zip: the same package gives the same bytes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use zip::{DateTime, ZipArchive};

use super::pack::{self, Entry};
use super::{Error, Finding, failed};

/// Packs a directory and gives the zip's size. Entries are sorted, have the first time that a zip knows and the mode that the
/// directory says: 0755 for what is executable, 0644 for the rest.
///
/// # Errors
/// [`Error::Io`].
pub fn zip(directory: &Path, archive: &Path) -> Result<u64, Error> {
    // Written beside its place, so that a half one is never taken for a whole one.
    let part = archive.with_extension("zip.part");
    pack(directory, &part).map_err(failed("write", &part))?;
    fs::rename(&part, archive).map_err(failed("write", archive))?;
    Ok(fs::metadata(archive).map_err(failed("read", archive))?.len())
}

fn pack(directory: &Path, archive: &Path) -> io::Result<()> {
    let entries = files(directory)?.into_iter().map(|name| {
        let path = directory.join(&name);
        let mode = if is_executable(&path)? { 0o755 } else { 0o644 };
        Ok(Entry { name, mode, content: fs::read(path)? })
    });
    fs::write(archive, pack::packed(entries)?)
}

/// Whether a zip is this directory as a platform should get it, in at most so many bytes.
///
/// # Errors
/// All that is wrong with it.
pub fn check_zip(archive: &Path, directory: &Path, most: u64) -> Result<(), Vec<Finding>> {
    let mut findings = Vec::new();
    if let Err(error) = look(archive, directory, most, &mut |path: &str, what: String| {
        findings.push(Finding { path: path.to_owned(), what });
    }) {
        findings.push(Finding { path: archive.display().to_string(), what: error.to_string() });
    }
    if findings.is_empty() { Ok(()) } else { Err(findings) }
}

fn look(archive: &Path, directory: &Path, most: u64, add: &mut dyn FnMut(&str, String)) -> io::Result<()> {
    let size = fs::metadata(archive)?.len();
    if size > most {
        add(&archive.display().to_string(), format!("has {size} bytes, {most} at most are wanted"));
    }
    let mut zip = ZipArchive::new(BufReader::new(File::open(archive)?))?;
    let mut names: Vec<String> = Vec::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index)?;
        let name = entry.name()?.into_owned();
        let path = directory.join(&name);
        if !path.is_file() {
            add(&name, "is in the zip and not in the package".to_owned());
            continue;
        }
        let wanted = if is_executable(&path)? { 0o755 } else { 0o644 };
        // Of the mode only what a file may be; S_IFREG is above.
        let mode = entry.unix_mode().map(|mode| mode & 0o7777);
        if mode != Some(wanted) {
            let found = mode.map_or_else(|| "none".to_owned(), |mode| format!("{mode:04o}"));
            add(&name, format!("has the mode {found} in the zip, not {wanted:04o}"));
        }
        if entry.last_modified() != Some(DateTime::DEFAULT) {
            add(&name, "has a time of its own in the zip, so that no two are the same".to_owned());
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if content != fs::read(&path)? {
            add(&name, "is another in the zip than in the package".to_owned());
        }
        names.push(name);
    }
    if !names.is_sorted() {
        add(".", "the entries of the zip are not sorted".to_owned());
    }
    for name in files(directory)?.into_iter().filter(|name| !names.contains(name)) {
        add(&name, "is in the package and not in the zip".to_owned());
    }
    Ok(())
}

/// The files of a package, one level of folders deep, with `/` on every system.
fn files(directory: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            for file in fs::read_dir(entry.path())? {
                files.push(format!("{name}/{}", file?.file_name().to_string_lossy()));
            }
        } else {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(unix)]
fn is_executable(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::metadata(path)?.permissions().mode() & 0o111 != 0)
}

/// Where files have no modes, the handlers are known by their names.
#[cfg(not(unix))]
fn is_executable(path: &Path) -> io::Result<bool> {
    Ok(path.file_name().is_some_and(|name| name == super::HANDLER || name == super::BOOTSTRAP))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    const MOST: u64 = 5000;

    /// A package of two files, zipped.
    fn zipped() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (package, archive) = (directory.path().join("package"), directory.path().join("package.zip"));
        fs::create_dir_all(package.join("Probe")).unwrap();
        fs::write(package.join("Probe").join("function.json"), "{}").unwrap();
        fs::write(package.join("azure"), "the handler".repeat(100)).unwrap();
        #[cfg(unix)]
        mode(&package.join("azure"), 0o755);
        zip(&package, &archive).unwrap();
        (directory, package, archive)
    }

    #[cfg(unix)]
    fn mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn found(archive: &Path, package: &Path) -> String {
        let findings = check_zip(archive, package, MOST).err().unwrap_or_default();
        findings.iter().map(|finding| format!("{finding}; ")).collect()
    }

    #[test]
    fn a_package_zipped_at_any_time_and_place_gives_the_same_bytes() {
        let ((_one, package, archive), (_other, _, second)) = (zipped(), zipped());
        assert_eq!(fs::read(&archive).unwrap(), fs::read(&second).unwrap());
        assert_eq!(found(&archive, &package), "");
        // Zipping again replaces what was there.
        zip(&package, &archive).unwrap();
        assert_eq!(fs::read(&archive).unwrap(), fs::read(&second).unwrap());
    }

    #[test]
    fn each_fault_of_a_zip_is_found() {
        let (_directory, package, archive) = zipped();
        fs::write(package.join("host.json"), "{}").unwrap();
        assert_eq!(found(&archive, &package), "host.json: is in the package and not in the zip; ");
        fs::remove_file(package.join("host.json")).unwrap();
        fs::write(package.join("Probe").join("function.json"), "{ }").unwrap();
        assert_eq!(found(&archive, &package), "Probe/function.json: is another in the zip than in the package; ");
        fs::remove_file(package.join("Probe").join("function.json")).unwrap();
        assert_eq!(found(&archive, &package), "Probe/function.json: is in the zip and not in the package; ");
        assert!(found(&package.join("none.zip"), &package).contains("none.zip: "));

        let (_directory, package, archive) = zipped();
        #[cfg(unix)]
        {
            mode(&package.join("azure"), 0o644);
            assert_eq!(found(&archive, &package), "azure: has the mode 0755 in the zip, not 0644; ");
            mode(&package.join("azure"), 0o755);
        }
        let by_hand = |name: &str, time: DateTime, bytes: &[u8]| {
            let mut zip = ZipWriter::new(File::create(&archive).unwrap());
            for (name, content) in [(name, bytes), ("Probe/function.json", b"{}")] {
                let options = SimpleFileOptions::default()
                    .compression_method(CompressionMethod::Stored)
                    .last_modified_time(time)
                    .unix_permissions(if name == "azure" { 0o755 } else { 0o644 });
                zip.start_file(name, options).unwrap();
                zip.write_all(content).unwrap();
            }
            zip.finish().unwrap();
            found(&archive, &package)
        };
        let handler = "the handler".repeat(100);
        assert_eq!(
            by_hand("azure", DateTime::DEFAULT, handler.as_bytes()),
            ".: the entries of the zip are not sorted; "
        );
        let late = DateTime::from_date_and_time(2026, 11, 21, 12, 0, 0).unwrap();
        assert!(by_hand("azure", late, handler.as_bytes()).contains("azure: has a time of its own"));
        let large = vec![0; MOST as usize];
        assert!(by_hand("azure", DateTime::DEFAULT, &large).contains("at most are wanted"));
    }
}
