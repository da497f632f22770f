//! Telling people: transitions become notices by routes, notices wait in the outbox, channels deliver them.

pub mod channel;
pub(crate) mod documents;
pub mod hours;
pub(crate) mod matching;
pub mod plan;
pub mod remind;
pub mod storm;
pub mod story;
pub mod validate;
