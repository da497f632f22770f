//! Behaviour, through the public surface.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod azure_deploy;
mod catalogue;
mod channels;
mod cli;
mod credentials;
mod daemon;
mod deploy_aws;
mod diff_laws;
mod docs;
mod doors;
mod end_to_end;
mod faults;
mod functions_contract;
mod history;
mod infra;
mod invites;
#[cfg(feature = "lambda")]
mod lambda_contract;
#[cfg(feature = "lambda")]
mod lambda_emulator;
mod layout;
mod life_after;
mod lifecycles;
mod metrics;
mod offboarding;
mod onboarding;
mod onboarding_attacks;
mod onboarding_refusals;
mod onboarding_ways;
mod outbox;
mod polling;
mod querying;
mod receipt;
mod register;
mod report_laws;
mod sandbox;
mod scale;
mod silence;
mod sources;
mod standalone;
mod store;
mod support;
mod telling;
mod tokens;
mod traces;
mod web_attacks;
