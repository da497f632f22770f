//! What the behaviour tests share.

pub mod functions_host;
