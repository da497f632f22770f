//! Rehearsals of what may go wrong, with the real product over a simulated world in virtual time: a crash at each boundary,
//! destinations that fail, floods. The tests run them small, the command line in full.

pub mod clock;
pub mod cut;
pub mod delivery;
pub mod faults;
mod receiver;
pub mod stage;

pub use receiver::{Received, Receiver, Weather};
