//! Behaviour, through the public surface.

mod sandbox;
mod support;
