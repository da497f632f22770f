//! What a store that cannot be used says.

use std::error::Error as _;
use std::time::{Duration, Instant};

use health_monitor::settings::{StorageAccount, StoreSettings};
use health_monitor::store::{self, Error, Local};

/// The error and its causes, as a log shows them.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = whole(&Local::open(&path).unwrap_err());
        assert!(
            error.contains(&format!("the store could not use the directory {}: it must be", path.display())),
            "{error}"
        );
    }
}

#[test]
fn a_missing_directory_is_made_for_this_user_only() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("a/b/state");
    Local::open(&root).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn documents_are_readable_by_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let backend = store::open(&StoreSettings::Directory(directory.path().to_owned())).unwrap();
    backend.create("customers/a.json", "1".into()).await.unwrap();
    let mode = std::fs::metadata(directory.path().join("customers/a.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_directory_that_was_removed_under_the_program_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("state");
    let store = Local::open(&root).unwrap();
    let backend: &dyn health_monitor::store::Backend = &store;
    backend.create("customers/a.json", "1".into()).await.unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(backend.get("customers/a.json").await.unwrap(), None);
    backend.create("customers/a.json", "2".into()).await.unwrap();
    assert_eq!(backend.get("customers/a.json").await.unwrap().unwrap().body, "2");
}

#[tokio::test]
async fn an_unreachable_storage_account_is_an_error_soon_and_keeps_its_key() {
    let key = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA==";
    let settings = StoreSettings::AzureBlob {
        container: "health".to_owned(),
        account: StorageAccount::Key {
            account: "contoso".to_owned(),
            key: key.to_owned().into(),
            // Port 9 of loopback: nothing listens.
            endpoint: Some("http://127.0.0.1:9/contoso".parse().unwrap()),
        },
    };
    let backend = store::open(&settings).unwrap();
    let started = Instant::now();
    for error in [
        backend.get("customers/a.json").await.unwrap_err(),
        backend.create("customers/a.json", "1".into()).await.unwrap_err(),
        backend.list("customers/").await.unwrap_err(),
        backend.delete("customers/a.json").await.unwrap_err(),
    ] {
        let text = format!("{} {error:?}", whole(&error));
        assert!(matches!(error, Error::Unavailable { .. }), "an outage is no absence: {text}");
        assert!(!text.contains(key), "{text}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert!(!format!("{backend:?}").contains(key));
}
