//! What the behaviour tests share.

pub mod functions_host;
#[cfg(feature = "lambda")]
pub mod lambda;
