//! The two pages of an onboarding that goes well: the choice, and what came of it.

use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use warp::http::StatusCode;
use warp::reply::Response;

use super::commands;
use super::layout::{Page, Tone, answer, href};
use crate::app::App;
use crate::azure::SubscriptionState;
use crate::consent::{Choice, Choices, GrantRefusal, Granted, Outcome, Standing};
use crate::model::SubscriptionAccess;

/// The page on which the person chooses. `notice`: what was wrong with the form that he sent.
pub(super) fn choose(app: &App, choices: &Choices, notice: Option<&str>) -> Response {
    let partner = &app.settings.partner_name;
    let offered = choices.choices.iter().filter(|choice| choice.offer.standing == Standing::Offered).count();
    let unticked = choices.choices.iter().any(|choice| choice.offer.standing == Standing::Offered && !choice.ticked);
    let body = html! {
        p.lead {
            "You are signed in as " strong { (choices.person) } " in "
            (tenant(choices.tenant_name.as_deref(), &choices.tenant.to_string())) "."
        }
        p.soft {
            "Nothing has been granted yet. "
            a href=(href(app, &choices.entry.start_path())) { "Use another account" }
        }
        @if let Some(notice) = notice { p.alert role="alert" { (notice) } }
        @if let Some(id) = choices.not_seen {
            p.alert {
                "The link you followed is about the subscription " code { (id) } ", which this account does not see in this "
                "organisation. You can choose others, or use another account."
            }
        }
        h2 { "What you grant" }
        dl {
            div { dt { "To whom" } dd { strong { (partner) } ", through its application" } }
            div { dt { "Application" } dd { code { (choices.client_id) } " " small { "(client id)" } } }
            div { dt { "In your tenant" } dd {
                @match choices.principal {
                    Some(principal) => { code { (principal) } " " small { "(service principal)" } }
                    None => small { "The service principal is being created; it is shown when you have granted." },
                }
            } }
            div { dt { "Role" } dd {
                strong { "Reader" } ", on each whole subscription that you tick. It can see resources, settings and their "
                "health. It cannot change anything, and it cannot read keys, passwords or the data inside your resources."
            } }
            div { dt { "For how long" } dd { "Until you take it back." } }
            div { dt { "Your sign-in" } dd {
                "Serves for this page only: to list your subscriptions and to make the role assignments that you confirm. "
                "It is dropped right after, at the latest at " (choices.expires_at.format("%H:%M")) " UTC, and never stored openly."
            } }
        }
        form method="post" action=(href(app, "/api/consent/grant")) {
            input type="hidden" name="csrf" value=(choices.csrf.expose_secret());
            fieldset {
                legend { "Your subscriptions" }
                @if offered > 1 && unticked {
                    p { a href=(href(app, "/api/consent/callback?step=choose&all=1")) { "Tick all " (offered) } }
                }
                ul.rows { @for choice in &choices.choices { li { (row(choice)) } } }
                @if choices.incomplete {
                    p.alert { "Azure did not give the whole list. If one is missing here, sign in again later." }
                }
            }
            div.actions { button type="submit" { "Grant Reader to " (partner) } span.soft { "or close this page to grant nothing" } }
        }
        details {
            summary { "How to take it back" }
            p {
                "In the Azure portal: Subscriptions, the subscription, Access control (IAM), Role assignments; remove the "
                "application's Reader role. Deleting the application under Enterprise applications in Microsoft Entra ends all "
                "access at once. Or with the Azure CLI:"
            }
            pre { code { (commands::take_back(choices.principal)) } }
        }
    };
    let status = if notice.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let title = format!("Let {partner} watch the health of your Azure subscriptions");
    answer(app, Page { status, title: &title, tone: Tone::Neutral, body })
}

fn tenant(name: Option<&str>, id: &str) -> Markup {
    html! {
        @match name {
            Some(name) => { strong { (name) } " (" span.id { (id) } ")" }
            None => { "the organisation " span.id { (id) } }
        }
    }
}

fn row(choice: &Choice) -> Markup {
    let offer = &choice.offer;
    let name = html! { span { b { (offer.name) } span.id { (offer.id) } } };
    html! {
        @match &offer.standing {
            Standing::Offered => label.row {
                input type="checkbox" name="subscription" value=(offer.id) checked[choice.ticked];
                (name)
            },
            standing => div.row.off {
                input type="checkbox" disabled aria-label=(offer.name);
                (name)
                span.chip { (why_not(standing)) }
            },
        }
    }
}

/// Why a subscription cannot be chosen, in a few words.
pub(super) fn why_not(standing: &Standing) -> &'static str {
    match standing {
        Standing::Offered => "Can be chosen",
        Standing::NoRight => "You may not assign roles here",
        Standing::NotUsable(SubscriptionState::Disabled) => "Disabled",
        Standing::NotUsable(SubscriptionState::Deleted) => "Deleted",
        Standing::NotUsable(_) => "Not in a usable state",
    }
}

/// The page that says what came of the grant.
pub(super) fn granted(app: &App, granted: &Granted, reference: &str) -> Response {
    let partner = &app.settings.partner_name;
    let made = granted.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let missing = granted.outcomes.len() - made;
    let waiting = granted
        .outcomes
        .iter()
        .any(|outcome| outcome.result.as_ref().is_ok_and(|access| access.access == SubscriptionAccess::Propagating));
    let title = match (made, missing) {
        (0, _) => "Nothing was granted".to_owned(),
        (1, 0) => format!("Done: {partner} now watches your subscription"),
        (made, 0) => format!("Done: {partner} now watches {made} subscriptions"),
        (made, missing) => format!("{made} of {} subscriptions granted", made + missing),
    };
    let body = html! {
        p.lead {
            @if made > 0 {
                "Reader was granted to the application of " (partner) ". Your own sign-in has been dropped; you can close this page."
            } @else {
                "Azure refused each role assignment. Your own sign-in has been dropped, and nothing was changed."
            }
        }
        @if waiting {
            p.alert {
                "Azure can take up to ten minutes until a new role works everywhere. There is nothing for you to do: "
                (partner) " begins to read as soon as Azure lets it."
            }
        }
        h2 { "Subscriptions of " (granted.tenant_name.as_deref().unwrap_or("your organisation")) }
        ul.rows { @for outcome in &granted.outcomes { li { (result(granted, outcome)) } } }
        @if let Some(onward) = &granted.step_up {
            h2 { "One more step" }
            p {
                "Your organisation asks for multi-factor authentication before roles may be assigned. Sign in with it, then "
                "confirm the remaining subscriptions once more."
            }
            div.actions { a.button href=(onward.location) { "Sign in with multi-factor authentication" } }
        }
        h2 { "Receipt" }
        dl {
            div { dt { "Organisation" } dd.id { (granted.tenant) } }
            div { dt { "Application" } dd.id { (granted.client_id) } }
            div { dt { "Service principal" } dd.id { (granted.principal) } }
        }
        details {
            summary { "How to take it back" }
            pre { code { (commands::take_back(Some(granted.principal))) } }
        }
        p.reference { "Reference " code { (reference) } }
    };
    let tone = match (made, missing) {
        (0, _) => Tone::Bad,
        (_, 0) => Tone::Good,
        _ => Tone::Warning,
    };
    answer(app, Page { status: status(granted), title: &title, tone, body })
}

/// 200 when anything was granted; else what the first refusal means.
fn status(granted: &Granted) -> StatusCode {
    if granted.outcomes.iter().any(|outcome| outcome.result.is_ok()) {
        return StatusCode::OK;
    }
    match granted.outcomes.iter().find_map(|outcome| outcome.result.as_ref().err()) {
        Some(GrantRefusal::NoRight | GrantRefusal::SecondFactor { .. } | GrantRefusal::Policy) => StatusCode::FORBIDDEN,
        Some(GrantRefusal::LimitReached | GrantRefusal::ReadOnly) => StatusCode::CONFLICT,
        Some(GrantRefusal::PrincipalUnknown | GrantRefusal::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        Some(GrantRefusal::Other { .. }) | None => StatusCode::BAD_GATEWAY,
    }
}

fn result(granted: &Granted, outcome: &Outcome) -> Markup {
    let (tone, word) = match &outcome.result {
        Ok(access) if access.access == SubscriptionAccess::Active => ("good", "Active"),
        Ok(_) => ("warning", "Granted, waiting for Azure"),
        Err(_) => ("bad", "Not granted"),
    };
    html! {
        div.row.plain {
            span { b { (outcome.name) } span.id { (outcome.id) } }
            span class={ "chip " (tone) } { (word) }
        }
        @match &outcome.result {
            Ok(access) => div.note {
                small { @if access.adopted { "It was granted before; nothing was doubled. " } "Role assignment " code { (access.role_assignment_id.rsplit('/').next().unwrap_or_default()) } }
            },
            Err(refusal) => div.note {
                (reason(refusal))
                @if hand_over(refusal) { pre { code { (commands::grant(Some(granted.principal), granted.client_id, &outcome.id)) } } }
            },
        }
    }
}

/// True when somebody else can make the assignment with one command.
fn hand_over(refusal: &GrantRefusal) -> bool {
    matches!(refusal, GrantRefusal::NoRight | GrantRefusal::SecondFactor { claims: None })
}

fn reason(refusal: &GrantRefusal) -> Markup {
    html! {
        p {
            @match refusal {
                GrantRefusal::NoRight => {
                    "You may not assign roles on this subscription, or only under conditions. An Owner, User Access Administrator "
                    "or Role Based Access Control Administrator can sign in with the same link, or run:"
                }
                GrantRefusal::SecondFactor { claims: Some(_) } => "Azure asks for multi-factor authentication first; see below.",
                GrantRefusal::SecondFactor { claims: None } => {
                    "Azure refused the change, most likely because it asks for multi-factor authentication. Sign in with it, "
                    "or let somebody who has it run:"
                }
                GrantRefusal::Policy => {
                    "A policy of your organisation forbids this role assignment. Whoever manages Azure Policy in your "
                    "organisation can see it in the subscription's activity log and make an exception."
                }
                GrantRefusal::PrincipalUnknown => {
                    "Microsoft's directory does not know the new application everywhere yet. Wait some minutes, then follow "
                    "your link and sign in again."
                }
                GrantRefusal::LimitReached => {
                    "The subscription has as many role assignments as Azure allows (4000). Remove some that nobody needs, then "
                    "sign in again."
                }
                GrantRefusal::ReadOnly => {
                    "The subscription is disabled, or a lock forbids changes. Lift that, then sign in again."
                }
                GrantRefusal::Unavailable => "Azure was too busy or could not be reached. Sign in again in some minutes.",
                GrantRefusal::Other { code } => {
                    "Azure refused it" @if !code.is_empty() { " (" code { (code) } ")" } ". Please send us the reference below."
                }
            }
        }
    }
}
