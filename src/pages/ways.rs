//! The pages of the other ways in: the choice between them, after an admin consent, by command line, by Azure Lighthouse.

use maud::{Markup, html};
use secrecy::ExposeSecret as _;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

use super::commands;
use super::layout::{Page, Tone, View, answer, guard, href};
use super::messages;
use crate::consent::lighthouse::DelegationOffer;
use crate::consent::manual::Instructions;
use crate::consent::{Consented, Entry, Template, Way};

/// The choice between the ways.
pub(super) fn ways(view: &View<'_>, entry: &Entry) -> Response {
    let (text, partner) = (&view.text.ways, view.partner());
    let one = |way: messages::Way, to: Way| -> Markup {
        html! {
            h2 { (way.name) }
            p { (way.what) }
            p { a href=(href(view.app, &entry.by(to).start_path())) { (way.link) } }
        }
    };
    let body = html! {
        p.lead { ((text.lead)(partner)) }
        (one((text.sign_in)(partner), Way::SignIn))
        (one((text.admin)(partner), Way::Admin))
        (one((text.manual)(partner), Way::Manual))
        (one((text.lighthouse)(partner), Way::Lighthouse))
    };
    answer(view, Page { status: StatusCode::OK, title: text.title, tone: Tone::Neutral, body })
}

/// A link to the choice between the ways.
pub(super) fn link(view: &View<'_>, entry: &Entry) -> Markup {
    html! { p { a href=(href(view.app, &entry.by(Way::All).start_path())) { (view.text.ways.others) } } }
}

/// After an admin consent.
pub(super) fn consented(view: &View<'_>, consented: &Consented) -> Response {
    let (text, entry) = (&view.text.ways.consented, &consented.entry);
    let body = html! {
        p.lead { ((text.lead)(consented.principal.is_some())) }
        p { (text.no_role) }
        div.actions {
            a.button href=(href(view.app, &entry.start_path())) { (text.sign_in) }
            a href=(href(view.app, &entry.by(Way::Manual).start_path())) { (text.manual) }
        }
        dl {
            div { dt { (view.text.granted.application) } dd.id { (consented.client_id) } }
            @if let Some(tenant) = consented.tenant { div { dt { (view.text.granted.tenant) } dd.id { (tenant) } } }
            @if let Some(principal) = consented.principal {
                div { dt { (view.text.granted.service_principal) } dd.id { (principal) } }
            }
        }
    };
    answer(view, Page { status: StatusCode::OK, title: text.title, tone: Tone::Good, body })
}

/// What to do without us. `notice`: what a verification did not find.
pub(super) fn manual(view: &View<'_>, instructions: &Instructions, notice: Option<&str>) -> Response {
    let (app, text, partner) = (view.app, &view.text.ways.manually, view.partner());
    let Instructions { tenant, principal, client_id, subscriptions, entry, .. } = instructions;
    let named: Vec<_> = subscriptions.iter().map(ToString::to_string).collect();
    let lines = |principal| {
        let one = |id: &String| commands::grant_at(principal, *client_id, &format!("/subscriptions/{id}"));
        let placeholder = vec!["<subscription id>".to_owned()];
        let ids = if named.is_empty() { &placeholder } else { &named };
        ids.iter().map(one).collect::<Vec<_>>().join("\n")
    };
    let group = "/providers/Microsoft.Management/managementGroups/<management group id>";
    let body = html! {
        @if let Some(notice) = notice { div.alert role="alert" tabindex="-1" autofocus { p { (notice) } } }
        p.lead {
            @match &instructions.person {
                Some(person) => ((text.signed_in)(person, &tenant.to_string())),
                None => ((text.invited)(&tenant.to_string())),
            }
        }
        p.soft { ((text.until)(&instructions.expires_at.format("%H:%M").to_string())) }
        h2 { (text.step_principal) }
        @match principal {
            Some(principal) => ((text.has_principal)(&principal.to_string())),
            None => {
                ((text.no_principal)(*client_id))
                @let admin = Entry { tenant: Some(tenant.to_string()), ..entry.by(Way::Admin) };
                p { a href=(href(app, &admin.start_path())) { ((view.text.ways.admin)(partner).link) } }
            }
        }
        h2 { (text.step_role) }
        form method="get" action=(href(app, "/api/consent/callback")) {
            input type="hidden" name="step" value="manual";
            label for="subscriptions" { (text.which) }
            input.wide type="text" id="subscriptions" name="subscriptions" value=(named.join(" ")) autocomplete="off";
            div.actions { button.plain type="submit" { (text.show) } }
        }
        (commands::block(&lines(*principal)))
        @if principal.is_some() {
            p { (text.or_template) }
            ul {
                li { a href=(href(app, "/api/consent/callback?step=template&format=arm")) { (text.arm) } }
                li { a href=(href(app, "/api/consent/callback?step=template&format=bicep")) { (text.bicep) } }
            }
            (commands::block(
                "az account set --subscription \"<subscription id>\"\n\
                 az deployment sub create --location westeurope --template-file reader.json",
            ))
        }
        details {
            summary { (text.group) }
            (commands::block(&commands::grant_at(*principal, *client_id, group)))
        }
        h2 { (text.step_verify) }
        p { ((text.verify_what)(partner)) }
        form method="post" action=(href(app, "/api/consent/grant")) {
            input type="hidden" name="csrf" value=(instructions.csrf.expose_secret());
            div.actions { button type="submit" name="action" value="verify" { (text.verify) } }
        }
        (link(view, entry))
    };
    let status = if notice.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    answer(view, Page { status, title: &(text.title)(partner), tone: Tone::Neutral, body })
}

/// The page about a delegation.
pub(super) fn lighthouse(view: &View<'_>, offer: &DelegationOffer, entry: &Entry) -> Response {
    let (text, partner) = (&view.text.ways.delegation, view.partner());
    let download = format!("{}&download=arm", entry.by(Way::Lighthouse).start_path());
    let body = html! {
        p.lead { ((text.lead)(partner)) }
        dl {
            div { dt { (text.partner_tenant) } dd.id { (offer.partner_tenant) } }
            div { dt { (text.principal) } dd.id { (offer.principal) } }
            div { dt { (view.text.choose.role) } dd { (text.role) } }
        }
        ((text.steps)())
        div.actions { a.button href=(href(view.app, &download)) { (text.download) } }
        p { ((text.after)(partner)) }
        p.soft { (text.end) }
        (link(view, entry))
    };
    answer(view, Page { status: StatusCode::OK, title: &(text.title)(partner), tone: Tone::Neutral, body })
}

/// A file for the person's disk.
pub(super) fn download(view: &View<'_>, template: Template) -> Response {
    let mut response = Response::new(template.text.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(template.media_type));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", template.name)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    guard(view.app, &mut response);
    response
}
