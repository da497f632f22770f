//! The pages of an onboarding that does not go on: what happened, what to do next, and a reference that is also in the log.

use maud::{Markup, html};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::commands;
use super::consent::{elsewhere, mail, receipt_link};
use super::layout::{Page, Tone, View, answer, href};
use super::messages::{SignInAdvice, Told};
use super::{reference, ways};
use crate::azure::{self, EntraRefusal, IdTokenFault};
use crate::consent::{Entry, Error, Failure, InviteFault, NoRight, Offer, Way};

/// One refusal: its words, and how it is answered.
struct Refusal {
    status: StatusCode,
    told: Told,
    /// What it is about, between what happened and what to do.
    detail: Option<Markup>,
    /// Whether to offer the same way in once more.
    again: bool,
    retry_after: Option<u64>,
    /// From where the other ways in are offered, where one of them helps.
    ways: Option<Entry>,
}

impl Refusal {
    fn new(status: StatusCode, told: Told) -> Self {
        Self { status, told, detail: None, again: true, retry_after: None, ways: None }
    }

    fn final_(self) -> Self {
        Self { again: false, ..self }
    }

    fn about(self, detail: Markup) -> Self {
        Self { detail: Some(detail), ..self }
    }

    fn later(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }
}

/// The page of a failure. Logs it, once, under its reference.
pub(super) fn refuse(view: &View<'_>, failure: &Failure) -> Response {
    let mut refusal = refusal(view, &failure.error, failure.entry.as_ref());
    refusal.ways = helps(&failure.error).then(|| failure.entry.clone().unwrap_or_default());
    let reference = reference(view.app);
    log(&failure.error, refusal.status, &reference);
    let again = failure.entry.as_ref().filter(|_| refusal.again).map(|entry| entry.start_path());
    // After our own failure, or a step done twice, something may have been granted.
    let nothing_granted = !matches!(failure.error, Error::Store(_) | Error::Internal(_) | Error::Used);
    page(view, refusal, again, nothing_granted, &reference)
}

/// The page of a request that none of our own pages makes.
pub(super) fn turn_away(view: &View<'_>, status: StatusCode, told: Told) -> Response {
    let reference = reference(view.app);
    let title = &told.title;
    if status.is_server_error() {
        tracing::error!(reference, status = status.as_u16(), title, "a request failed");
    } else {
        tracing::info!(reference, status = status.as_u16(), title, "a request was turned away");
    }
    page(view, Refusal::new(status, told), None, status.is_client_error(), &reference)
}

fn page(view: &View<'_>, refusal: Refusal, again: Option<String>, nothing_granted: bool, reference: &str) -> Response {
    let (text, Refusal { status, told, .. }) = (&view.text.refused, &refusal);
    let body = html! {
        p.lead { (told.what) }
        @if let Some(detail) = &refusal.detail { (detail) }
        h2 { (text.what_now) }
        (told.next)
        @if let Some(path) = again {
            div.actions { a.button href=(href(view.app, &path)) { (text.sign_in_again) } }
        }
        @if let Some(entry) = &refusal.ways {
            p { a href=(href(view.app, &entry.by(Way::Admin).start_path())) { ((view.text.ways.admin)(view.partner()).link) } }
            (ways::link(view, entry))
        }
        p.reference {
            @if nothing_granted { (text.nothing_granted) " " }
            ((text.help)(view.partner(), reference))
        }
    };
    let tone = if status.is_server_error() { Tone::Bad } else { Tone::Warning };
    let mut response = answer(view, Page { status: *status, title: &told.title, tone, body });
    if let Some(seconds) = refusal.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn log(error: &Error, status: StatusCode, reference: &str) {
    let mut causes = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        causes.push_str(&format!(": {found}"));
        cause = found.source();
    }
    if status.is_server_error() {
        tracing::error!(reference, status = status.as_u16(), "onboarding does not go on: {error}{causes}");
    } else {
        tracing::info!(reference, status = status.as_u16(), "onboarding does not go on: {error}{causes}");
    }
}

fn refusal(view: &View<'_>, error: &Error, entry: Option<&Entry>) -> Refusal {
    let (text, partner) = (&view.text.refused, view.partner());
    match error {
        Error::Invite(fault) => {
            let refusal = Refusal::new(StatusCode::FORBIDDEN, (text.invite)(partner, *fault)).final_();
            match fault {
                // Mostly it is whoever used it, who opens his link once more.
                InviteFault::Used => refusal.about(receipt_link(view)),
                _ => refusal,
            }
        }
        Error::BadParameter(name) => Refusal::new(StatusCode::BAD_REQUEST, (text.link)(partner, Some(name))).final_(),
        Error::RepeatedParameter => Refusal::new(StatusCode::BAD_REQUEST, (text.link)(partner, None)).final_(),
        Error::UnknownDomain => Refusal::new(StatusCode::BAD_REQUEST, (text.unknown_domain)()).final_(),
        Error::LinkOfTwoTenants => Refusal::new(StatusCode::BAD_REQUEST, (text.two_tenants)(partner)).final_(),
        Error::NoSession => Refusal::new(StatusCode::BAD_REQUEST, (text.session_ended)(partner)),
        Error::Expired => Refusal::new(StatusCode::GONE, (text.session_ended)(partner)),
        Error::Tampered => Refusal::new(StatusCode::BAD_REQUEST, (text.tampered)(partner)),
        Error::Used => Refusal::new(StatusCode::CONFLICT, (text.used)()),
        Error::StateMismatch => Refusal::new(StatusCode::BAD_REQUEST, (text.foreign_answer)(partner)),
        Error::NotACustomer => Refusal::new(StatusCode::NOT_FOUND, (view.text.visit.not_a_customer)(partner)),
        Error::Cancelled => Refusal::new(StatusCode::FORBIDDEN, (text.cancelled)()),
        Error::ApprovalNeeded => {
            Refusal::new(StatusCode::FORBIDDEN, (text.approval)(view.app.settings.identity.client_id))
        }
        Error::SignInRefused(refusal) => {
            let told = (text.sign_in_refused)(partner, &named(refusal), advice(refusal));
            Refusal::new(StatusCode::FORBIDDEN, told)
        }
        Error::IdToken(IdTokenFault::PersonalAccount) => Refusal::new(StatusCode::FORBIDDEN, (text.personal_account)()),
        Error::IdToken(IdTokenFault::Tenant) | Error::InviteOfOtherTenant => {
            Refusal::new(StatusCode::FORBIDDEN, (text.other_tenant)())
        }
        Error::IdToken(_) => Refusal::new(StatusCode::BAD_GATEWAY, (text.id_token)()),
        Error::NoSubscriptions { unusable, foreign, elsewhere: others } => {
            let told = (text.no_subscriptions)(!unusable.is_empty(), *foreign);
            let entry = entry.cloned().unwrap_or_default();
            Refusal::new(StatusCode::FORBIDDEN, told).about(html! {
                @if !unusable.is_empty() { (list(view, unusable)) }
                (elsewhere(view, &entry, others))
            })
        }
        Error::GroupNotInvited => Refusal::new(StatusCode::FORBIDDEN, (text.group_not_invited)(partner)),
        Error::NoPartnerPrincipal => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, (text.no_partner_principal)(partner))
        }
        Error::NoRight(no_right) => not_allowed(view, no_right),
        Error::Csrf => Refusal::new(StatusCode::FORBIDDEN, (text.csrf)(partner)),
        Error::BadForm => Refusal::new(StatusCode::BAD_REQUEST, (text.bad_form)(partner)),
        Error::NothingChosen => Refusal::new(StatusCode::BAD_REQUEST, (text.nothing_chosen)()),
        Error::NotOffered => Refusal::new(StatusCode::BAD_REQUEST, (text.not_offered)()),
        Error::PrincipalSpreading => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, (text.spreading)()).later(120),
        Error::Azure(azure::Error::Throttled { retry_after }) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, (text.busy)())
                .later(retry_after.map_or(120, |wait| wait.as_secs().max(1)))
        }
        Error::Azure(azure::Error::TokenRefused(refusal)) if refusal.is_about_our_credential() => ours(view),
        Error::Azure(azure::Error::Credential { .. }) => ours(view),
        Error::Azure(_) => Refusal::new(StatusCode::BAD_GATEWAY, (text.azure)()),
        Error::Principal(_) | Error::Store(_) | Error::NoSessionKey | Error::Internal(_) => ours(view),
    }
}

/// True when another way in may lead where this one ended: an administrator, or the command line.
fn helps(error: &Error) -> bool {
    matches!(
        error,
        Error::Cancelled
            | Error::ApprovalNeeded
            | Error::SignInRefused(_)
            | Error::NoSubscriptions { .. }
            | Error::NoRight(_)
            | Error::PrincipalSpreading
            | Error::NoPartnerPrincipal
    )
}

fn ours(view: &View<'_>) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, (view.text.refused.ours)(view.partner()))
}

/// What Entra named: its numbers, else its word.
fn named(refusal: &EntraRefusal) -> String {
    let numbers: Vec<_> = refusal.codes.iter().map(|code| format!("AADSTS{code}")).collect();
    if numbers.is_empty() { refusal.error.clone() } else { numbers.join(", ") }
}

/// What helps against a refusal, by its numbers (section 2.6).
fn advice(refusal: &EntraRefusal) -> SignInAdvice {
    let any = |codes: &[u32]| refusal.codes.iter().any(|code| codes.contains(code));
    if any(&[50_105]) {
        SignInAdvice::Assignment
    } else if any(&[7_000_112]) {
        SignInAdvice::Disabled
    } else if any(&[50_020, 50_034, 51_004, 16_003, 50_014]) {
        SignInAdvice::UnknownAccount
    } else if any(&[53_000, 53_001, 53_002, 53_003, 53_004, 530_032, 50_131, 50_158, 50_097, 50_129]) {
        SignInAdvice::Policy
    } else if any(&[50_072, 50_074, 50_076, 50_078, 50_079]) {
        SignInAdvice::SecondFactor
    } else if any(&[500_021, 500_022, 500_212, 500_213]) {
        SignInAdvice::TenantRestriction
    } else if any(&[500_208, 90_072]) {
        SignInAdvice::WrongAccount
    } else if any(&[50_055, 50_057, 50_126, 50_053]) {
        SignInAdvice::Account
    } else if any(&[700_016, 7_000_229]) {
        SignInAdvice::NotThere
    } else if any(&[90_002, 50_128, 50_059, 90_019, 90_038, 900_382, 900_432, 1_000_104]) {
        SignInAdvice::UnknownTenant
    } else if any(&[650_052, 500_011]) {
        SignInAdvice::NoAzure
    } else if any(&[50_196]) {
        SignInAdvice::Wait
    } else {
        SignInAdvice::Again
    }
}

fn list(view: &View<'_>, offers: &[Offer]) -> Markup {
    html! {
        ul.rows {
            @for offer in offers {
                li { div.row.plain {
                    span { b { (offer.name) } span.id { (offer.id) } }
                    span.chip { ((view.text.choose.why_not)(&offer.standing)) }
                } }
            }
        }
    }
}

fn not_allowed(view: &View<'_>, no_right: &NoRight) -> Refusal {
    /// More lines than anybody pastes.
    const SHOWN: usize = 20;
    let NoRight { person, principal, offers, entry, .. } = no_right;
    let client_id = view.app.settings.identity.client_id;
    let lines = offers.iter().take(SHOWN).map(|offer| commands::grant(*principal, client_id, &offer.id));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let mail = mail(view, entry, &lines);
    Refusal::new(StatusCode::FORBIDDEN, (view.text.refused.no_right)(person, &lines)).about(html! {
        (list(view, offers))
        p { a href=(mail) { (view.text.ways.mail.link) } }
    })
}
