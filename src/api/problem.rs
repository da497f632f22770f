//! The one way from an error to an answer: problem+json (RFC 9457).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use crate::{life, notify, poll, query, store};

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable name of the kind of problem: `urn:health-monitor:problem:<kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time and what would be right.
    pub detail: String,
    /// More members, by kind.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem of a kind, such as `not-found`.
    pub fn new(status: StatusCode, kind: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:health-monitor:problem:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            more: Map::new(),
        }
    }

    /// Unknown and foreign ids, and unknown routes, give the same answer.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", "There is nothing here, or it is not yours to see.")
    }

    /// A parameter that is not what it must be.
    pub fn invalid(parameter: &str, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid-parameter", "Invalid parameter", detail);
        problem.more.insert("parameter".to_owned(), parameter.into());
        problem
    }

    /// A method that the address does not take.
    pub fn method_not_allowed(method: &Method, allowed: &'static str) -> Self {
        let detail = format!("This address does not take {method}; it takes {allowed}.");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut problem = Self::new(status, "method-not-allowed", "Method not allowed", detail);
        problem.more.insert("allow".to_owned(), allowed.into());
        problem
    }

    /// Something that usually goes away: ask again after this many seconds.
    pub fn unavailable(detail: &str, retry_after_secs: u64) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut problem = Self::new(status, "unavailable", "Unavailable", detail);
        problem.more.insert("retryAfterSeconds".to_owned(), retry_after_secs.into());
        problem
    }

    /// Our own fault; the caller learns nothing of the inside.
    pub fn internal() -> Self {
        let detail = "Something went wrong here. The log has more, under the x-ms-request-id of this answer.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
    }

    /// The answer that carries the problem.
    pub fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/problem+json"));
        let copied = [(header::RETRY_AFTER, "retryAfterSeconds"), (header::ALLOW, "allow")];
        for (name, member) in copied {
            let text = match self.more.get(member) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => continue,
            };
            if let Ok(value) = header::HeaderValue::from_str(&text) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

impl From<query::Error> for Problem {
    fn from(error: query::Error) -> Self {
        match error {
            query::Error::NotFound => Self::not_found(),
            query::Error::Store(error) => error.into(),
            query::Error::Poll(error) => error.into(),
        }
    }
}

impl From<life::Error> for Problem {
    fn from(error: life::Error) -> Self {
        match error {
            life::Error::UnknownCustomer(_) => Self::not_found(),
            life::Error::Store(error) => error.into(),
        }
    }
}

impl From<notify::trial::Error> for Problem {
    fn from(error: notify::trial::Error) -> Self {
        match error {
            notify::trial::Error::NoRoute(_) => Self::not_found(),
            notify::trial::Error::Store(error) => error.into(),
        }
    }
}

impl From<notify::incident::Error> for Problem {
    fn from(error: notify::incident::Error) -> Self {
        match error {
            notify::incident::Error::NotFound(_) => Self::not_found(),
            notify::incident::Error::TooMany => {
                Self::new(StatusCode::CONFLICT, "too-many-notes", "Too many notes", format!("{error}."))
            }
            notify::incident::Error::Store(error) => error.into(),
        }
    }
}

impl From<poll::Error> for Problem {
    fn from(error: poll::Error) -> Self {
        match error {
            poll::Error::UnknownCustomer(_) => Self::not_found(),
            poll::Error::Contended(_) => Self::unavailable("The customer is being polled right now.", 5),
            poll::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
        match error {
            store::Error::AlreadyExists { .. } | store::Error::Conflict { .. } => {
                Self::unavailable("Somebody else was changing the same thing.", 1)
            }
            store::Error::Unavailable { .. } => Self::unavailable("The documents cannot be read right now.", 10),
            store::Error::NewerSchema { .. } | store::Error::Damaged { .. } => Self::internal(),
        }
    }
}
