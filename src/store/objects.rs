//! Documents in an object store: memory, Azure Blob, S3. Conditional writes are those of `object_store`, told in our words.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, UpdateVersion,
};
use secrecy::ExposeSecret as _;

use super::connect::WhenNeeded;
use super::container::Container;
use super::{Backend, Blob, ETag, Error, Listed, check_path, check_prefix};
use crate::settings::{AwsAccount, StorageAccount};

/// The account of the Azurite emulator and its key, known to everybody
/// (<https://learn.microsoft.com/azure/storage/common/storage-connect-azurite>).
const DEVELOPMENT: (&str, &str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    "http://127.0.0.1:10000/devstoreaccount1",
);

/// A backend that forgets everything with its process: for tests and trials.
pub type Memory = Objects<InMemory>;

/// A backend over an object store.
#[derive(Debug)]
pub struct Objects<S> {
    store: S,
    /// Made when the store says that it is missing.
    container: Option<Container>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { store: InMemory::new(), container: None }
    }
}

/// Documents in a container of Azure Blob storage. The container is made by the first call that misses it.
///
/// # Errors
/// [`Error::Unavailable`] when the credentials cannot be understood.
pub(super) fn azure_blob(container: &str, account: &StorageAccount) -> Result<Objects<impl ObjectStore>, Error> {
    let builder = MicrosoftAzureBuilder::new().with_container_name(container).with_retry(retry());
    let (name, key, endpoint) = match account {
        StorageAccount::Development => {
            let (name, key, endpoint) = DEVELOPMENT;
            (name, Some(key), Some(endpoint.to_owned()))
        }
        StorageAccount::Key { account, key, endpoint } => {
            (account.as_str(), Some(key.expose_secret()), endpoint.as_ref().map(|url| url.to_string()))
        }
        StorageAccount::ManagedIdentity { account, endpoint, .. } => {
            (account.as_str(), None, endpoint.as_ref().map(|url| url.to_string()))
        }
    };
    let endpoint = endpoint.unwrap_or_else(|| format!("https://{name}.blob.core.windows.net"));
    let endpoint = endpoint.trim_end_matches('/').to_owned();
    // Settings allow plain http on loopback only.
    let options = client_options().with_allow_http(endpoint.starts_with("http://"));
    let mut builder = builder
        .with_account(name)
        .with_endpoint(endpoint.clone())
        .with_client_options(options.clone())
        .with_http_connector(WhenNeeded);
    if let Some(key) = key {
        builder = builder.with_access_key(key);
    }
    if let StorageAccount::ManagedIdentity { client_id, identity_endpoint, .. } = account {
        builder = builder.with_credential_type("managed_identity");
        if let Some(client_id) = client_id {
            builder = builder.with_client_id(client_id);
        }
        // App Service and Functions have an endpoint of their own in place of the address of virtual machines.
        if let Some(identity_endpoint) = identity_endpoint {
            builder = builder.with_msi_endpoint(identity_endpoint.as_str());
        }
    }
    let doing = || format!("be reached at {endpoint}/{container}");
    let store = builder.build().map_err(|error| Error::unavailable(doing(), error))?;
    let missing = Container::new(&endpoint, container, name, key, Arc::clone(store.credentials()), options)
        .map_err(|error| Error::unavailable(doing(), error))?;
    Ok(Objects { store, container: Some(missing) })
}

/// Documents in a bucket of S3, or of another store that speaks it.
///
/// # Errors
/// [`Error::Unavailable`] when the credentials cannot be understood.
#[cfg(feature = "lambda")]
pub(super) fn s3(
    bucket: &str,
    prefix: &str,
    account: Option<&AwsAccount>,
    endpoint: Option<&url::Url>,
) -> Result<Arc<dyn Backend>, Error> {
    // What the platform names without our settings, such as where a container's role is found.
    let mut builder = object_store::aws::AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(retry())
        .with_http_connector(WhenNeeded);
    let mut options = client_options();
    if let Some(account) = account {
        builder = builder
            .with_region(&account.region)
            .with_access_key_id(&account.access_key_id)
            .with_secret_access_key(account.secret_access_key.expose_secret());
        if let Some(token) = &account.session_token {
            builder = builder.with_token(token.expose_secret());
        }
    }
    if let Some(endpoint) = endpoint {
        // Settings allow plain http on loopback only.
        options = options.with_allow_http(endpoint.scheme() == "http");
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    let store = builder
        .with_client_options(options)
        .build()
        .map_err(|error| Error::unavailable(format!("be reached at s3://{bucket}"), error))?;
    Ok(Arc::new(Objects::http(object_store::prefix::PrefixStore::new(store, prefix))))
}

/// Says that this build has no S3; settings say so before.
#[cfg(not(feature = "lambda"))]
pub(super) fn s3(
    bucket: &str,
    _: &str,
    _: Option<&AwsAccount>,
    _: Option<&url::Url>,
) -> Result<Arc<dyn Backend>, Error> {
    Err(Error::unavailable(format!("be reached at s3://{bucket}"), "this build has no S3 (cargo feature `lambda`)"))
}

/// Bounds that make an unreachable store an error within half a minute: documents are small, callers have deadlines.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: Duration::from_secs(12),
    }
}

fn client_options() -> ClientOptions {
    ClientOptions::new().with_connect_timeout(Duration::from_secs(4)).with_timeout(Duration::from_secs(15))
}

impl<S: ObjectStore> Objects<S> {
    /// A backend over a store that is reached by HTTP and whose container exists.
    #[cfg(feature = "lambda")]
    fn http(store: S) -> Self {
        Self { store, container: None }
    }

    /// Does the work; when the store says that the container is missing, makes it and does the work again.
    async fn with_container<T, F>(&self, work: impl Fn() -> F) -> object_store::Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let result = work().await;
        match (&self.container, &result) {
            (Some(container), Err(error)) if says(error, "ContainerNotFound") => {
                container
                    .create()
                    .await
                    .map_err(|source| object_store::Error::Generic { store: "container", source })?;
                work().await
            }
            _ => result,
        }
    }

    async fn put(&self, path: &str, body: &Bytes, mode: PutMode) -> object_store::Result<Option<ETag>> {
        let location = Path::parse(path)?;
        let put = || {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            self.store.put_opts(&location, body.clone().into(), options)
        };
        self.with_container(put).await.map(|written| written.e_tag.map(etag))
    }
}

#[async_trait]
impl<S: ObjectStore> Backend for Objects<S> {
    async fn get(&self, path: &str) -> Result<Option<Blob>, Error> {
        check_path(path)?;
        let work = async || {
            let found = self.store.get(&Path::parse(path)?).await?;
            let version = found.meta.e_tag.clone();
            Ok((version, found.bytes().await?))
        };
        match self.with_container(work).await {
            Ok((version, body)) => Ok(Some(Blob { body, etag: version.map(etag).ok_or_else(|| no_etag(path))? })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::unavailable(format!("read {path}"), error)),
        }
    }

    async fn create(&self, path: &str, body: Bytes) -> Result<ETag, Error> {
        check_path(path)?;
        match self.put(path, &body, PutMode::Create).await {
            Ok(version) => version.ok_or_else(|| no_etag(path)),
            // Azure answers 409 for other reasons too.
            Err(error @ object_store::Error::AlreadyExists { .. }) if says(&error, "ContainerBeingDeleted") => {
                Err(Error::unavailable(format!("write {path}"), error))
            }
            Err(object_store::Error::AlreadyExists { .. }) => Err(Error::AlreadyExists { path: path.to_owned() }),
            Err(error) => Err(Error::unavailable(format!("write {path}"), error)),
        }
    }

    async fn update(&self, path: &str, body: Bytes, etag: &ETag) -> Result<ETag, Error> {
        check_path(path)?;
        let version = format!("\"{etag}\"");
        let mode = PutMode::Update(UpdateVersion { e_tag: Some(version), version: None });
        match self.put(path, &body, mode).await {
            Ok(version) => version.ok_or_else(|| no_etag(path)),
            // S3 answers 404 where the document is gone, Azurite 409 where it changed.
            Err(
                object_store::Error::Precondition { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotFound { .. },
            ) => Err(Error::Conflict { path: path.to_owned() }),
            Err(error) => Err(Error::unavailable(format!("write {path}"), error)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let folder = check_prefix(prefix)?;
        let work = async || self.store.list(Some(&Path::parse(folder)?)).try_collect::<Vec<_>>().await;
        let found = match self.with_container(work).await {
            Ok(found) => found,
            Err(error) => return Err(Error::unavailable(format!("list {prefix}"), error)),
        };
        let listed = found.into_iter().map(|meta| {
            let path = meta.location.to_string();
            let version = meta.e_tag.map(etag).ok_or_else(|| no_etag(&path))?;
            Ok(Listed { path, etag: version })
        });
        let mut listed = listed.collect::<Result<Vec<_>, Error>>()?;
        listed.sort();
        Ok(listed)
    }

    async fn delete(&self, path: &str) -> Result<(), Error> {
        check_path(path)?;
        let work = async || self.store.delete(&Path::parse(path)?).await;
        match self.with_container(work).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::unavailable(format!("remove {path}"), error)),
        }
    }
}

/// Our ETags have no quotes, since Azure's listings leave out those that its headers have.
fn etag(text: String) -> ETag {
    ETag(text.trim_matches('"').to_owned())
}

fn no_etag(path: &str) -> Error {
    Error::unavailable(format!("say which version {path} has"), "the answer has no ETag")
}

/// Whether the store's answer has this error code. `object_store` keeps it in the text of a source only.
fn says(error: &object_store::Error, code: &str) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(code) {
            return true;
        }
        next = error.source();
    }
    false
}
