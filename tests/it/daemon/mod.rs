//! What a program with an identity of its own does: users, mail, logs, metrics.

mod mail;
mod users;
