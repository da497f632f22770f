//! The jobs of a program that works with an identity of its own, without anybody signed in: users, mail, logs, metrics. What
//! such a job needs beside Azure's answers is here: whose `parameters.json` says who we are, what a refusal means and which
//! permission mends it, and waiting while a fresh permission spreads.

mod caller;
pub mod explain;
pub mod health_metrics;
mod jobs;
mod parameters;
mod patience;
mod sample_file;

pub use caller::{Caller, OpenError};
pub use jobs::{publish, query, send, user, users};
pub use parameters::{Dialect, Parameters, TenantName};
pub use patience::{LONGEST, Patience, Waiting};
