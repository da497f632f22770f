//! Who is told of what: routes, timing, reminders, and what people say about incidents.

mod delivery;
mod docs;
mod due_laws;
mod facts;
mod incidents;
mod laws;
mod log;
mod plan;
mod reminders;
mod routes;
