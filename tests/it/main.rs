//! Behaviour, through the public surface.

mod diff_laws;
