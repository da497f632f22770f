//! English.

use maud::html;

use super::super::commands;
use super::{Choose, Frame, Granted, Messages, Refused, SignInAdvice, Told, unusable};
use crate::consent::{GrantRefusal, InviteFault, Standing};

/// English.
pub(in crate::pages) const ENGLISH: Messages = Messages {
    frame: FRAME,
    choose: CHOOSE,
    granted: GRANTED,
    refused: REFUSED,
    ways: super::ways::ENGLISH,
    visit: super::visit::ENGLISH,
};

const FRAME: Frame = Frame {
    purpose: "Azure health monitoring",
    skip: "Skip to the content",
    languages: "Language",
    take_back: "How to take it back",
    reference: "Reference",
    problem: "There is a problem",
};

const CHOOSE: Choose = Choose {
    title: |partner| format!("Let {partner} watch the health of your Azure subscriptions"),
    signed_in: |person, tenant| html! { "You are signed in as " strong { (person) } " in " (tenant) "." },
    tenant: |id| html! { "the organisation " span.id { (id) } },
    nothing_yet: "Nothing has been granted yet.",
    other_account: "Use another account",
    tick_one: "Please tick at least one subscription.",
    not_seen: |id| {
        html! {
            "The link you followed is about the subscription " code { (id) } ", which this account does not see in this "
            "organisation. You can choose others, or use another account."
        }
    },
    what: "What you grant",
    to_whom: "To whom",
    through: |partner| html! { strong { (partner) } ", through its application" },
    application: "Application",
    client_id: "(client id)",
    in_tenant: "In your tenant",
    service_principal: "(service principal)",
    principal_later: "The service principal is being created; it is shown when you have granted.",
    role: "Role",
    reader: || {
        html! {
            strong { "Reader" } ", on each whole subscription that you tick. It can see resources, settings and their health. "
            "It cannot change anything, and it cannot read keys, passwords or the data inside your resources."
        }
    },
    how_long: "For how long",
    until: "Until you take it back.",
    sign_in: "Your sign-in",
    sign_in_use: |time| {
        format!(
            "Serves for this page only: to list your subscriptions and to make the role assignments that you confirm. It is \
             dropped right after, at the latest at {time} UTC, and never stored openly."
        )
    },
    subscriptions: "Your subscriptions",
    tick_all: |count| format!("Tick all {count}"),
    incomplete: "Azure did not give the whole list. If one is missing here, sign in again later.",
    grant: |partner| format!("Grant Reader to {partner}"),
    or_close: "or close this page to grant nothing",
    how_back: "In the Azure portal: Subscriptions, the subscription, Access control (IAM), Role assignments; remove the \
               application's Reader role. Deleting the application under Enterprise applications in Microsoft Entra ends all \
               access at once. Or with the Azure CLI:",
    why_not: |standing| match standing {
        Standing::Offered => "Can be chosen",
        Standing::NoRight => "You may not assign roles here",
        Standing::NotUsable(state) => unusable(state, "Disabled", "Deleted", "Not in a usable state"),
    },
};

const GRANTED: Granted = Granted {
    title: |partner, made, missing| match (made, missing) {
        (0, _) => "Nothing was granted".to_owned(),
        (1, 0) => format!("Done: {partner} now watches your subscription"),
        (made, 0) => format!("Done: {partner} now watches {made} subscriptions"),
        (made, missing) => format!("{made} of {} subscriptions granted", made + missing),
    },
    made: |partner| {
        format!(
            "Reader was granted to the application of {partner}. Your own sign-in has been dropped; you can close this page."
        )
    },
    none_made: "Azure refused each role assignment. Your own sign-in has been dropped, and nothing was changed.",
    waiting: |partner| {
        format!(
            "Azure can take up to ten minutes until a new role works everywhere. There is nothing for you to do: {partner} \
             begins to read as soon as Azure lets it."
        )
    },
    subscriptions: |tenant| format!("Subscriptions of {}", tenant.unwrap_or("your organisation")),
    one_more: "One more step",
    second_factor: "Your organisation asks for multi-factor authentication before roles may be assigned. Sign in with it, then \
                    confirm the remaining subscriptions once more.",
    second_factor_button: "Sign in with multi-factor authentication",
    receipt: "Receipt",
    tenant: "Organisation",
    application: "Application",
    service_principal: "Service principal",
    active: "Active",
    pending: "Granted, waiting for Azure",
    not_granted: "Not granted",
    adopted: "It was granted before; nothing was doubled.",
    role_assignment: "Role assignment",
    why: |refusal| {
        html! {
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
                GrantRefusal::SecondFactorMissing => {
                    "Azure still asks for multi-factor authentication, though you signed in for it: your account seems to have no "
                    "second factor. Register one at " code { "aka.ms/mfasetup" } " and sign in with your link again, or let somebody "
                    "who has one run:"
                }
                GrantRefusal::Condition => {
                    "You may assign roles on this subscription only under conditions (ABAC), and this assignment does not meet them. "
                    "An Owner or User Access Administrator without conditions can sign in with the same link, or run:"
                }
                GrantRefusal::Denied => {
                    "A deny assignment on this subscription forbids role assignments, whatever your role is. It comes from a managed "
                    "application, a deployment stack or a blueprint; whoever manages that can make an exception."
                }
                GrantRefusal::Policy { names } => {
                    "A policy of your organisation forbids this role assignment"
                    @if !names.is_empty() { " (" (names.join(", ")) ")" } ". Whoever manages Azure Policy in your organisation can "
                    "see it in the subscription's activity log and make an exception."
                }
                GrantRefusal::PrincipalUnknown => {
                    "Microsoft's directory does not know the new application everywhere yet. Wait some minutes, then follow "
                    "your link and sign in again."
                }
                GrantRefusal::LimitReached => {
                    "The subscription has as many role assignments as Azure allows (4000). Remove some that nobody needs, then "
                    "sign in again."
                }
                GrantRefusal::Disabled => {
                    "The subscription is disabled. When its owner has enabled it again, sign in again."
                }
                GrantRefusal::Locked => {
                    "A lock forbids changes. Whoever set it can lift it; then sign in again."
                }
                GrantRefusal::Gone => {
                    "Azure does not know the subscription in this organisation any more: it was deleted or moved. If it was moved, "
                    "sign in to the organisation that it belongs to now."
                }
                GrantRefusal::SignInEnded => "Azure no longer takes your sign-in. Sign in again with your link.",
                GrantRefusal::Unavailable => "Azure was too busy or could not be reached. Sign in again in some minutes.",
                GrantRefusal::Other { code } => {
                    "Azure refused it" @if !code.is_empty() { " (" code { (code) } ")" } ". Please send us the reference below."
                }
            }
        }
    },
};

/// For who goes back to a page that he has left, or loads it anew.
const DONE_IF_SEEN: &str = "If you saw what was granted or taken back, all is done.";

/// What mostly helps.
fn open_link(partner: &str) -> maud::Markup {
    html! { p { "Open the link that " (partner) " gave you once more and sign in from there." } }
}

const REFUSED: Refused = Refused {
    what_now: "What to do now",
    sign_in_again: "Sign in again",
    nothing_granted: "Nothing was granted in this step.",
    help: |partner, reference| {
        html! { "If you need help, give " (partner) " the reference " code { (reference) } "." }
    },
    invite: |partner, fault| {
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
            InviteFault::Used => (
                "This invitation was used",
                "Each invitation serves once, and this one has served. If it was you, all is done. To see it, sign in:",
            ),
        };
        let next = match fault {
            InviteFault::Used => html! {
                p { "If it was not you, or to grant more, ask " (partner) " for a new invitation." }
            },
            _ => html! {
                p { "Ask " (partner) " for a new invitation. If you have a link, check that you copied all of it." }
            },
        };
        Told::new(title, html! { (what) }, next)
    },
    link: |partner, part| {
        Told::new(
            "This link is not complete",
            html! {
                @match part {
                    Some(name) => { "The part " code { (name) } " of the link is not what it should be." }
                    None => "A part of the link is in it twice.",
                }
            },
            html! { p { "Copy the whole link that " (partner) " gave you, without line breaks, and open it again." } },
        )
    },
    unknown_domain: || {
        Told::new(
            "No organisation has this domain",
            html! { "Microsoft Entra knows no organisation with the domain in the link." },
            html! {
                p { "Check the domain for a typing error. It must be one that your organisation has verified in Microsoft Entra." }
            },
        )
    },
    two_tenants: |partner| {
        Told::new(
            "The link is about two organisations",
            html! { "The subscription in the link belongs to another organisation than the rest of the link." },
            html! { p { "Ask " (partner) " for a link for the organisation that owns the subscription." } },
        )
    },
    session_ended: |partner| {
        Told::new(
            "Your sign-in has ended",
            html! {
                "For your safety a sign-in serves for ten minutes and in one browser only. This one is over, or it began in "
                "another browser."
            },
            html! {
                p { (DONE_IF_SEEN) " If not:" }
                (open_link(partner))
                p.soft { "If it happens again at once, allow cookies for this site." }
            },
        )
    },
    tampered: |partner| {
        Told::new(
            "Your sign-in cannot be read",
            html! { "What your browser sent with this step was altered, or it is not from us." },
            open_link(partner),
        )
    },
    used: || {
        Told::new(
            "This step was done before",
            html! { "Each step of a sign-in serves once. This happens after going back, reloading, or sending a form twice." },
            html! {
                p { (DONE_IF_SEEN) " Else open your link once more; nothing is ever granted twice." }
            },
        )
    },
    foreign_answer: |partner| {
        Told::new(
            "This sign-in did not begin here",
            html! { "What came back from Microsoft does not belong to a sign-in that this browser began." },
            html! { (open_link(partner)) p.soft { "Do not follow sign-in links that somebody else began." } },
        )
    },
    cancelled: || {
        Told::new(
            "The sign-in was cancelled",
            html! { "You went back, declined, or left the page that asks for an administrator's approval." },
            html! {
                p { "To go on, sign in again and accept. The application asks to act in Azure in your name once, to make the role "
                    "assignment that you then confirm." }
                p { "If Microsoft said that an administrator must approve: send your link to an administrator of your organisation, "
                    "who can do all of this in your place." }
            },
        )
    },
    approval: |client_id| {
        Told::new(
            "An administrator must approve first",
            html! { "Your organisation lets only administrators allow new applications." },
            html! {
                p { "Send your link to a Cloud Application Administrator, Application Administrator or Global Administrator of your "
                    "organisation. Whoever signs in with it as one can tick "
                    strong { "Consent on behalf of your organization" } "; then sign in again yourself, or let the administrator go "
                    "on, who may also assign roles in Azure." }
                p { "Or an administrator adds the application (client id " code { (client_id) } ") on the command line:" }
                pre { code { "az ad sp create --id " (client_id) } }
            },
        )
    },
    sign_in_refused: |partner, named, advice| {
        let next = match advice {
            SignInAdvice::Assignment => {
                "Your organisation allows this application to assigned people only. Ask an administrator to assign you under \
                 Enterprise applications."
            }
            SignInAdvice::Disabled => {
                "The application is disabled in your organisation. Ask an administrator to enable it under Enterprise applications."
            }
            SignInAdvice::UnknownAccount => {
                "The account is not known in this organisation. Use another account, or ask to be invited as a guest."
            }
            SignInAdvice::Policy => {
                "A policy of your organisation (Conditional Access) does not let you in from here. Use a managed device, or ask \
                 your IT."
            }
            SignInAdvice::SecondFactor => "Multi-factor authentication is needed. Sign in again and complete it.",
            SignInAdvice::TenantRestriction => {
                "Your organisation restricts access to other organisations' applications. Ask your IT to allow it."
            }
            SignInAdvice::WrongAccount => {
                "This kind of account cannot be used here. Sign in with a work or school account of the organisation itself."
            }
            SignInAdvice::Account => {
                "Something is wrong with the password or the account. Ask the IT of your organisation, then sign in again."
            }
            SignInAdvice::NotThere => {
                "The application is not in your organisation, or not everywhere yet. Sign in again in two minutes and accept, or let \
                 an administrator approve it."
            }
            SignInAdvice::UnknownTenant => {
                "Microsoft does not know the organisation of the link, or it is in another Azure cloud. Check the link."
            }
            SignInAdvice::NoAzure => {
                "Azure is not set up in this organisation. Check that you are signing in to the organisation that has the subscriptions."
            }
            SignInAdvice::Wait => "Microsoft was asked too often. Wait some minutes, then sign in again.",
            SignInAdvice::Again => "Sign in again. If it happens again, tell us the reference.",
        };
        Told::new(
            "Microsoft refused the sign-in",
            html! { "Microsoft Entra ended the sign-in" @if !named.is_empty() { " (" (named) ")" } "." },
            html! { p { (next) } p.soft { (partner) " never sees your password." } },
        )
    },
    personal_account: || {
        Told::new(
            "A personal account cannot be used",
            html! { "You signed in with a personal Microsoft account. Subscriptions are granted by an organisation." },
            html! { p { "Sign in with your work or school account." } },
        )
    },
    other_tenant: || {
        Told::new(
            "This account is of another organisation",
            html! { "The link is for another organisation than the one you signed in to." },
            html! { p { "Sign in with an account of the organisation that the link is for." } },
        )
    },
    id_token: || {
        Told::new(
            "The sign-in could not be trusted",
            html! { "What Microsoft's sign-in sent us did not pass our checks, so we did not go on." },
            html! {
                p { "Sign in again. If it happens again, check that the clock of your computer is right and tell us the reference." }
            },
        )
    },
    no_subscriptions: |some_unusable, foreign| {
        Told::new(
            "There is no subscription to grant",
            html! {
                @if some_unusable { "None of the subscriptions that you see can be used now." }
                @else { "With this account you see no Azure subscription of this organisation." }
            },
            html! {
                p { "Sign in with an account that is Owner of a subscription of this organisation. If your role is one that must be "
                    "activated first (Privileged Identity Management), activate it and sign in again." }
                @if foreign > 0 {
                    p { "You also see " (foreign) " of other organisations; those are granted by signing in to their own organisation." }
                }
            },
        )
    },
    no_right: |person, lines| {
        Told::new(
            "You may not grant this",
            html! {
                "You are signed in as " strong { (person) } ". This account sees subscriptions, but may not assign roles on any of "
                "them."
            },
            html! {
                p { strong { "Activate your role. " } "If you are eligible for Owner or User Access Administrator (Privileged "
                    "Identity Management), activate it and sign in again. A Global Administrator first has to elevate access in "
                    "Azure." }
                p { strong { "Let somebody else sign in. " } "Send your link to an Owner, User Access Administrator or Role Based "
                    "Access Control Administrator of the subscription." }
                p { strong { "Use the command line. " } "Somebody who may assign roles can run this, and then sign in with your link "
                    "so that we know of it:" }
                (commands::block(lines))
            },
        )
    },
    group_not_invited: |partner| {
        Told::new(
            "Your invitation is for single subscriptions",
            html! { "The invitation names the subscriptions that it is for, so no management group can be granted with it." },
            html! { p { "Go back and choose subscriptions, or ask " (partner) " for an invitation without subscriptions." } },
        )
    },
    no_partner_principal: |partner| {
        Told::new(
            "Delegation is not offered here",
            html! { "The application of " (partner) " is not set up to take delegations by Azure Lighthouse." },
            html! { p { "Choose another way to connect, or ask " (partner) "." } },
        )
    },
    csrf: |partner| {
        Told::new(
            "The form is not from this page",
            html! { "The form that was sent does not belong to the sign-in in this browser, so nothing was done." },
            open_link(partner),
        )
    },
    bad_form: |partner| {
        Told::new(
            "The form cannot be read",
            html! { "The form that was sent is not the one of our page." },
            open_link(partner),
        )
    },
    nothing_chosen: || {
        Told::new(
            "No subscription was chosen",
            html! { "The form was sent without a subscription." },
            html! { p { "Go back and tick at least one." } },
        )
    },
    not_offered: || {
        Told::new(
            "That subscription was not on offer",
            html! { "The form named a subscription that the page did not offer to you, so nothing was done." },
            html! { p { "Go back and choose from the list." } },
        )
    },
    spreading: || {
        Told::new(
            "Microsoft is still setting up",
            html! { "The application is new in your organisation, and Microsoft Entra does not know it on every server yet." },
            html! { p { "Wait two minutes, then sign in again. Your approval stands." } },
        )
    },
    busy: || {
        Told::new(
            "Azure is busy",
            html! { "Azure asked us to slow down." },
            html! { p { "Wait a few minutes, then sign in again." } },
        )
    },
    azure: || {
        Told::new(
            "Azure did not answer as it should",
            html! { "Azure could not be reached, or gave an answer that we cannot use." },
            html! {
                p { "Wait a few minutes, then sign in again. Microsoft's own state is shown at "
                    code { "azure.status.microsoft" } "." }
            },
        )
    },
    ours: |partner| {
        Told::new(
            "Something is wrong on our side",
            html! { "We could not finish this step. It is not your fault, and it has been noted." },
            html! {
                p { "Try again later, or tell " (partner) " the reference below. If a role was assigned already, it is adopted the "
                    "next time; nothing is doubled." }
            },
        )
    },
    wrong_method: || {
        Told::new(
            "This address cannot be used so",
            html! { "Your browser asked for this address in a way that it does not take." },
            html! { p { "Open the link that you were given in a browser." } },
        )
    },
    form_too_large: || {
        Told::new(
            "The form is too large",
            html! { "The form that was sent has more than 64 KiB." },
            html! { p { "Choose fewer subscriptions at once; you can come back for the others." } },
        )
    },
    not_found: |partner| {
        Told::new(
            "There is nothing at this address",
            html! { "The address is not one of our pages." },
            open_link(partner),
        )
    },
    too_many: |seconds| {
        Told::new(
            "Too many requests",
            html! { "There were more requests from your network, or from everybody together, than we take at once." },
            html! {
                p { "Wait " (seconds) @if seconds == 1 { " second" } @else { " seconds" } ", then load this page again." }
            },
        )
    },
};
