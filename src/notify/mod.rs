//! Telling people: transitions become notices by routes, notices wait in the outbox, channels deliver them.

pub mod channel;
pub mod dead_man;
