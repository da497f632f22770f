//! The words of the pages for customers who come back, in every language.

use maud::{Markup, html};

use super::{Told, With};
use crate::model::AccessTier;

/// The pages of the receipt and of taking back.
pub(in crate::pages) struct Visit {
    /// Person, tenant.
    pub signed_in: fn(&str, &str) -> Markup,
    pub receipt_title: &'static str,
    pub application: &'static str,
    pub service_principal: &'static str,
    pub since: &'static str,
    pub ended: &'static str,
    pub tiers: &'static str,
    pub tier: fn(AccessTier) -> &'static str,
    pub granted: &'static str,
    /// Agreed to, but an administrator has not done his part yet.
    pub agreed: &'static str,
    pub not_granted: &'static str,
    pub admin_must: &'static str,
    pub grants: &'static str,
    /// Who, when.
    pub by: fn(&str, &str) -> String,
    pub covered: &'static str,
    pub take_back_here: &'static str,
    pub or_commands: &'static str,
    pub or_application: &'static str,
    /// Partner.
    pub leave_title: With<String>,
    /// Partner.
    pub leave_what: With<String>,
    pub nothing_held: &'static str,
    pub subscriptions: &'static str,
    pub no_assignment: &'static str,
    pub incomplete: &'static str,
    pub history: &'static str,
    /// Partner.
    pub erase: With<String>,
    pub leave_button: &'static str,
    pub or_close: &'static str,
    pub left_title: &'static str,
    pub left_nothing: &'static str,
    /// Partner, how many were removed, how many were not.
    pub left: fn(&str, usize, usize) -> String,
    /// Partner.
    pub erased: With<String>,
    pub removed: &'static str,
    pub not_removed: &'static str,
    pub no_right: &'static str,
    pub second_factor: &'static str,
    pub refused: &'static str,
    pub application_stays: &'static str,
    /// Partner.
    pub not_a_customer: With<Told>,
}

/// English.
pub(super) const ENGLISH: Visit = Visit {
    signed_in: |person, tenant| html! { "You are signed in as " strong { (person) } " in the organisation " span.id { (tenant) } "." },
    receipt_title: "What your organisation granted",
    application: "Application",
    service_principal: "Service principal",
    since: "Since",
    ended: "Ended",
    tiers: "What it is for",
    tier: |tier| match tier {
        AccessTier::Base => "Service Health events and the availability of resources",
        AccessTier::SecurityAdvisories => "The full text of security advisories",
        AccessTier::TenantEvents => "Events about your organisation itself",
    },
    granted: "Granted",
    agreed: "Chosen, role not seen yet",
    not_granted: "Not granted",
    admin_must: "An administrator of your organisation has to assign a role of the directory for this:",
    grants: "Role assignments",
    by: |who, when| format!("by {who}, {when} UTC"),
    covered: "Covered by a wider scope",
    take_back_here: "Take it back here",
    or_commands: "Or with the Azure CLI, one line for each role assignment:",
    or_application: "Or all access at once, by removing the application from your organisation:",
    leave_title: |partner| format!("Take back what {partner} may read"),
    leave_what: |partner| {
        format!(
            "The role assignments of the application of {partner} on the subscriptions that you tick are removed, with your own \
             rights and your sign-in of now. {partner} then reads nothing there any more."
        )
    },
    nothing_held: "On the subscriptions that you see, the application holds no role. There is nothing to take back.",
    subscriptions: "Subscriptions",
    no_assignment: "No role assignment is left here.",
    incomplete: "Azure did not say everything. If something is missing here, sign in again later.",
    history: "What is recorded already",
    erase: |partner| {
        format!(
            "Also erase what {partner} has recorded about the health of these subscriptions. This cannot be undone."
        )
    },
    leave_button: "Remove the role assignments",
    or_close: "or close this page to leave everything as it is",
    left_title: "What was taken back",
    left_nothing: "Nothing was taken back",
    left: |partner, gone, missing| match (gone, missing) {
        (1, 0) => {
            format!("Done. {partner} can no longer read one of your subscriptions. Your own sign-in has been dropped.")
        }
        (_, 0) => format!(
            "Done. {partner} can no longer read {gone} of your subscriptions. Your own sign-in has been dropped."
        ),
        _ => format!("{gone} removed, {missing} not removed. Your own sign-in has been dropped."),
    },
    erased: |partner| format!("What {partner} had recorded about them was erased."),
    removed: "Removed",
    not_removed: "Not removed",
    no_right: "You may not remove role assignments here. Somebody who may, such as an Owner, can sign in with the same link, or run:",
    second_factor: "Azure asks for multi-factor authentication before roles may be removed. Sign in with it, or run:",
    refused: "Azure refused it. Try again later, or run:",
    application_stays: "The application itself stays listed under Enterprise applications until an administrator deletes it there; without a role it reads nothing.",
    not_a_customer: |partner| {
        Told::new(
            "Your organisation is not connected",
            html! { "The organisation that you signed in to has granted nothing here." },
            html! { p { "If you expected otherwise, sign in with an account of the organisation that owns the subscriptions, or ask " (partner) "." } },
        )
    },
};

/// German.
pub(super) const GERMAN: Visit = Visit {
    signed_in: |person, tenant| html! { "Sie sind als " strong { (person) } " bei der Organisation " span.id { (tenant) } " angemeldet." },
    receipt_title: "Was Ihre Organisation erteilt hat",
    application: "Anwendung",
    service_principal: "Dienstprinzipal",
    since: "Seit",
    ended: "Beendet",
    tiers: "Wofür es dient",
    tier: |tier| match tier {
        AccessTier::Base => "Service-Health-Ereignisse und die Verfügbarkeit von Ressourcen",
        AccessTier::SecurityAdvisories => "Der vollständige Text von Sicherheitshinweisen",
        AccessTier::TenantEvents => "Ereignisse Ihrer Organisation selbst",
    },
    granted: "Erteilt",
    agreed: "Gewählt, Rolle noch nicht gesehen",
    not_granted: "Nicht erteilt",
    admin_must: "Dafür muss die Administration Ihrer Organisation eine Verzeichnisrolle zuweisen:",
    grants: "Rollenzuweisungen",
    by: |who, when| format!("von {who}, {when} Uhr UTC"),
    covered: "Durch einen übergeordneten Bereich abgedeckt",
    take_back_here: "Hier zurücknehmen",
    or_commands: "Oder mit der Azure CLI, eine Zeile für jede Rollenzuweisung:",
    or_application: "Oder beenden Sie jeden Zugriff auf einmal, indem Sie die Anwendung aus Ihrer Organisation entfernen:",
    leave_title: |partner| format!("{partner} den Zugriff entziehen"),
    leave_what: |partner| {
        format!(
            "Die Rollenzuweisungen der Anwendung von {partner} für die ausgewählten Abonnements werden entfernt, mit Ihren eigenen \
             Rechten und Ihrer jetzigen Anmeldung. {partner} liest dort dann nichts mehr."
        )
    },
    nothing_held: "Für die Abonnements, die Sie sehen, hat die Anwendung keine Rolle. Es gibt nichts zurückzunehmen.",
    subscriptions: "Abonnements",
    no_assignment: "Hier gibt es keine Rollenzuweisung mehr.",
    incomplete: "Azure hat nicht alles geliefert. Wenn hier etwas fehlt, melden Sie sich später noch einmal an.",
    history: "Bisherige Aufzeichnungen",
    erase: |partner| {
        format!(
            "Auch löschen, was {partner} über den Zustand dieser Abonnements aufgezeichnet hat. Das lässt sich nicht rückgängig machen."
        )
    },
    leave_button: "Rollenzuweisungen entfernen",
    or_close: "oder diese Seite schließen und alles lassen, wie es ist",
    left_title: "Was zurückgenommen wurde",
    left_nothing: "Es wurde nichts zurückgenommen",
    left: |partner, gone, missing| match (gone, missing) {
        (1, 0) => format!(
            "Erledigt. {partner} kann eines Ihrer Abonnements nicht mehr lesen. Ihre eigene Anmeldung wurde verworfen."
        ),
        (_, 0) => format!(
            "Erledigt. {partner} kann {gone} Ihrer Abonnements nicht mehr lesen. Ihre eigene Anmeldung wurde verworfen."
        ),
        _ => format!("{gone} entfernt, {missing} nicht entfernt. Ihre eigene Anmeldung wurde verworfen."),
    },
    erased: |partner| format!("Was {partner} darüber aufgezeichnet hatte, wurde gelöscht."),
    removed: "Entfernt",
    not_removed: "Nicht entfernt",
    no_right: "Sie dürfen hier keine Rollenzuweisungen entfernen. Wer es darf, etwa ein Besitzer, kann sich mit demselben Link anmelden oder dies ausführen:",
    second_factor: "Azure verlangt eine mehrstufige Authentifizierung, bevor Rollen entfernt werden dürfen. Melden Sie sich damit an, oder führen Sie dies aus:",
    refused: "Azure hat es abgelehnt. Versuchen Sie es später noch einmal, oder führen Sie dies aus:",
    application_stays: "Die Anwendung selbst bleibt unter Unternehmensanwendungen aufgeführt, bis die Administration sie dort löscht; ohne Rolle liest sie nichts.",
    not_a_customer: |partner| {
        Told::new(
            "Ihre Organisation ist nicht verbunden",
            html! { "Die Organisation, bei der Sie sich angemeldet haben, hat hier nichts erteilt." },
            html! { p { "Wenn Sie anderes erwartet haben, melden Sie sich mit einem Konto der Organisation an, der die Abonnements gehören, oder fragen Sie " (partner) "." } },
        )
    },
};
