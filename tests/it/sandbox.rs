//! The simulated Azure keeps to the references.
