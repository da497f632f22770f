//! A door, to be written.
fn main() {}
