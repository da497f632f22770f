//! Telling people: transitions become notices by routes, notices wait in the outbox, channels deliver them.

mod again;
pub mod channel;
pub(crate) mod documents;
pub mod dry_run;
pub mod hours;
pub mod incident;
pub(crate) mod matching;
pub mod plan;
pub mod remind;
pub mod render;
pub mod storm;
pub mod story;
pub mod trial;
pub mod validate;
