//! The words of all pages: one struct, one value of it per language. A language that lacks a text does not compile.
//!
//! A text with something put into it is a function: what goes in has a type, plurals are the language's own affair, and
//! `html!` escapes. To add a language: copy `english.rs`, translate it, and name it in [`Language`](super::language::Language).

mod english;
mod german;
mod visit;
mod ways;

use maud::Markup;

use crate::azure::SubscriptionState;
use crate::consent::{GrantRefusal, InviteFault, Standing};
use crate::model::{ClientId, SubscriptionId};

pub(super) use english::ENGLISH;
pub(super) use german::GERMAN;
pub(super) use ways::{Way, Ways};

/// A text with one name, id or other text in it.
type With<T> = fn(&str) -> T;

/// Everything that pages say in one language.
pub(super) struct Messages {
    pub frame: Frame,
    pub choose: Choose,
    pub granted: Granted,
    pub refused: Refused,
    pub visit: visit::Visit,
    pub ways: Ways,
}

/// What is around every page.
pub(super) struct Frame {
    /// What the partner does here, beside his name.
    pub purpose: &'static str,
    /// For who does not see the page: what the first link does.
    pub skip: &'static str,
    /// For who does not see the page: what the links to other languages are.
    pub languages: &'static str,
    pub take_back: &'static str,
    pub reference: &'static str,
    pub problem: &'static str,
}

/// The page of the choice.
pub(super) struct Choose {
    /// Partner.
    pub title: With<String>,
    /// Person, tenant.
    pub signed_in: fn(&str, &Markup) -> Markup,
    /// A tenant whose name is not known, by its id.
    pub tenant: With<Markup>,
    pub nothing_yet: &'static str,
    pub other_account: &'static str,
    pub tick_one: &'static str,
    pub not_seen: fn(SubscriptionId) -> Markup,
    pub what: &'static str,
    pub to_whom: &'static str,
    /// Partner.
    pub through: With<Markup>,
    pub application: &'static str,
    pub client_id: &'static str,
    pub in_tenant: &'static str,
    pub service_principal: &'static str,
    pub principal_later: &'static str,
    pub role: &'static str,
    pub reader: fn() -> Markup,
    pub how_long: &'static str,
    pub until: &'static str,
    pub sign_in: &'static str,
    /// The time of day at which the session ends.
    pub sign_in_use: With<String>,
    pub subscriptions: &'static str,
    pub tick_all: fn(usize) -> String,
    pub incomplete: &'static str,
    /// Partner.
    pub grant: With<String>,
    pub or_close: &'static str,
    pub how_back: &'static str,
    pub why_not: fn(&Standing) -> &'static str,
}

/// The page of what came of it.
pub(super) struct Granted {
    /// Partner, how many were granted, how many were not.
    pub title: fn(&str, usize, usize) -> String,
    /// Partner.
    pub made: With<String>,
    pub none_made: &'static str,
    /// Partner.
    pub waiting: With<String>,
    /// The tenant's name, where it is known.
    pub subscriptions: fn(Option<&str>) -> String,
    pub one_more: &'static str,
    pub second_factor: &'static str,
    pub second_factor_button: &'static str,
    pub receipt: &'static str,
    pub tenant: &'static str,
    pub application: &'static str,
    pub service_principal: &'static str,
    pub active: &'static str,
    pub pending: &'static str,
    pub not_granted: &'static str,
    pub adopted: &'static str,
    pub role_assignment: &'static str,
    pub why: fn(&GrantRefusal) -> Markup,
}

/// The pages of what does not go on.
pub(super) struct Refused {
    pub what_now: &'static str,
    pub sign_in_again: &'static str,
    pub nothing_granted: &'static str,
    /// Partner, reference.
    pub help: fn(&str, &str) -> Markup,
    /// Partner, fault.
    pub invite: fn(&str, InviteFault) -> Told,
    /// Partner, and the part of the link that is wrong; None: a part is in it twice.
    pub link: fn(&str, Option<&str>) -> Told,
    pub unknown_domain: fn() -> Told,
    pub two_tenants: With<Told>,
    pub session_ended: With<Told>,
    pub tampered: With<Told>,
    pub used: fn() -> Told,
    pub foreign_answer: With<Told>,
    pub cancelled: fn() -> Told,
    pub approval: fn(ClientId) -> Told,
    /// Partner, what Entra named, what helps.
    pub sign_in_refused: fn(&str, &str, SignInAdvice) -> Told,
    pub personal_account: fn() -> Told,
    pub other_tenant: fn() -> Told,
    pub id_token: fn() -> Told,
    /// Whether some were seen that cannot be used, and how many of other tenants were seen.
    pub no_subscriptions: fn(bool, usize) -> Told,
    /// Person, command lines.
    pub no_right: fn(&str, &str) -> Told,
    pub group_not_invited: With<Told>,
    pub no_partner_principal: With<Told>,
    pub csrf: With<Told>,
    pub bad_form: With<Told>,
    pub nothing_chosen: fn() -> Told,
    pub not_offered: fn() -> Told,
    pub spreading: fn() -> Told,
    pub busy: fn() -> Told,
    pub azure: fn() -> Told,
    pub ours: With<Told>,
    pub wrong_method: fn() -> Told,
    pub form_too_large: fn() -> Told,
    pub not_found: With<Told>,
    /// How many seconds to wait.
    pub too_many: fn(u64) -> Told,
}

/// One refusal: what it is, what happened, what to do now.
pub(super) struct Told {
    pub title: String,
    pub what: Markup,
    pub next: Markup,
}

impl Told {
    fn new(title: &str, what: Markup, next: Markup) -> Self {
        Self { title: title.to_owned(), what, next }
    }
}

/// What helps against a refusal of Entra.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignInAdvice {
    /// The application is for assigned people only.
    Assignment,
    /// The application is disabled in the tenant.
    Disabled,
    /// The account is not of the tenant.
    UnknownAccount,
    /// Conditional Access.
    Policy,
    /// A second factor.
    SecondFactor,
    /// The tenant restricts foreign applications.
    TenantRestriction,
    /// Nothing known.
    Again,
}

/// The state of a subscription that cannot be used.
fn unusable<'a>(state: &SubscriptionState, disabled: &'a str, deleted: &'a str, other: &'a str) -> &'a str {
    match state {
        SubscriptionState::Disabled => disabled,
        SubscriptionState::Deleted => deleted,
        _ => other,
    }
}
