//! Behaviour, through the public surface.

mod diff_laws;
mod functions_contract;
mod layout;
mod sandbox;
mod standalone;
mod support;
