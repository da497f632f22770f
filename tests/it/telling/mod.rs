//! Who is told of what: routes, timing, reminders, and what people say about incidents.

mod docs;
mod facts;
mod incidents;
mod laws;
mod plan;
mod reminders;
mod routes;
