//! The key for sign-in sessions, where none is set: made once and kept beside the documents.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::outside::Random;
use crate::settings::{SessionKey, Settings, StoreSettings};

const FILE: &str = "session-key";

/// Gives the settings a session key if they have none: from the store's directory, where it is made at first use, or a
/// random one for this process where there is no directory.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn ensure_session_key(settings: &mut Settings, random: &dyn Random) -> io::Result<()> {
    if !settings.session_keys.is_empty() {
        return Ok(());
    }
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    if let StoreSettings::Directory(directory) = &settings.store {
        let file = directory.join(FILE);
        if !file.exists() {
            create(directory, &file, &bytes, random)?;
        }
        bytes = read(&file)?;
    }
    settings.session_keys.push(SessionKey::new(bytes));
    Ok(())
}

/// Written aside and linked into place, so that a second process sees either no file or a whole one.
fn create(directory: &Path, file: &Path, key: &[u8; 32], random: &dyn Random) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut unique = [0; 9];
    random.fill(&mut unique);
    let aside = directory.join(format!("{FILE}.{}", URL_SAFE_NO_PAD.encode(unique)));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&aside).and_then(|mut opened| {
        writeln!(opened, "{}", STANDARD.encode(key))?;
        opened.sync_all()
    });
    let linked = written.and_then(|()| match fs::hard_link(&aside, file) {
        // Another process was faster: its key is the key.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = fs::remove_file(&aside);
    linked
}

fn read(file: &Path) -> io::Result<[u8; 32]> {
    let text = fs::read_to_string(file)?;
    STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        let why = format!("{} is not base64 of 32 bytes; remove it to get a new key", file.display());
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemRandom;
    use crate::settings::Door;

    fn settings(store: &str) -> Settings {
        Settings::from_lookup(Door::Standalone, |name| match name {
            "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => Some("11111111-1111-4111-8111-111111111111".to_owned()),
            "AZURE_CLIENT_SECRET" => Some("secret".to_owned()),
            "STATE_STORE_URL" => Some(store.to_owned()),
            _ => None,
        })
        .unwrap()
    }

    fn key(store: &str) -> [u8; 32] {
        let mut settings = settings(store);
        ensure_session_key(&mut settings, &SystemRandom).unwrap();
        assert_eq!(settings.session_keys.len(), 1);
        *settings.session_keys[0].bytes()
    }

    #[test]
    fn the_key_is_made_once_and_only_we_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = format!("file:{}", directory.path().join("state").display());
        let first = key(&store);
        assert_eq!(first, key(&store));
        assert_ne!(first, [0; 32]);
        let files: Vec<_> = fs::read_dir(directory.path().join("state")).unwrap().collect();
        assert_eq!(files.len(), 1, "nothing is left aside");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &fs::metadata(directory.path().join("state/session-key")).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn without_a_directory_each_process_has_its_own() {
        assert_ne!(key("memory:"), key("memory:"));
    }

    #[test]
    fn a_damaged_key_stops_the_start_and_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "damaged").unwrap();
        let mut settings = settings(&format!("file:{}", directory.path().display()));
        let error = ensure_session_key(&mut settings, &SystemRandom).unwrap_err();
        assert!(error.to_string().contains("session-key"));
        assert_eq!(fs::read_to_string(directory.path().join(FILE)).unwrap(), "damaged");
    }
}
