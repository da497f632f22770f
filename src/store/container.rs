//! Makes the container of an Azure storage account, which `object_store` cannot do.

use std::error::Error;
use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object_store::ClientOptions;
use object_store::azure::{AzureCredential, AzureCredentialProvider};
use object_store::client::{HttpClient, HttpConnector as _, HttpRequestBody};
use url::Url;

use super::connect::WhenNeeded;
use crate::outside::{Clock as _, SystemClock};

/// The version of the storage API that this room speaks.
const API_VERSION: &str = "2023-11-03";

/// The container that holds all documents.
pub(super) struct Container {
    url: Url,
    account: String,
    /// The account key; without one, the credentials give tokens.
    key: Option<hmac::Key>,
    credentials: AzureCredentialProvider,
    client: HttpClient,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Container {
    /// The container `name` below the blob endpoint of an account.
    pub(super) fn new(
        endpoint: &str,
        name: &str,
        account: &str,
        key: Option<&str>,
        credentials: AzureCredentialProvider,
        options: ClientOptions,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let url = format!("{endpoint}/{name}?restype=container").parse()?;
        let key = match key {
            Some(key) => Some(hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key)?)),
            None => None,
        };
        let client = WhenNeeded.connect(&options)?;
        Ok(Self { url, account: account.to_owned(), key, credentials, client })
    }

    /// Makes the container. One that is there already counts as made.
    ///
    /// <https://learn.microsoft.com/rest/api/storageservices/create-container>
    pub(super) async fn create(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let date = SystemClock.now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let authorization = match (&self.key, &*self.credentials.get_credential().await?) {
            (Some(key), _) => self.shared_key(key, &date),
            (None, AzureCredential::BearerToken(token)) => format!("Bearer {token}"),
            (None, _) => return Err("the storage account has neither a key nor an identity".into()),
        };
        let mut authorization = http::HeaderValue::try_from(authorization)?;
        authorization.set_sensitive(true);
        let request = http::Request::put(self.url.as_str())
            .header("x-ms-date", &date)
            .header("x-ms-version", API_VERSION)
            .header(http::header::CONTENT_LENGTH, 0)
            .header(http::header::AUTHORIZATION, authorization)
            .body(HttpRequestBody::empty())?;
        let answer = self.client.execute(request).await?;
        match answer.status() {
            status if status.is_success() || status == http::StatusCode::CONFLICT => Ok(()),
            status => Err(format!(
                "the container {} is missing and could not be made: the storage account answered {status}",
                self.url.path()
            )
            .into()),
        }
    }

    /// <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>, for a request without a body.
    fn shared_key(&self, key: &hmac::Key, date: &str) -> String {
        let empty_headers = "\n".repeat(12);
        let (account, path) = (&self.account, self.url.path());
        let text = format!(
            "PUT{empty_headers}x-ms-date:{date}\nx-ms-version:{API_VERSION}\n/{account}{path}\nrestype:container"
        );
        format!("SharedKey {account}:{}", STANDARD.encode(hmac::sign(key, text.as_bytes())))
    }
}
