//! The document store: one suite that every backend passes, and what only some can fail at.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod crash;
mod failures;
mod process;
mod suite;

use std::sync::Arc;

use health_monitor::settings::{StorageAccount, StoreSettings};
use health_monitor::store::{self, Backend, Local, Memory};
use process::OtherProcess;

/// Two doors to the same documents. What one writes, the other reads.
struct Place {
    one: Arc<dyn Backend>,
    other: Arc<dyn Backend>,
    _directory: Option<tempfile::TempDir>,
}

impl Place {
    async fn memory() -> Option<Self> {
        let one: Arc<dyn Backend> = Arc::new(Memory::default());
        Some(Self { other: Arc::clone(&one), one, _directory: None })
    }

    async fn directory() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let one: Arc<dyn Backend> = Arc::new(Local::open(directory.path()).unwrap());
        Some(Self { other: Arc::clone(&one), one, _directory: Some(directory) })
    }

    async fn directory_opened_twice() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let one = Arc::new(Local::open(directory.path()).unwrap());
        let other = Arc::new(Local::open(directory.path()).unwrap());
        Some(Self { one, other, _directory: Some(directory) })
    }

    async fn directory_of_two_processes() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let one = Arc::new(Local::open(directory.path()).unwrap());
        let other = Arc::new(OtherProcess::start(directory.path()));
        Some(Self { one, other, _directory: Some(directory) })
    }

    /// Azurite, where `.ci/with-azurite` says that it runs. Each test has a container of its own, not made yet.
    async fn azurite() -> Option<Self> {
        let settings = azurite_settings()?;
        Some(Self { one: store::open(&settings).unwrap(), other: store::open(&settings).unwrap(), _directory: None })
    }

    /// S3 of moto, where `.ci/with-moto` says that it runs. Each test has a bucket of its own, and documents below a prefix.
    #[cfg(feature = "lambda")]
    #[expect(clippy::disallowed_methods, reason = "names differ by chance")]
    async fn moto() -> Option<Self> {
        let moto = crate::support::moto::Moto::in_region("us-east-1")?;
        let bucket = format!("test-{}", uuid::Uuid::new_v4());
        moto.make_bucket(&bucket).await;
        let settings = StoreSettings::S3 {
            bucket,
            prefix: "health/of".to_owned(),
            account: Some(moto.account()),
            endpoint: Some(moto.url.parse().unwrap()),
        };
        Some(Self { one: store::open(&settings).unwrap(), other: store::open(&settings).unwrap(), _directory: None })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the address of Azurite comes from .ci/with-azurite; names differ by chance"
)]
fn azurite_settings() -> Option<StoreSettings> {
    let Ok(url) = std::env::var("AZURITE_BLOB_URL") else {
        println!(
            "skipped: AZURITE_BLOB_URL is not set; run through .ci/with-azurite to test against Azure Blob storage"
        );
        return None;
    };
    // Known to everybody: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
    let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    Some(StoreSettings::AzureBlob {
        container: format!("test-{}", uuid::Uuid::new_v4()),
        account: StorageAccount::Key {
            account: "devstoreaccount1".to_owned(),
            key: key.to_owned().into(),
            endpoint: Some(url.parse().expect("AZURITE_BLOB_URL is an address")),
        },
    })
}

macro_rules! every_backend {
    ($($behaviour:ident),+ $(,)?) => {
        every_backend!(@place memory $($behaviour)+);
        every_backend!(@place directory $($behaviour)+);
        every_backend!(@place directory_opened_twice $($behaviour)+);
        every_backend!(@place directory_of_two_processes $($behaviour)+);
        every_backend!(@place azurite $($behaviour)+);
        #[cfg(feature = "lambda")]
        every_backend!(@place moto $($behaviour)+);
    };
    (@place $place:ident $($behaviour:ident)+) => {
        mod $place {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    if let Some(place) = super::Place::$place().await {
                        super::suite::$behaviour(&place).await;
                    }
                }
            )+
        }
    };
}

every_backend!(
    a_document_reads_as_it_was_written,
    what_is_not_there_reads_as_none,
    a_document_is_created_once,
    an_update_needs_the_version_that_was_read,
    a_removed_document_cannot_be_updated_but_created_again,
    removing_twice_is_removing,
    a_listing_is_in_order_and_has_the_versions,
    a_listing_stays_in_its_folder,
    an_empty_folder_lists_as_empty,
    of_many_who_create_exactly_one_wins,
    no_update_of_racing_writers_is_lost,
    large_and_empty_and_unicode_bodies_survive,
    a_path_that_leaves_the_store_is_refused,
    every_kind_of_document_has_a_path_that_is_taken,
);
