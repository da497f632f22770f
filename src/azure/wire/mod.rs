//! Mirrors of the REST documents that we read, named as Azure names them. Anything may be missing; unknown words are kept.

pub(crate) mod identity;
pub(crate) mod roles;
pub(crate) mod subscriptions;
