//! The simulated Azure. To be written.
