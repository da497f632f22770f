//! Behaviour, through the public surface.

mod diff_laws;
mod onboarding;
mod onboarding_attacks;
mod onboarding_refusals;
mod sandbox;
mod support;
mod tokens;
