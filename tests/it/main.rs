//! Behaviour, through the public surface.

mod functions_contract;
mod layout;
mod standalone;
mod support;
