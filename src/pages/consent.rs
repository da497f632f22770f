//! The two pages of an onboarding that goes well: the choice, and what came of it.

use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use warp::http::StatusCode;
use warp::reply::Response;

use super::commands;
use super::layout::{Page, Tone, View, answer, href};
use super::{messages, ways};
use crate::consent::{Choice, Choices, Elsewhere, Entry, GrantRefusal, Granted, Outcome, Standing};
use crate::model::{AccessTier, ManagementGroupId, Scope, SubscriptionAccess};

/// The page on which the person chooses. `notice`: what was wrong with the form that he sent.
pub(super) fn choose(view: &View<'_>, choices: &Choices, notice: Option<&str>) -> Response {
    let (app, text, partner) = (view.app, &view.text.choose, view.partner());
    let more = &view.text.ways.list;
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
        @if choices.stepped_up { p.alert { (more.stepped_up) } }
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
            input type="hidden" name="shownSearch" value=(choices.shown.search);
            input type="hidden" name="shownPage" value=(choices.shown.page + 1);
            fieldset id="subscriptions" {
                legend { h2 { (text.subscriptions) } }
                (find(view, choices))
                @if choices.choices.is_empty() { p.soft { ((more.nothing_found)(&choices.shown.search)) } }
                @else { ul.rows { @for choice in &choices.choices { li { (row(view, choice)) } } } }
                (leaf(view, choices))
                @if choices.incomplete { p.alert { (text.incomplete) } }
            }
            (tiers(view, choices))
            (groups(view, choices))
            div.actions {
                button type="submit" name="action" value="grant" { ((text.grant)(partner)) }
                span.soft { (text.or_close) }
            }
        }
        (lacking(view, choices))
        (elsewhere(view, &choices.entry, &choices.elsewhere))
        (ways::link(view, &choices.entry))
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

/// From this many subscriptions on, people search.
const SEARCHED_FROM: usize = 10;

/// The search, first in the form: the Enter key in its field presses the first button. And ticks for everything that matches.
fn find(view: &View<'_>, choices: &Choices) -> Markup {
    let (text, more) = (&view.text.choose, &view.text.ways.list);
    html! {
        @if choices.total >= SEARCHED_FROM {
            div.find {
                label for="q" { (more.search) }
                input.wide type="search" id="q" name="q" value=(choices.shown.search) autocomplete="off";
                button.plain type="submit" name="action" value="search" { (more.search_button) }
            }
        }
        @if choices.matching > 1 {
            div.actions {
                button.plain type="submit" name="action" value="all" { ((text.tick_all)(choices.matching)) }
                button.plain type="submit" name="action" value="none" { (more.tick_none) }
                span.soft { ((more.ticked)(choices.ticked, choices.total)) }
            }
        }
    }
}

/// The way to the other pages of the list.
fn leaf(view: &View<'_>, choices: &Choices) -> Markup {
    html! {
        @if choices.pages > 1 {
            div.actions {
                @for page in 0..choices.pages {
                    @let here = page == choices.shown.page;
                    button.plain type="submit" name="action" value={ "page:" (page + 1) } disabled[here]
                        aria-current=[here.then_some("page")] { ((view.text.ways.list.page)(page + 1)) }
                }
            }
        }
    }
}

/// What can be granted beyond the base, each with what it gives.
fn tiers(view: &View<'_>, choices: &Choices) -> Markup {
    let more = &view.text.ways.list;
    html! {
        fieldset {
            legend { h2 { (more.tiers) } }
            ul.rows {
                @for tier in AccessTier::OPTIONAL {
                    @let (name, what) = (more.tier)(tier);
                    li {
                        label.row {
                            input type="checkbox" name="tier" value=(tier.word()) checked[choices.tiers.contains(&tier)];
                            span { b { (name) } span.soft { " " (what) } }
                        }
                    }
                }
            }
        }
    }
}

/// A management group instead of single subscriptions.
fn groups(view: &View<'_>, choices: &Choices) -> Markup {
    let more = &view.text.ways.list;
    let chosen = |id: &ManagementGroupId| choices.group.as_ref() == Some(id);
    html! {
        @if let Some(groups) = &choices.groups {
            @let listed = groups.iter().any(|group| chosen(&group.id));
            details open[choices.group.is_some()] {
                summary { (more.group) }
                p { (more.group_what) }
                @if !groups.is_empty() {
                    label for="group" { (more.group_choose) }
                    select id="group" name="group" {
                        option value="" { (more.no_group) }
                        @for group in groups {
                            option value=(group.id) selected[chosen(&group.id)] { (group.name) " (" (group.id) ")" }
                        }
                    }
                }
                label for="otherGroup" { (if groups.is_empty() { more.group_id } else { more.group_other }) }
                input.wide type="text" id="otherGroup" name="otherGroup" autocomplete="off"
                    value=[choices.group.as_ref().filter(|_| !listed)];
            }
        }
    }
}

/// What somebody else can grant with one command each.
fn lacking(view: &View<'_>, choices: &Choices) -> Markup {
    /// More lines than anybody pastes.
    const SHOWN: usize = 20;
    let offers: Vec<_> = choices.choices.iter().map(|choice| &choice.offer).collect();
    let lacking = offers.into_iter().filter(|offer| offer.standing == Standing::NoRight).take(SHOWN);
    let lines: Vec<_> = lacking.map(|offer| commands::grant(choices.principal, choices.client_id, &offer.id)).collect();
    html! {
        @if !lines.is_empty() {
            details {
                summary { (view.text.ways.list.no_right_here) }
                (commands::block(&lines.join("\n")))
                p { a href=(mail(view, &choices.entry, &lines.join("\n"))) { (view.text.ways.mail.link) } }
            }
        }
    }
}

/// A mail with the same link and the commands, for the person's own mail program.
pub(super) fn mail(view: &View<'_>, entry: &Entry, lines: &str) -> String {
    let (text, partner) = (&view.text.ways.mail, view.partner());
    let link = view.app.settings.public_url(&entry.start_path());
    commands::mail(&(text.subject)(partner), &(text.body)(partner, &link, lines))
}

/// The other tenants of the same person, each with the way to it.
pub(super) fn elsewhere(view: &View<'_>, entry: &Entry, elsewhere: &[Elsewhere]) -> Markup {
    let more = &view.text.ways.list;
    html! {
        @if !elsewhere.is_empty() {
            details {
                summary { (more.elsewhere) }
                p { (more.elsewhere_what) }
                ul {
                    @for one in elsewhere {
                        li {
                            a href=(href(view.app, &entry.at(one.tenant).start_path())) {
                                @match &one.name { Some(name) => (name), None => (one.tenant) }
                            }
                            " " span.id { (one.tenant) }
                        }
                    }
                }
            }
        }
    }
}

fn row(view: &View<'_>, choice: &Choice) -> Markup {
    let text = &view.text.choose;
    let offer = &choice.offer;
    let name = html! { span { b { (offer.name) } span.id { (offer.id) } } };
    html! {
        @match &offer.standing {
            Standing::Offered => label.row {
                input type="checkbox" name="subscription" value=(offer.id) checked[choice.ticked];
                (name)
                @if offer.overdue { span.chip.warning { (view.text.ways.list.overdue) } }
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
    let group_refused = granted.group.as_ref().is_some_and(|group| group.result.is_err());
    let missing = granted.outcomes.len() - made + usize::from(group_refused);
    // A management group may have been granted that has no subscription yet.
    let group_only = granted.group.as_ref().filter(|group| made == 0 && group.result.is_ok());
    let waiting = granted
        .outcomes
        .iter()
        .any(|outcome| outcome.result.as_ref().is_ok_and(|access| access.access == SubscriptionAccess::Propagating));
    let body = html! {
        p.lead { @if made > 0 || group_only.is_some() { ((text.made)(partner)) } @else { (text.none_made) } }
        @if waiting { p.alert { ((text.waiting)(partner)) } }
        h2 { ((text.subscriptions)(granted.tenant_name.as_deref())) }
        (group(view, granted))
        @if !granted.outcomes.is_empty() {
            ul.rows { @for outcome in &granted.outcomes { li { (result(view, granted, outcome)) } } }
        }
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
        (receipt_link(view))
        details {
            summary { (view.text.frame.take_back) }
            (commands::block(&commands::take_back(Some(granted.principal))))
        }
        p.reference { (view.text.frame.reference) " " code { (reference) } }
    };
    let tone = match (made, missing) {
        (0, _) if group_only.is_none() => Tone::Bad,
        (_, 0) => Tone::Good,
        _ => Tone::Warning,
    };
    let title = match group_only {
        Some(group) => (view.text.ways.list.group_title)(partner, &group.id.to_string()),
        None => (text.title)(partner, made, missing),
    };
    answer(view, Page { status: status(granted), title: &title, tone, body })
}

/// The way to what was granted, for whoever signs in.
pub(super) fn receipt_link(view: &View<'_>) -> Markup {
    html! { p { a href=(href(view.app, "/api/consent/start?purpose=receipt")) { (view.text.visit.receipt_title) } } }
}

/// 200 when anything was granted; else what the first refusal means.
fn status(granted: &Granted) -> StatusCode {
    if granted.outcomes.iter().any(|outcome| outcome.result.is_ok()) {
        return StatusCode::OK;
    }
    let of_group = granted.group.as_ref().map(|group| group.result.as_ref().err());
    let refusal = match of_group {
        Some(None) => return StatusCode::OK,
        Some(refusal) => refusal,
        None => granted.outcomes.iter().find_map(|outcome| outcome.result.as_ref().err()),
    };
    match refusal {
        Some(
            GrantRefusal::NoRight
            | GrantRefusal::SecondFactor { .. }
            | GrantRefusal::SecondFactorMissing
            | GrantRefusal::Condition
            | GrantRefusal::Denied
            | GrantRefusal::Policy { .. }
            | GrantRefusal::SignInEnded,
        ) => StatusCode::FORBIDDEN,
        Some(GrantRefusal::LimitReached | GrantRefusal::Disabled | GrantRefusal::Locked) => StatusCode::CONFLICT,
        Some(GrantRefusal::Gone) => StatusCode::GONE,
        Some(GrantRefusal::PrincipalUnknown | GrantRefusal::Unavailable) => StatusCode::SERVICE_UNAVAILABLE,
        Some(GrantRefusal::Other { .. }) | None => StatusCode::BAD_GATEWAY,
    }
}

/// What came of the management group.
fn group(view: &View<'_>, granted: &Granted) -> Markup {
    let more = &view.text.ways.list;
    html! {
        @if let Some(group) = &granted.group {
            @let id = group.id.to_string();
            @match &group.result {
                Ok(assignment) => {
                    p { ((more.group_granted)(&id)) }
                    p { small { (view.text.granted.role_assignment) " " code { (assignment.rsplit('/').next().unwrap_or_default()) } } }
                    @if granted.outcomes.is_empty() { p.alert { (more.group_empty) } }
                }
                Err(refusal) => {
                    p.alert { ((more.group_refused)(&id)) }
                    p { ((view.text.granted.why)(refusal)) }
                    @if hand_over(refusal) {
                        @let scope = Scope::ManagementGroup(group.id.clone()).to_string();
                        (commands::block(&commands::grant_at(Some(granted.principal), granted.client_id, &scope)))
                    }
                }
            }
        }
    }
}

fn result(view: &View<'_>, granted: &Granted, outcome: &Outcome) -> Markup {
    let (text, more) = (&view.text.granted, &view.text.ways.list);
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
                @for (tier, made) in &access.tiers {
                    @match made {
                        Ok(_) => p { ((more.tier_made)(*tier)) },
                        Err(refusal) => p { ((more.tier_not_made)(*tier)) " " ((text.why)(refusal)) },
                    }
                }
                @if granted.unregistered.contains(&outcome.id) {
                    p { (more.unregistered) }
                    (commands::block(&commands::register(&outcome.id)))
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
    matches!(
        refusal,
        GrantRefusal::NoRight
            | GrantRefusal::SecondFactor { claims: None }
            | GrantRefusal::SecondFactorMissing
            | GrantRefusal::Condition
    )
}
