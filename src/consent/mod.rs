//! Onboarding: a customer signs in, chooses subscriptions, and grants Reader on them to our application's own identity.
//!
//! The steps, in order: [`start()`], [`callback()`], [`choices()`], [`grant()`]. Between them everything lives in a sealed session
//! that only the person's browser can open; the person's token is in it for at most ten minutes and gone with the grant.

mod admin;
mod callback;
mod choose;
mod error;
mod form;
mod grant;
pub mod invite;
pub mod lighthouse;
pub mod manual;
mod record;
mod refusal;
mod sealed;
mod session;
mod start;
mod template;
mod verify;
pub mod visit;

pub use admin::{AdminCallback, Consented, admin_callback, consented};
pub use callback::{Answer, Callback, callback};
pub use choose::{Choice, Choices, Shown, browse, choices};
pub use error::{Error, Failure, InviteFault, NoRight};
pub use form::{Action, GrantForm};
pub use grant::{Access, Granted, GrantedGroup, Outcome, TierGrant, grant};
pub use refusal::GrantRefusal;
pub use sealed::prune_sessions;
pub use session::{Elsewhere, Entry, Group, Offer, Purpose, Standing, Way};
pub use start::{StartQuery, Started, start};
pub use template::{Format, Template};

use crate::app::App;

/// Where the browser goes next, and the cookie it takes along.
#[derive(Debug)]
pub struct Onward {
    /// An address, or a path of our own.
    pub location: String,
    /// The cookie's value: a secret.
    pub cookie: secrecy::SecretString,
}

/// The cookie of a ticket.
fn cookie_of(app: &App, ticket: &sealed::Ticket) -> Result<secrecy::SecretString, Error> {
    ticket.cookie(&app.settings.session_keys).map(Into::into).ok_or(Error::NoSessionKey)
}

/// Reads the form fields of a query or body. None: a name came twice, where only one can be meant.
fn fields(text: &str, known: &[&str]) -> Option<Vec<(String, String)>> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        if known.contains(&name.as_ref()) {
            if fields.iter().any(|(seen, _)| *seen == name) {
                return None;
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
    }
    Some(fields)
}
