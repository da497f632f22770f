//! The pages of the simulated sign-in, which a person can click through.

use maud::{DOCTYPE, Markup, html};

use super::tenants::User;
use super::world::World;

const STYLE: &str = "\
:root{color-scheme:light dark;--bg:#f2f2f2;--card:#fff;--ink:#1b1b1b;--soft:#5c5c5c;--line:#d0d0d0;--tint:#f5f5f5;--mark:#8a4b00}\
@media (prefers-color-scheme:dark){:root{--bg:#111;--card:#1f1f1f;--ink:#eee;--soft:#b3b3b3;--line:#444;--tint:#2a2a2a;--mark:#f0b05a}}\
*{box-sizing:border-box}\
body{font:16px/1.5 system-ui,sans-serif;background:var(--bg);margin:0;color:var(--ink);overflow-wrap:anywhere}\
main{max-width:30rem;margin:3rem auto;background:var(--card);padding:2.25rem;box-shadow:0 2px 6px #0003}\
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0 1rem}small{color:var(--soft)}\
fieldset{border:0;padding:0;margin:0 0 1rem;min-width:0}\
legend{padding:0;font-weight:600}.tenant{margin:.9rem 0 .2rem;color:var(--soft);font-size:.875rem}\
label{display:grid;grid-template-columns:auto 1fr;gap:0 .7rem;align-items:center;padding:.5rem .7rem;\
border:1px solid var(--line);cursor:pointer}\
label+label{border-top:0}label:hover{background:var(--tint)}label small{display:block}\
.actions{display:flex;flex-wrap:wrap;gap:.5rem;justify-content:flex-end;margin-top:1.5rem}\
button{font:inherit;padding:.4rem 1.6rem;border:1px solid var(--soft);background:var(--tint);color:inherit;cursor:pointer}\
button.main{background:#0067b8;border-color:#0067b8;color:#fff}\
:focus-visible{outline:3px solid #4a9eea;outline-offset:2px}\
.mark{margin:0;font-size:.8rem;letter-spacing:.05em;color:var(--mark)}\
@media (max-width:32rem){main{margin:0;padding:1.5rem 1.1rem;min-height:100vh;box-shadow:none}}";

fn page(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (STYLE) }
            }
            body { main { p.mark { "SANDBOX: this is not Microsoft's sign-in" } (content) } }
        }
    }
    .into_string()
}

/// What a sign-in asks for.
pub(super) struct Asks<'a> {
    /// To act at Resource Manager, and not only who somebody is.
    pub manager: bool,
    /// Who is expected.
    pub hint: Option<&'a str>,
}

/// Choose who you are, see what the application asks for, accept or cancel.
pub(super) fn sign_in(world: &World, users: &[&User], asks: &Asks<'_>, action: &str) -> String {
    let application = &world.application;
    let hinted = |user: &User| asks.hint.is_some_and(|hint| hint.eq_ignore_ascii_case(&user.upn));
    let tenant = |user: &User| world.tenants.get(&user.tenant).map_or("", |tenant| tenant.display_name.as_str());
    let mut users = users.to_vec();
    users.sort_by_key(|user| (tenant(user), user.display_name.as_str()));
    let checked = users.iter().position(|user| hinted(user)).unwrap_or_default();
    page(
        "Sign in",
        &html! {
            h1 { "Permissions requested" }
            p { strong { (application.display_name) } br; small { (application.publisher) } }
            p { "This application would like to:" }
            ul {
                @if asks.manager { li { "Access Azure Resource Manager as you (user_impersonation)" } }
                li { "View your basic profile" }
            }
            form method="post" action=(action) {
                fieldset {
                    legend { "Sign in as" }
                    @for (index, user) in users.iter().enumerate() {
                        @if index == 0 || tenant(users[index - 1]) != tenant(user) { p.tenant { (tenant(user)) } }
                        label {
                            input type="radio" name="user" value=(user.upn) required checked[index == checked];
                            span { (user.display_name) " " small { (user.upn) @if user.guest { ", guest" } } }
                        }
                    }
                    @if users.is_empty() { p { "Nobody is known in this tenant." } }
                }
                label {
                    input type="checkbox" name="organization" value="yes";
                    span { "Consent on behalf of your organization (administrators only)" }
                }
                div.actions {
                    button type="submit" name="action" value="cancel" formnovalidate { "Cancel" }
                    button.main type="submit" name="action" value="accept" { "Accept" }
                }
            }
        },
    )
}

/// An administrator consents for everybody, or does not.
pub(super) fn admin_consent(world: &World, users: &[&User], action: &str) -> String {
    let application = &world.application;
    page(
        "Permissions requested",
        &html! {
            h1 { "Permissions requested: review for your organization" }
            p { strong { (application.display_name) } br; small { (application.publisher) } }
            ul { li { "Access Azure Resource Manager as organization users (user_impersonation)" } }
            form method="post" action=(action) {
                fieldset {
                    legend { "Sign in as" }
                    @for (index, user) in users.iter().enumerate() {
                        label {
                            input type="radio" name="user" value=(user.upn) required checked[index == 0];
                            " " (user.display_name) " " small { (user.upn) @if user.admin { ", administrator" } }
                        }
                    }
                }
                div.actions {
                    button type="submit" name="action" value="cancel" formnovalidate { "Cancel" }
                    button.main type="submit" name="action" value="accept" { "Accept" }
                }
            }
        },
    )
}

/// The user may not consent; leaving the page tells the application that access was denied.
pub(super) fn admin_needed(world: &World, user: &User, action: &str) -> String {
    let application = &world.application;
    page(
        "Need admin approval",
        &html! {
            h1 { "Need admin approval" }
            p { strong { (application.display_name) } br; small { (application.publisher) } }
            p {
                (application.display_name) " needs permission to access resources in your organization that only an admin can "
                "grant. Please ask an admin to grant permission to this app before you can use it."
            }
            p { small { "Signed in as " (user.upn) ". AADSTS90094" } }
            p { a href=(action) { "Have an admin account? Sign in with that account" } }
            form method="post" action=(action) {
                div.actions {
                    button type="submit" name="action" value="cancel" {
                        "Return to the application without granting consent"
                    }
                }
            }
        },
    )
}

/// Entra's own refusal: nothing goes back to the application.
pub(super) fn refused(code: u32, text: &str) -> String {
    page(
        "Sign in",
        &html! {
            h1 { "Sorry, but we’re having trouble signing you in." }
            p { "AADSTS" (code) ": " (text) }
        },
    )
}

/// `response_mode=form_post`: a form that sends itself.
pub(super) fn form_post(target: &str, fields: &[(String, String)]) -> String {
    page(
        "Working...",
        &html! {
            form method="post" action=(target) {
                @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
                div.actions { button.main type="submit" { "Continue" } }
            }
            script { "document.forms[0].submit()" }
        },
    )
}
