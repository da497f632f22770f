//! The HTTP clients of a store, made when they are first needed: each reads the CA certificates of the system, which takes longer
//! than all else between the start of a process and its first answer. What can go wrong there has gone wrong with
//! [`http_client`](crate::outside::http_client) before.

use std::sync::OnceLock;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Connects when the first request is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct WhenNeeded;

impl HttpConnector for WhenNeeded {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Late { options: options.clone(), client: OnceLock::new() }))
    }
}

#[derive(Debug)]
struct Late {
    options: ClientOptions,
    client: OnceLock<HttpClient>,
}

#[async_trait]
impl HttpService for Late {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let client = ReqwestConnector::default().connect(&self.options);
                let client = client.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
                self.client.get_or_init(|| client)
            }
        };
        client.execute(request).await
    }
}
