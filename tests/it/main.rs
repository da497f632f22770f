//! Behaviour, through the public surface.

mod diff_laws;
mod faults;
mod end_to_end;
mod functions_contract;
#[cfg(feature = "lambda")]
mod lambda_contract;
mod infra;
mod layout;
mod polling;
mod querying;
mod sandbox;
mod standalone;
mod store;
mod support;
