//! How work arrives: the Functions host, AWS Lambda, or this process's own timer and queues. What is done is the same.

mod front;
pub mod functions;
pub mod gate;
mod queue;
pub mod standalone;
pub mod work;
