//! The pages of an onboarding that does not go on: what happened, what to do next, and a reference that is also in the log.

use maud::{Markup, html};
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::commands;
use super::consent::why_not;
use super::layout::{Page, Tone, answer, href};
use crate::app::App;
use crate::azure::{self, EntraRefusal, IdTokenFault};
use crate::consent::{Error, Failure, InviteFault, NoRight, Offer};

/// The words of one refusal.
struct Words {
    status: StatusCode,
    title: &'static str,
    what: Markup,
    /// What it is about, between the two.
    detail: Option<Markup>,
    next: Markup,
    /// Whether to offer the same way in once more.
    again: bool,
    retry_after: Option<u64>,
}

impl Words {
    fn new(status: StatusCode, title: &'static str, what: Markup, next: Markup) -> Self {
        Self { status, title, what, detail: None, next, again: true, retry_after: None }
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
pub(super) fn refuse(app: &App, failure: &Failure, reference: &str) -> Response {
    let partner = &app.settings.partner_name;
    let words = words(app, &failure.error);
    log(&failure.error, words.status, reference);
    let again = failure.entry.as_ref().filter(|_| words.again);
    let body = html! {
        p.lead { (words.what) }
        @if let Some(detail) = &words.detail { (detail) }
        h2 { "What to do now" }
        (words.next)
        @if let Some(entry) = again {
            div.actions { a.button href=(href(app, &entry.start_path())) { "Sign in again" } }
        }
        p.reference {
            // After our own failure, or a step done twice, something may have been granted.
            @if !matches!(failure.error, Error::Store(_) | Error::Internal(_) | Error::Used) { "Nothing was granted in this step. " }
            "If you need help, give " (partner) " the reference " code { (reference) } "."
        }
    };
    let tone = if words.status.is_server_error() { Tone::Bad } else { Tone::Warning };
    let mut response = answer(app, Page { status: words.status, title: words.title, tone, body });
    if let Some(seconds) = words.retry_after {
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

fn words(app: &App, error: &Error) -> Words {
    let partner = &app.settings.partner_name;
    let link = || html! { p { "Open the link that " (partner) " gave you once more and sign in from there." } };
    match error {
        Error::Invite(fault) => invite(partner, *fault),
        Error::BadParameter(_) | Error::RepeatedParameter => Words::new(
            StatusCode::BAD_REQUEST,
            "This link is not complete",
            html! {
                @if let Error::BadParameter(name) = error {
                    "The part " code { (name) } " of the link is not what it should be."
                } @else {
                    "A part of the link is in it twice."
                }
            },
            html! { p { "Copy the whole link that " (partner) " gave you, without line breaks, and open it again." } },
        )
        .final_(),
        Error::UnknownDomain => Words::new(
            StatusCode::BAD_REQUEST,
            "No organisation has this domain",
            html! { "Microsoft Entra knows no organisation with the domain in the link." },
            html! { p { "Check the domain for a typing error. It must be one that your organisation has verified in Microsoft Entra." } },
        )
        .final_(),
        Error::LinkOfTwoTenants => Words::new(
            StatusCode::BAD_REQUEST,
            "The link is about two organisations",
            html! { "The subscription in the link belongs to another organisation than the rest of the link." },
            html! { p { "Ask " (partner) " for a link for the organisation that owns the subscription." } },
        )
        .final_(),
        Error::NoSession | Error::Expired => Words::new(
            if matches!(error, Error::Expired) { StatusCode::GONE } else { StatusCode::BAD_REQUEST },
            "Your sign-in has ended",
            html! {
                "For your safety a sign-in serves for ten minutes and in one browser only. This one is over, or it began in "
                "another browser."
            },
            html! { (link()) p.soft { "If it happens again at once, allow cookies for this site." } },
        ),
        Error::Tampered => Words::new(
            StatusCode::BAD_REQUEST,
            "Your sign-in cannot be read",
            html! { "What your browser sent with this step was altered, or it is not from us." },
            link(),
        ),
        Error::Used => Words::new(
            StatusCode::CONFLICT,
            "This step was done before",
            html! { "Each step of a sign-in serves once. This happens after going back, reloading, or sending a form twice." },
            html! { p { "If you saw what was granted, all is done. Else open your link once more; nothing is ever granted twice." } },
        ),
        Error::StateMismatch => Words::new(
            StatusCode::BAD_REQUEST,
            "This sign-in did not begin here",
            html! { "What came back from Microsoft does not belong to a sign-in that this browser began." },
            html! { (link()) p.soft { "Do not follow sign-in links that somebody else began." } },
        ),
        Error::Cancelled => Words::new(
            StatusCode::FORBIDDEN,
            "The sign-in was cancelled",
            html! { "You went back, declined, or left the page that asks for an administrator's approval." },
            html! {
                p { "To go on, sign in again and accept. The application asks to act in Azure in your name once, to make the role "
                    "assignment that you then confirm." }
                p { "If Microsoft said that an administrator must approve: send your link to an administrator of your organisation, who "
                    "can do all of this in your place." }
            },
        ),
        Error::ApprovalNeeded => Words::new(
            StatusCode::FORBIDDEN,
            "An administrator must approve first",
            html! { "Your organisation lets only administrators allow new applications." },
            html! {
                p { "Send your link to a Cloud Application Administrator, Application Administrator or Global Administrator of your "
                    "organisation. Whoever signs in with it as one can tick " strong { "Consent on behalf of your organization" } "; "
                    "then sign in again yourself, or let the administrator go on, who may also assign roles in Azure." }
                p { "Or an administrator adds the application (client id " code { (app.settings.identity.client_id) }
                    ") on the command line:" }
                pre { code { "az ad sp create --id " (app.settings.identity.client_id) } }
            },
        ),
        Error::SignInRefused(refusal) => sign_in_refused(partner, refusal),
        Error::IdToken(IdTokenFault::PersonalAccount) => Words::new(
            StatusCode::FORBIDDEN,
            "A personal account cannot be used",
            html! { "You signed in with a personal Microsoft account. Subscriptions are granted by an organisation." },
            html! { p { "Sign in with your work or school account." } },
        ),
        Error::IdToken(IdTokenFault::Tenant) | Error::InviteOfOtherTenant => Words::new(
            StatusCode::FORBIDDEN,
            "This account is of another organisation",
            html! { "The link is for another organisation than the one you signed in to." },
            html! { p { "Sign in with an account of the organisation that the link is for." } },
        ),
        Error::IdToken(_) => Words::new(
            StatusCode::BAD_GATEWAY,
            "The sign-in could not be trusted",
            html! { "What Microsoft's sign-in sent us did not pass our checks, so we did not go on." },
            html! { p { "Sign in again. If it happens again, check that the clock of your computer is right and tell us the reference." } },
        ),
        Error::NoSubscriptions { unusable, foreign } => no_subscriptions(unusable, *foreign),
        Error::NoRight(no_right) => not_allowed(app, no_right),
        Error::Csrf => Words::new(
            StatusCode::FORBIDDEN,
            "The form is not from this page",
            html! { "The form that was sent does not belong to the sign-in in this browser, so nothing was done." },
            link(),
        ),
        Error::BadForm => Words::new(
            StatusCode::BAD_REQUEST,
            "The form cannot be read",
            html! { "The form that was sent is not the one of our page." },
            link(),
        ),
        Error::NothingChosen => Words::new(
            StatusCode::BAD_REQUEST,
            "No subscription was chosen",
            html! { "The form was sent without a subscription." },
            html! { p { "Go back and tick at least one." } },
        ),
        Error::NotOffered => Words::new(
            StatusCode::BAD_REQUEST,
            "That subscription was not on offer",
            html! { "The form named a subscription that the page did not offer to you, so nothing was done." },
            html! { p { "Go back and choose from the list." } },
        ),
        Error::PrincipalSpreading => Words::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Microsoft is still setting up",
            html! { "The application is new in your organisation, and Microsoft Entra does not know it on every server yet." },
            html! { p { "Wait two minutes, then sign in again. Your approval stands." } },
        )
        .later(120),
        Error::Azure(azure::Error::Throttled { retry_after }) => Words::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Azure is busy",
            html! { "Azure asked us to slow down." },
            html! { p { "Wait a few minutes, then sign in again." } },
        )
        .later(retry_after.map_or(120, |wait| wait.as_secs().max(1))),
        Error::Azure(azure::Error::TokenRefused(refusal)) if refusal.is_about_our_credential() => ours(partner),
        Error::Azure(_) => Words::new(
            StatusCode::BAD_GATEWAY,
            "Azure did not answer as it should",
            html! { "Azure could not be reached, or gave an answer that we cannot use." },
            html! { p { "Wait a few minutes, then sign in again. Microsoft's own state is shown at " code { "azure.status.microsoft" } "." } },
        ),
        Error::Principal(_) | Error::Store(_) | Error::NoSessionKey | Error::Internal(_) => ours(partner),
    }
}

fn ours(partner: &str) -> Words {
    Words::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something is wrong on our side",
        html! { "We could not finish this step. It is not your fault, and it has been noted." },
        html! { p { "Try again later, or tell " (partner) " the reference below. If a role was assigned already, it is adopted the "
        "next time; nothing is doubled." } },
    )
}

fn invite(partner: &str, fault: InviteFault) -> Words {
    let (title, what) = match fault {
        InviteFault::Missing => {
            ("You need an invitation", "Only invited customers can connect here, and the link holds no invitation.")
        }
        InviteFault::Unknown => ("This invitation is not known", "The invitation in the link does not exist."),
        InviteFault::Expired => ("This invitation has expired", "The time of this invitation is over."),
        InviteFault::Withdrawn => {
            ("This invitation was withdrawn", "Whoever sent you the invitation has taken it back.")
        }
        InviteFault::InUse => (
            "This invitation is being used",
            "Somebody is granting access with this invitation right now, in another browser. It serves once.",
        ),
        InviteFault::Used => ("This invitation was used", "Each invitation serves once, and this one has served."),
    };
    let next =
        html! { p { "Ask " (partner) " for a new invitation. If you have a link, check that you copied all of it." } };
    Words::new(StatusCode::FORBIDDEN, title, html! { (what) }, next).final_()
}

fn sign_in_refused(partner: &str, refusal: &EntraRefusal) -> Words {
    let any = |codes: &[u32]| refusal.codes.iter().any(|code| codes.contains(code));
    let next = if any(&[50_105]) {
        "Your organisation allows this application to assigned people only. Ask an administrator to assign you under Enterprise applications."
    } else if any(&[7_000_112]) {
        "The application is disabled in your organisation. Ask an administrator to enable it under Enterprise applications."
    } else if any(&[50_020, 50_034, 51_004, 16_003, 50_014]) {
        "The account is not known in this organisation. Use another account, or ask to be invited as a guest."
    } else if any(&[53_000, 53_001, 53_002, 53_003, 53_004, 530_032, 50_131, 50_158, 50_097, 50_129]) {
        "A policy of your organisation (Conditional Access) does not let you in from here. Use a managed device, or ask your IT."
    } else if any(&[50_072, 50_074, 50_076, 50_078, 50_079]) {
        "Multi-factor authentication is needed. Sign in again and complete it."
    } else if any(&[500_021, 500_022, 500_212, 500_213]) {
        "Your organisation restricts access to other organisations' applications. Ask your IT to allow it."
    } else {
        "Sign in again. If it happens again, tell us the reference."
    };
    Words::new(
        StatusCode::FORBIDDEN,
        "Microsoft refused the sign-in",
        html! {
            "Microsoft Entra ended the sign-in"
            @for code in &refusal.codes { " (AADSTS" (code) ")" }
            @if refusal.codes.is_empty() && !refusal.error.is_empty() { " (" (refusal.error) ")" }
            "."
        },
        html! { p { (next) } p.soft { (partner) " never sees your password." } },
    )
}

fn no_subscriptions(unusable: &[Offer], foreign: usize) -> Words {
    Words::new(
        StatusCode::FORBIDDEN,
        "There is no subscription to grant",
        html! {
            @if unusable.is_empty() {
                "With this account you see no Azure subscription of this organisation."
            } @else {
                "None of the subscriptions that you see can be used now."
            }
        },
        html! {
            p { "Sign in with an account that is Owner of a subscription of this organisation. If your role is one that must be activated "
                "first (Privileged Identity Management), activate it and sign in again." }
            @if foreign > 0 {
                p { "You also see " (foreign) " of other organisations; those are granted by signing in to their own organisation." }
            }
        },
    )
    .about(html! { @if !unusable.is_empty() { (list(unusable)) } })
}

fn list(offers: &[Offer]) -> Markup {
    html! {
        ul.rows {
            @for offer in offers {
                li { div.row.plain { span { b { (offer.name) } span.id { (offer.id) } } span.chip { (why_not(&offer.standing)) } } }
            }
        }
    }
}

fn not_allowed(app: &App, no_right: &NoRight) -> Words {
    /// More lines than anybody pastes.
    const SHOWN: usize = 20;
    let NoRight { person, principal, offers, .. } = no_right;
    let client_id = app.settings.identity.client_id;
    let lines = offers.iter().take(SHOWN).map(|offer| commands::grant(*principal, client_id, &offer.id));
    let lines = lines.collect::<Vec<_>>().join("\n");
    Words::new(
        StatusCode::FORBIDDEN,
        "You may not grant this",
        html! { "You are signed in as " strong { (person) } ". This account sees subscriptions, but may not assign roles on any of them." },
        html! {
            p { strong { "Activate your role. " } "If you are eligible for Owner or User Access Administrator (Privileged Identity Management), "
                "activate it and sign in again. A Global Administrator first has to elevate access in Azure." }
            p { strong { "Let somebody else sign in. " } "Send your link to an Owner, User Access Administrator or Role Based Access Control "
                "Administrator of the subscription." }
            p { strong { "Use the command line. " } "Somebody who may assign roles can run this, and then sign in with your link so that we "
                "know of it:" }
            pre { code { (lines) } }
        },
    )
    .about(list(offers))
}
