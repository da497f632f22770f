//! How work arrives: the Functions host, AWS Lambda, or this process's own timer and queues. What is done is the same.

#[cfg(feature = "lambda")]
pub mod aws;
mod body;
mod callers;
mod front;
pub mod functions;
pub mod gate;
#[cfg(feature = "lambda")]
pub mod lambda;
mod queue;
#[cfg(feature = "lambda")]
pub mod sqs;
pub mod standalone;
pub mod work;
