//! The two pages of an onboarding that goes well: the choice, and what came of it.

use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use warp::http::StatusCode;
use warp::reply::Response;

use super::commands;
use super::layout::{Page, Tone, View, answer, href};
use super::messages;
use crate::consent::{Choice, Choices, GrantRefusal, Granted, Outcome, Standing};
use crate::model::SubscriptionAccess;

/// The page on which the person chooses. `notice`: what was wrong with the form that he sent.
pub(super) fn choose(view: &View<'_>, choices: &Choices, notice: Option<&str>) -> Response {
    let (app, text, partner) = (view.app, &view.text.choose, view.partner());
    let offered = choices.choices.iter().filter(|choice| choice.offer.standing == Standing::Offered).count();
    let unticked = choices.choices.iter().any(|choice| choice.offer.standing == Standing::Offered && !choice.ticked);
    let body = html! {
        @if let Some(notice) = notice {
            // What reads the page aloud begins here, and so does the keyboard.
            div.alert.bad role="alert" tabindex="-1" autofocus {
                p { strong { (view.text.frame.problem) } }
                p { a href="#subscriptions" { (notice) } }
            }
        }
        p.lead { ((text.signed_in)(&choices.person, &tenant(text, choices))) }
        p.soft { (text.nothing_yet) " " a href=(href(app, &choices.entry.start_path())) { (text.other_account) } }
        @if let Some(id) = choices.not_seen { p.alert { ((text.not_seen)(id)) } }
        h2 { (text.what) }
        dl {
            div { dt { (text.to_whom) } dd { ((text.through)(partner)) } }
            div { dt { (text.application) } dd { code { (choices.client_id) } " " small { (text.client_id) } } }
            div { dt { (text.in_tenant) } dd {
                @match choices.principal {
                    Some(principal) => { code { (principal) } " " small { (text.service_principal) } }
                    None => small { (text.principal_later) },
                }
            } }
            div { dt { (text.role) } dd { ((text.reader)()) } }
            div { dt { (text.how_long) } dd { (text.until) } }
            div { dt { (text.sign_in) } dd { ((text.sign_in_use)(&choices.expires_at.format("%H:%M").to_string())) } }
        }
        form method="post" action=(href(app, "/api/consent/grant")) {
            input type="hidden" name="csrf" value=(choices.csrf.expose_secret());
            fieldset id="subscriptions" {
                legend { h2 { (text.subscriptions) } }
                @if offered > 1 && unticked {
                    p { a href=(href(app, "/api/consent/callback?step=choose&all=1")) { ((text.tick_all)(offered)) } }
                }
                ul.rows { @for choice in &choices.choices { li { (row(text, choice)) } } }
                @if choices.incomplete { p.alert { (text.incomplete) } }
            }
            div.actions { button type="submit" { ((text.grant)(partner)) } span.soft { (text.or_close) } }
        }
        details {
            summary { (view.text.frame.take_back) }
            p { (text.how_back) }
            (commands::block(&commands::take_back(choices.principal)))
        }
    };
    let status = if notice.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    answer(view, Page { status, title: &(text.title)(partner), tone: Tone::Neutral, body })
}

fn tenant(text: &messages::Choose, choices: &Choices) -> Markup {
    let id = choices.tenant.to_string();
    match &choices.tenant_name {
        Some(name) => html! { strong { (name) } " (" span.id { (id) } ")" },
        None => (text.tenant)(&id),
    }
}

fn row(text: &messages::Choose, choice: &Choice) -> Markup {
    let offer = &choice.offer;
    let name = html! { span { b { (offer.name) } span.id { (offer.id) } } };
    html! {
        @match &offer.standing {
            Standing::Offered => label.row {
                input type="checkbox" name="subscription" value=(offer.id) checked[choice.ticked];
                (name)
            },
            standing => label.row.off {
                input type="checkbox" disabled;
                (name)
                span.chip { ((text.why_not)(standing)) }
            },
        }
    }
}

/// The page that says what came of the grant.
pub(super) fn granted(view: &View<'_>, granted: &Granted, reference: &str) -> Response {
    let (text, partner) = (&view.text.granted, view.partner());
    let made = granted.outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let missing = granted.outcomes.len() - made;
    let waiting = granted
        .outcomes
        .iter()
        .any(|outcome| outcome.result.as_ref().is_ok_and(|access| access.access == SubscriptionAccess::Propagating));
    let body = html! {
        p.lead { @if made > 0 { ((text.made)(partner)) } @else { (text.none_made) } }
        @if waiting { p.alert { ((text.waiting)(partner)) } }
        h2 { ((text.subscriptions)(granted.tenant_name.as_deref())) }
        ul.rows { @for outcome in &granted.outcomes { li { (result(text, granted, outcome)) } } }
        @if let Some(onward) = &granted.step_up {
            h2 { (text.one_more) }
            p { (text.second_factor) }
            div.actions { a.button href=(onward.location) { (text.second_factor_button) } }
        }
        h2 { (text.receipt) }
        dl {
            div { dt { (text.tenant) } dd.id { (granted.tenant) } }
            div { dt { (text.application) } dd.id { (granted.client_id) } }
            div { dt { (text.service_principal) } dd.id { (granted.principal) } }
        }
        p { a href=(href(view.app, "/api/consent/start?purpose=receipt")) { (view.text.visit.receipt_title) } }
        details {
            summary { (view.text.frame.take_back) }
            (commands::block(&commands::take_back(Some(granted.principal))))
        }
        p.reference { (view.text.frame.reference) " " code { (reference) } }
    };
    let tone = match (made, missing) {
        (0, _) => Tone::Bad,
        (_, 0) => Tone::Good,
        _ => Tone::Warning,
    };
    answer(view, Page { status: status(granted), title: &(text.title)(partner, made, missing), tone, body })
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

fn result(text: &messages::Granted, granted: &Granted, outcome: &Outcome) -> Markup {
    let (tone, word) = match &outcome.result {
        Ok(access) if access.access == SubscriptionAccess::Active => ("good", text.active),
        Ok(_) => ("warning", text.pending),
        Err(_) => ("bad", text.not_granted),
    };
    html! {
        div.row.plain {
            span { b { (outcome.name) } span.id { (outcome.id) } }
            span class={ "chip " (tone) } { (word) }
        }
        @match &outcome.result {
            Ok(access) => div.note {
                small {
                    @if access.adopted { (text.adopted) " " }
                    (text.role_assignment) " "
                    code { (access.role_assignment_id.rsplit('/').next().unwrap_or_default()) }
                }
            },
            Err(refusal) => div.note {
                p { ((text.why)(refusal)) }
                @if hand_over(refusal) { (commands::block(&commands::grant(Some(granted.principal), granted.client_id, &outcome.id))) }
            },
        }
    }
}

/// True when somebody else can make the assignment with one command.
fn hand_over(refusal: &GrantRefusal) -> bool {
    matches!(refusal, GrantRefusal::NoRight | GrantRefusal::SecondFactor { claims: None })
}
