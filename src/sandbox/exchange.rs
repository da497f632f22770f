//! One request and its answer, as the sandbox's hosts see them.

use bytes::Bytes;
use serde_json::Value;
use warp::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use warp::reply::Response;

use super::faults::HostKind;

/// A request that came in.
#[derive(Debug)]
pub(super) struct Request {
    pub host: HostKind,
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A parameter of the query, by its name in any case.
    pub(super) fn param(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
    }

    /// The fields of a form in the body.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A value of a form by name.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

const JSON: &str = "application/json; charset=utf-8";

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: vec![("content-type", JSON.to_owned())], body: body.to_string() }
    }

    pub(super) fn text(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    pub(super) fn html(status: u16, body: impl Into<String>) -> Self {
        Self::text(status, "text/html; charset=utf-8", body)
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn redirect(location: impl Into<String>) -> Self {
        Self::empty(302).with("location", location)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn head(&self, response: &mut Response) {
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
    }

    pub(super) fn into_response(mut self) -> Response {
        let mut response = Response::new(std::mem::take(&mut self.body).into());
        self.head(&mut response);
        response
    }

    /// The answer with a body that breaks off: at once (nothing is sent at all) or in the middle.
    pub(super) fn into_broken_response(self, bytes_sent: usize) -> Response {
        let start = Bytes::copy_from_slice(&self.body.as_bytes()[..bytes_sent.min(self.body.len())]);
        let first = (!start.is_empty()).then_some(Ok(start));
        let broken = || std::io::Error::new(std::io::ErrorKind::ConnectionAborted, "ordered fault");
        let sends_something = first.is_some();
        let tail = async move {
            if sends_something {
                // Lets the server send what it has before the connection breaks. Otherwise not even the head goes out.
                tokio::task::yield_now().await;
            }
            Err::<Bytes, _>(broken())
        };
        use futures_util::StreamExt as _;
        let chunks = futures_util::stream::iter(first).chain(futures_util::stream::once(tail));
        // Small enough to make a body of type `Send + Sync` out of a stream that is only `Send`.
        let mut response =
            warp::Reply::into_response(warp::reply::stream(SyncStream(std::sync::Mutex::new(Box::pin(chunks)))));
        self.head(&mut response);
        response
    }
}

type Chunks = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send>>;

struct SyncStream(std::sync::Mutex<Chunks>);

impl futures_util::Stream for SyncStream {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let chunks = this.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        chunks.as_mut().poll_next(cx)
    }
}
