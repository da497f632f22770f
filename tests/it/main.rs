//! Behaviour, through the public surface.

mod diff_laws;
mod faults;
mod end_to_end;
mod functions_contract;
mod lambda_contract;
mod infra;
mod layout;
mod onboarding;
mod onboarding_attacks;
mod onboarding_refusals;
mod polling;
mod querying;
mod sandbox;
mod standalone;
mod store;
mod support;
mod tokens;
