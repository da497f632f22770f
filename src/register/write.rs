//! Writes what a registration gave into a settings file, beside what is in it.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

/// The settings of which exactly one may have a value.
const CREDENTIALS: [&str; 4] = [
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "MANAGED_IDENTITY_CLIENT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
];

/// Settings that mean something beside one credential only.
const BESIDE: [&str; 3] =
    ["AZURE_CLIENT_SECRET_EXPIRES", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_CLIENT_CERTIFICATE_ALGORITHM"];

/// Why a settings file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is something else.
    #[error("the file is there and is no local.settings.json")]
    NotSettings,
    /// It cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] std::io::Error),
}

/// Sets these values in a file of the shape of `local.settings.json`, readable by its owner only; the rest stays. A new
/// credential takes the place of the one that was set.
///
/// # Errors
/// [`WriteError`].
pub fn write_settings(file: &Path, values: &[(&str, String)]) -> Result<(), WriteError> {
    let before = match std::fs::read_to_string(file) {
        Ok(text) => serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')).ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(json!({"IsEncrypted": false, "Values": {"FUNCTIONS_WORKER_RUNTIME": "custom"}}))
        }
        Err(error) => return Err(error.into()),
    };
    let Some(Value::Object(mut document)) = before else { return Err(WriteError::NotSettings) };
    let Value::Object(all) = document.entry("Values").or_insert_with(|| Map::new().into()) else {
        return Err(WriteError::NotSettings);
    };
    if values.iter().any(|(name, _)| CREDENTIALS.contains(name)) {
        for name in CREDENTIALS.iter().chain(&BESIDE) {
            if let Some(value) = all.get_mut(*name) {
                *value = "".into();
            }
        }
    }
    for (name, value) in values {
        all.insert((*name).to_owned(), value.clone().into());
    }
    let text = format!("{:#}\n", Value::Object(document));
    // Written beside it and moved: a crash leaves the old one whole.
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("settings");
    let beside = directory.join(format!(".{name}.new"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&beside)?;
    new.write_all(text.as_bytes())?;
    new.sync_all()?;
    std::fs::rename(&beside, file)?;
    Ok(())
}
