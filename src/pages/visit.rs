//! The pages of a customer who comes back: his receipt, and taking back what he granted.

use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use warp::http::StatusCode;
use warp::reply::Response;

use super::commands;
use super::layout::{Page, Tone, View, answer, href};
use crate::consent::GrantRefusal;
use crate::consent::visit::{Held, Leaving, Left, Shown};
use crate::query::{Receipt, directory_role_command};

/// The page of what the person came back for. `notice`: what was wrong with the form that he sent.
pub(super) fn visit(view: &View<'_>, shown: &Shown, notice: Option<&str>) -> Response {
    match shown {
        Shown::Receipt { person, receipt } => receipt_page(view, person, receipt),
        Shown::Leaving(found) => leaving(view, found, notice),
    }
}

fn receipt_page(view: &View<'_>, person: &str, receipt: &Receipt) -> Response {
    let text = &view.text.visit;
    let body = html! {
        p.lead { ((text.signed_in)(person, &receipt.tenant_id.to_string())) }
        dl {
            div { dt { (text.application) } dd.id { (receipt.client_id) } }
            @if let Some(principal) = receipt.service_principal_id {
                div { dt { (text.service_principal) } dd.id { (principal) } }
            }
            div { dt { (text.since) } dd { (receipt.onboarded_at.format("%Y-%m-%d %H:%M")) " UTC" } }
            @if let Some(at) = receipt.offboarded_at {
                div { dt { (text.ended) } dd { (at.format("%Y-%m-%d %H:%M")) " UTC" } }
            }
        }
        h2 { (text.tiers) }
        ul.rows {
            @for line in &receipt.tiers {
                li {
                    div.row.plain {
                        span { b { ((text.tier)(line.tier)) } span.id { (line.role) } }
                        @match (line.granted, &line.how) {
                            (true, None) => span.chip.good { (text.granted) },
                            (true, Some(_)) => span.chip.warning { (text.agreed) },
                            (false, _) => span.chip { (text.not_granted) },
                        }
                    }
                    @if line.how.is_some() {
                        div.note {
                            p { (text.admin_must) }
                            (commands::block(&directory_role_command(receipt.service_principal_id)))
                        }
                    }
                }
            }
        }
        h2 { (text.grants) }
        ul.rows {
            @for grant in &receipt.grants {
                li {
                    div.row.plain { span { b { (grant.role) } span.id { (grant.scope) } } }
                    div.note {
                        small { ((text.by)(&grant.granted_by_name, &grant.at.format("%Y-%m-%d %H:%M").to_string())) }
                        small { code { (grant.role_assignment_id) } }
                    }
                }
            }
            @for covered in &receipt.covered {
                li { div.row.plain { span { b { (covered.display_name) } span.id { (covered.subscription_id) } } span.chip { (text.covered) } } }
            }
        }
        h2 { (view.text.frame.take_back) }
        div.actions { a.button href=(href(view.app, "/api/consent/start?purpose=leave")) { (text.take_back_here) } }
        @if !receipt.take_back.commands.is_empty() {
            // Many lines would push away what follows.
            details open[receipt.take_back.commands.len() <= 5] {
                summary { (text.or_commands) }
                (commands::block(&receipt.take_back.commands.join("\n")))
            }
        }
        @if let Some(all) = &receipt.take_back.remove_application {
            p { (text.or_application) }
            (commands::block(all))
        }
    };
    answer(view, Page { status: StatusCode::OK, title: text.receipt_title, tone: Tone::Neutral, body })
}

fn leaving(view: &View<'_>, found: &Leaving, notice: Option<&str>) -> Response {
    let Leaving { person, tenant, held, chosen, incomplete, csrf } = found;
    let (text, partner) = (&view.text.visit, view.partner());
    let body = html! {
        @if let Some(notice) = notice {
            div.alert.bad role="alert" tabindex="-1" autofocus {
                p { strong { (view.text.frame.problem) } }
                p { a href="#subscriptions" { (notice) } }
            }
        }
        p.lead { ((text.signed_in)(person, &tenant.to_string())) }
        @if held.is_empty() {
            p { (text.nothing_held) }
        } @else {
            p { ((text.leave_what)(partner)) }
            form method="post" action=(href(view.app, "/api/consent/grant")) {
                input type="hidden" name="action" value="leave";
                input type="hidden" name="csrf" value=(csrf.expose_secret());
                fieldset id="subscriptions" {
                    legend { h2 { (text.subscriptions) } }
                    ul.rows { @for one in held { li {
                        label.row {
                            input type="checkbox" name="subscription" value=(one.id)
                                checked[chosen.contains(&one.id) || held.len() == 1];
                            span { b { (one.name) } span.id { (one.id) } }
                        }
                        (assignments(view, one))
                    } } }
                    @if *incomplete { p.alert { (text.incomplete) } }
                }
                fieldset {
                    legend { h2 { (text.history) } }
                    label.row { input type="checkbox" name="erase" value="1"; span { ((text.erase)(partner)) } }
                }
                div.actions { button type="submit" { (text.leave_button) } span.soft { (text.or_close) } }
            }
        }
    };
    let status = if notice.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    answer(view, Page { status, title: &(text.leave_title)(partner), tone: Tone::Neutral, body })
}

fn assignments(view: &View<'_>, held: &Held) -> Markup {
    html! {
        div.note {
            @for one in &held.assignments { p { small { (one.role) " " code { (one.id) } } } }
            @if held.assignments.is_empty() { small { (view.text.visit.no_assignment) } }
        }
    }
}

/// The page that says what came of taking back.
pub(super) fn left(view: &View<'_>, left: &Left, reference: &str) -> Response {
    let (text, partner) = (&view.text.visit, view.partner());
    let gone = left.outcomes.iter().filter(|(_, result)| result.is_ok()).count();
    let missing = left.outcomes.len() - gone;
    let body = html! {
        p.lead { ((text.left)(partner, gone, missing)) }
        @if left.erased { p { ((text.erased)(partner)) } }
        ul.rows { @for (held, result) in &left.outcomes { li {
            div.row.plain {
                span { b { (held.name) } span.id { (held.id) } }
                @match result {
                    Ok(()) => span.chip.good { (text.removed) },
                    Err(_) => span.chip.bad { (text.not_removed) },
                }
            }
            @if let Err(refusal) = result {
                div.note {
                    p { @match refusal {
                        GrantRefusal::NoRight => (text.no_right),
                        GrantRefusal::SecondFactor { .. } => (text.second_factor),
                        _ => (text.refused),
                    } }
                    (commands::block(&take_back(held)))
                }
            }
        } } }
        @if let Some(onward) = &left.step_up {
            div.actions { a.button href=(onward.location) { (view.text.granted.second_factor_button) } }
        }
        @if gone > 0 { p.soft { (text.application_stays) } }
        p.reference { (view.text.frame.reference) " " code { (reference) } }
    };
    let (status, tone) = match (gone, missing) {
        (0, _) => (StatusCode::FORBIDDEN, Tone::Bad),
        (_, 0) => (StatusCode::OK, Tone::Good),
        _ => (StatusCode::OK, Tone::Warning),
    };
    let title = if gone > 0 { text.left_title } else { text.left_nothing };
    answer(view, Page { status, title, tone, body })
}

fn take_back(held: &Held) -> String {
    let lines: Vec<_> =
        held.assignments.iter().map(|one| format!("az role assignment delete --ids {}", one.id)).collect();
    lines.join("\n")
}
