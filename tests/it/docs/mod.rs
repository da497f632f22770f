//! The documentation is what the program does.

mod openapi;
mod shape;
