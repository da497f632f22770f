//! Behaviour, through the public surface.

mod diff_laws;
mod faults;
mod functions_contract;
mod infra;
mod layout;
mod polling;
mod querying;
mod sandbox;
mod standalone;
mod store;
mod support;
