//! What a program with an identity of its own does: users, mail, logs, metrics.

mod commands;
mod logs;
mod mail;
mod metrics;
mod parameters;
mod patience;
mod users;
