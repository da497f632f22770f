//! Where spans go: nowhere, or to an OTLP collector over HTTP.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use secrecy::ExposeSecret as _;
use tokio::runtime::Handle;

use crate::outside::http_client;
use crate::settings::{Otlp, TraceSampler};

/// A collector that does not answer in this time loses the spans: the next batch waits behind it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What makes spans. Without a collector nothing is recorded unless a caller asks for it, and nothing is kept.
pub(super) fn provider(otlp: Option<&Otlp>) -> Result<SdkTracerProvider, Box<dyn std::error::Error + Send + Sync>> {
    let Some(otlp) = otlp else {
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(Resource::builder_empty().build())
            .build());
    };
    let headers: HashMap<String, String> =
        otlp.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { http: http_client()?, runtime: Handle::try_current()? })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(otlp.traces_url())
        .with_headers(headers)
        .with_timeout(TIMEOUT)
        .build()?;
    let mut attributes: Vec<_> =
        otlp.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())).collect();
    attributes.push(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let resource = Resource::builder_empty().with_attributes(attributes).with_service_name(otlp.service_name.clone());
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(sampler(otlp.sampler))
        .with_resource(resource.build())
        .build())
}

fn sampler(sampler: TraceSampler) -> Sampler {
    let by_parent = |root| Sampler::ParentBased(Box::new(root));
    match sampler {
        TraceSampler::AlwaysOn => Sampler::AlwaysOn,
        TraceSampler::AlwaysOff => Sampler::AlwaysOff,
        TraceSampler::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
        TraceSampler::ParentOrAlwaysOn => by_parent(Sampler::AlwaysOn),
        TraceSampler::ParentOrAlwaysOff => by_parent(Sampler::AlwaysOff),
        TraceSampler::ParentOrRatio(ratio) => by_parent(Sampler::TraceIdRatioBased(ratio)),
    }
}

/// The exporter runs on a thread of its own; its requests are made on the runtime that everything else runs on.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let answered = self.runtime.spawn(async move {
            // An export is no part of what is traced.
            let request = reqwest::Request::try_from(request.map(reqwest::Body::from))?;
            let response = http.execute(request).await.map_err(reqwest::Error::without_url)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
            let mut answer = Response::new(body);
            *answer.status_mut() = status;
            *answer.headers_mut() = headers;
            Ok::<_, HttpError>(answer)
        });
        answered.await?
    }
}
