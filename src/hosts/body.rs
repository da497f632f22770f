//! Bodies, read whole and only so far, however they are framed.

use futures_util::{Stream, StreamExt as _, pin_mut};
use warp::Buf;
use warp::http::StatusCode;

use crate::api::problem::Problem;

/// The most bytes of a body. A queue message has 64 KiB; in a payload its text is encoded twice, and comes again in the metadata.
/// A form of thousands of subscriptions fits too.
pub(super) const LIMIT: usize = 1024 * 1024;

/// The whole body, or what is wrong with it.
pub(super) async fn collect<B: Buf, E>(body: impl Stream<Item = Result<B, E>>) -> Result<Vec<u8>, Problem> {
    pin_mut!(body);
    let mut bytes = Vec::new();
    while let Some(part) = body.next().await {
        let mut part = part.map_err(|_| {
            Problem::new(StatusCode::BAD_REQUEST, "bad-request", "Bad request", "The body ended too early.")
        })?;
        if bytes.len() + part.remaining() > LIMIT {
            let detail = format!("A body has at most {LIMIT} bytes.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail));
        }
        while part.has_remaining() {
            let chunk = part.chunk();
            bytes.extend_from_slice(chunk);
            let length = chunk.len();
            part.advance(length);
        }
    }
    Ok(bytes)
}
