//! Mirrors of Azure's documents, private to this room. All fields may be missing; unknown fields are ignored and unknown
//! words kept.

pub(crate) mod activity;
pub(crate) mod emerging;
pub(crate) mod fast;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod lenient;
pub(crate) mod logs;
pub(crate) mod roles;
pub(crate) mod split;
pub(crate) mod subscriptions;

#[cfg(test)]
mod identity_examples;
