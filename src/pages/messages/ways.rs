//! The words of the other ways in, in every language: what is at stake is the same, so the texts stand beside each other.

use maud::{Markup, html};

use super::With;
use crate::model::{AccessTier, ClientId};

/// What the pages of the other ways in say, and what the choice says beyond its list.
pub(in crate::pages) struct Ways {
    pub title: &'static str,
    /// Partner.
    pub lead: With<String>,
    /// What a way is called, what it is, and the words of its link. Partner.
    pub sign_in: fn(&str) -> Way,
    pub admin: fn(&str) -> Way,
    pub manual: fn(&str) -> Way,
    pub lighthouse: fn(&str) -> Way,
    /// The words of a link to all of them.
    pub others: &'static str,
    pub consented: Consented,
    pub manually: Manually,
    pub delegation: Delegation,
    pub list: List,
    pub mail: Mail,
}

/// One way in.
pub(in crate::pages) struct Way {
    pub name: &'static str,
    pub what: String,
    pub link: &'static str,
}

/// After an admin consent.
pub(in crate::pages) struct Consented {
    pub title: &'static str,
    /// Whether our own token proves it.
    pub lead: fn(bool) -> &'static str,
    pub no_role: &'static str,
    pub sign_in: &'static str,
    pub manual: &'static str,
}

/// The way by command line or template.
pub(in crate::pages) struct Manually {
    /// Partner.
    pub title: With<String>,
    pub signed_in: fn(&str, &str) -> Markup,
    pub invited: With<Markup>,
    pub step_principal: &'static str,
    /// Our client id.
    pub no_principal: fn(ClientId) -> Markup,
    pub has_principal: With<Markup>,
    pub step_role: &'static str,
    pub which: &'static str,
    pub show: &'static str,
    pub or_template: &'static str,
    pub arm: &'static str,
    pub bicep: &'static str,
    pub group: &'static str,
    pub step_verify: &'static str,
    pub verify: &'static str,
    pub verify_what: With<String>,
    pub no_principal_yet: &'static str,
    pub nothing_readable: &'static str,
    /// The time of day at which the session ends.
    pub until: With<String>,
}

/// The page about Azure Lighthouse.
pub(in crate::pages) struct Delegation {
    pub title: With<String>,
    pub lead: With<String>,
    pub partner_tenant: &'static str,
    pub principal: &'static str,
    pub role: &'static str,
    pub steps: fn() -> Markup,
    pub download: &'static str,
    pub after: With<String>,
    pub end: &'static str,
}

/// What the choice says beyond its list.
pub(in crate::pages) struct List {
    pub search: &'static str,
    pub search_button: &'static str,
    /// How many are ticked, how many there are.
    pub ticked: fn(usize, usize) -> String,
    pub tick_none: &'static str,
    pub nothing_found: With<String>,
    pub page: fn(usize) -> String,
    pub overdue: &'static str,
    pub stepped_up: &'static str,
    pub tiers: &'static str,
    pub tier: fn(AccessTier) -> (&'static str, &'static str),
    pub group: &'static str,
    pub group_what: &'static str,
    pub group_choose: &'static str,
    pub no_group: &'static str,
    pub group_other: &'static str,
    /// The same where none is listed.
    pub group_id: &'static str,
    pub elsewhere: &'static str,
    pub elsewhere_what: &'static str,
    pub no_right_here: &'static str,
    /// The management group.
    pub group_granted: With<String>,
    pub group_refused: With<String>,
    /// Partner, management group.
    pub group_title: fn(&str, &str) -> String,
    pub group_empty: &'static str,
    pub unregistered: &'static str,
    pub tier_made: fn(AccessTier) -> String,
    pub tier_not_made: fn(AccessTier) -> String,
}

/// A mail to an administrator, written by the person himself.
pub(in crate::pages) struct Mail {
    pub link: &'static str,
    /// Partner.
    pub subject: With<String>,
    /// Partner, link, commands.
    pub body: fn(&str, &str, &str) -> String,
}

pub(super) const ENGLISH: Ways = Ways {
    title: "How would you like to connect?",
    lead: |partner| {
        format!("Each way ends the same: the application of {partner} may read your subscriptions, and nothing more.")
    },
    sign_in: |_| {
        Way {
        name: "Sign in and choose",
        what: "You sign in, choose subscriptions, and confirm. Your sign-in serves for that page only. You need the right to \
               assign roles: Owner, User Access Administrator or Role Based Access Control Administrator."
            .to_owned(),
        link: "Sign in",
    }
    },
    admin: |partner| Way {
        name: "An administrator approves first",
        what: format!(
            "Where only administrators may allow applications: one of them approves the application of {partner} for the whole \
             organisation. After that, whoever may assign roles signs in."
        ),
        link: "Approve as administrator",
    },
    manual: |partner| Way {
        name: "Command line or template",
        what: format!(
            "You let nobody act in your name: you run the commands or deploy the template yourself, and {partner} finds what it \
             may read."
        ),
        link: "Show commands and template",
    },
    lighthouse: |partner| Way {
        name: "Azure Lighthouse",
        what: format!("You delegate subscriptions to the organisation of {partner}. No application is added to yours."),
        link: "Show the delegation",
    },
    others: "Other ways to connect",
    consented: Consented {
        title: "The approval is recorded",
        lead: |proven| {
            if proven {
                "The application is known in your organisation now. It may not read anything yet."
            } else {
                "Microsoft says that the application was approved. It may not read anything yet."
            }
        },
        no_role: "Next, somebody who may assign roles in Azure gives it the role Reader: by signing in, or by command line.",
        sign_in: "Sign in and choose subscriptions",
        manual: "Use the command line or a template instead",
    },
    manually: Manually {
        title: |partner| format!("Give {partner} Reader yourself"),
        signed_in: |person, tenant| {
            html! { "You are signed in as " strong { (person) } " in the organisation " span.id { (tenant) } ". Nobody acts in your name." }
        },
        invited: |tenant| html! { "Your invitation is for the organisation " span.id { (tenant) } "." },
        step_principal: "1. The application in your organisation",
        no_principal: |client_id| {
            html! {
                p { "It is not there yet. An administrator can approve it, or add it with:" }
                pre { code { "az ad sp create --id " (client_id) } }
            }
        },
        has_principal: |id| html! { p { "It is there: service principal " code { (id) } "." } },
        step_role: "2. The role Reader",
        which: "Subscription ids, separated by blanks",
        show: "Show the commands",
        or_template: "Or deploy a template to the subscription:",
        arm: "Template for Azure Resource Manager (JSON)",
        bicep: "Template as Bicep",
        group: "For every subscription of a management group, today's and future ones:",
        step_verify: "3. Verify",
        verify: "I have done it: verify",
        verify_what: |partner| {
            format!("{partner} looks with its own application what it can read, and watches that from then on.")
        },
        no_principal_yet: "The application is not in your organisation yet. After step 1 it can take a minute or two.",
        nothing_readable: "The application cannot read any subscription of your organisation yet. After step 2 Azure can take up \
                           to ten minutes; then verify again.",
        until: |time| {
            format!("This page serves until {time} UTC. After that, open your link again; what you did stays.")
        },
    },
    delegation: Delegation {
        title: |partner| format!("Delegate to {partner} with Azure Lighthouse"),
        lead: |partner| {
            format!(
                "You deploy a template to each subscription. It lets the service principal of {partner} read it from the \
                 organisation of {partner}; no application is added to yours."
            )
        },
        partner_tenant: "To the organisation",
        principal: "Service principal there",
        role: "Reader, and the right to end this delegation",
        steps: || {
            html! {
                p { "An Owner of the subscription (no guest) downloads the template and deploys it, once per subscription:" }
                pre { code { "az account set --subscription <subscription id>\n" }
                      code { "az deployment sub create --location westeurope --template-file lighthouse.json" } }
            }
        },
        download: "Download the template",
        after: |partner| {
            format!(
                "Azure takes up to 15 minutes. {partner} then finds the delegation by itself; there is nothing else to do here."
            )
        },
        end: "You end it in the Azure portal under Service providers, whenever you like.",
    },
    list: List {
        search: "Search by name or id",
        search_button: "Search",
        ticked: |ticked, total| format!("{ticked} of {total} ticked"),
        tick_none: "Untick these",
        nothing_found: |search| format!("No subscription has \u{201c}{search}\u{201d} in its name or id."),
        page: |page| format!("Page {page}"),
        overdue: "A payment is late",
        stepped_up: "You have signed in once more. What you chose is still ticked; please confirm it.",
        tiers: "More, if you like",
        tier: |tier| match tier {
            AccessTier::Base => ("Health", "Service Health events and the health of resources, by the role Reader."),
            AccessTier::SecurityAdvisories => (
                "Security advisories in full",
                "Azure keeps the details of security advisories from readers. The role Service Health Security Reader shows them.",
            ),
            AccessTier::TenantEvents => (
                "Events of the organisation itself",
                "Events that concern your whole directory. An administrator must give the application a role of the directory.",
            ),
        },
        group: "Grant on a management group instead",
        group_what: "One role assignment for every subscription below it, today's and future ones. You need the right to assign \
                     roles there.",
        group_choose: "Management group",
        no_group: "None: grant on the ticked subscriptions",
        group_other: "Or the id of another one",
        group_id: "The id of the management group",
        elsewhere: "Your other organisations",
        elsewhere_what: "Only subscriptions of the organisation that you are signed in to can be granted here. For another one, sign \
                         in to it:",
        no_right_here: "You may not assign roles on some of them. Somebody who may can run:",
        group_granted: |group| format!("Reader was granted on the management group {group}."),
        group_refused: |group| format!("Nothing was granted on the management group {group}:"),
        group_title: |partner, group| format!("Done: {partner} may now read the management group {group}"),
        group_empty: "Azure names no subscription below it yet. What comes later is found by itself.",
        unregistered: "This subscription has not registered Azure's provider of health data, so there is nothing to read. An owner \
                       registers it with:",
        tier_made: |tier| format!("Also granted: {}.", (ENGLISH.list.tier)(tier).0),
        tier_not_made: |tier| format!("Not granted: {}.", (ENGLISH.list.tier)(tier).0),
    },
    mail: Mail {
        link: "Write an email to your administrator",
        subject: |partner| format!("Please grant {partner} read access to our Azure health"),
        body: |partner, link, lines| {
            format!(
                "Hello,\n\n{partner} watches the health of our Azure subscriptions. I may not grant the access myself. Please open \
                 this link, sign in as Owner or User Access Administrator, and confirm:\n\n{link}\n\nOr run:\n\n{lines}\n\n\
                 It is the role Reader: nothing can be changed with it, and it can be taken back at any time.\n"
            )
        },
    },
};

pub(super) const GERMAN: Ways = Ways {
    title: "Wie möchten Sie sich verbinden?",
    lead: |partner| {
        format!("Jeder Weg endet gleich: Die Anwendung von {partner} darf Ihre Abonnements lesen, und nichts weiter.")
    },
    sign_in: |_| {
        Way {
        name: "Anmelden und auswählen",
        what: "Sie melden sich an, wählen Abonnements aus und bestätigen. Ihre Anmeldung dient nur dieser Seite. Sie brauchen das \
               Recht, Rollen zuzuweisen: Besitzer (Owner), Benutzerzugriffsadministrator oder Administrator für die \
               rollenbasierte Zugriffssteuerung."
            .to_owned(),
        link: "Anmelden",
    }
    },
    admin: |partner| Way {
        name: "Zuerst stimmt die Administration zu",
        what: format!(
            "Wo nur die Administration Anwendungen zulassen darf: Sie stimmt der Anwendung von {partner} für die ganze \
             Organisation zu. Danach meldet sich an, wer Rollen zuweisen darf."
        ),
        link: "Als Administrator zustimmen",
    },
    manual: |partner| Way {
        name: "Befehlszeile oder Vorlage",
        what: format!(
            "Sie lassen niemanden in Ihrem Namen handeln: Sie führen die Befehle selbst aus oder stellen die Vorlage bereit, und \
             {partner} findet, was lesbar ist."
        ),
        link: "Befehle und Vorlage anzeigen",
    },
    lighthouse: |partner| Way {
        name: "Azure Lighthouse",
        what: format!(
            "Sie delegieren Abonnements an die Organisation von {partner}. In Ihrer wird keine Anwendung angelegt."
        ),
        link: "Delegierung anzeigen",
    },
    others: "Andere Wege, sich zu verbinden",
    consented: Consented {
        title: "Die Zustimmung ist vermerkt",
        lead: |proven| {
            if proven {
                "Die Anwendung ist in Ihrer Organisation jetzt bekannt. Lesen darf sie noch nichts."
            } else {
                "Microsoft meldet, dass der Anwendung zugestimmt wurde. Lesen darf sie noch nichts."
            }
        },
        no_role: "Als Nächstes erteilt ihr jemand, der in Azure Rollen zuweisen darf, die Rolle Leser: durch Anmelden oder mit der \
                  Befehlszeile.",
        sign_in: "Anmelden und Abonnements auswählen",
        manual: "Stattdessen Befehlszeile oder Vorlage verwenden",
    },
    manually: Manually {
        title: |partner| format!("{partner} die Rolle Leser selbst erteilen"),
        signed_in: |person, tenant| {
            html! { "Sie sind als " strong { (person) } " bei der Organisation " span.id { (tenant) } " angemeldet. Niemand handelt in Ihrem Namen." }
        },
        invited: |tenant| html! { "Ihre Einladung gilt für die Organisation " span.id { (tenant) } "." },
        step_principal: "1. Die Anwendung in Ihrer Organisation",
        no_principal: |client_id| {
            html! {
                p { "Sie ist noch nicht da. Die Administration kann ihr zustimmen oder sie so anlegen:" }
                pre { code { "az ad sp create --id " (client_id) } }
            }
        },
        has_principal: |id| html! { p { "Sie ist da: Dienstprinzipal " code { (id) } "." } },
        step_role: "2. Die Rolle Leser",
        which: "Abonnement-IDs, durch Leerzeichen getrennt",
        show: "Befehle anzeigen",
        or_template: "Oder eine Vorlage im Abonnement bereitstellen:",
        arm: "Vorlage für Azure Resource Manager (JSON)",
        bicep: "Vorlage als Bicep",
        group: "Für jedes Abonnement einer Verwaltungsgruppe, heutige und künftige:",
        step_verify: "3. Prüfen",
        verify: "Erledigt: jetzt prüfen",
        verify_what: |partner| {
            format!("{partner} sieht mit der eigenen Anwendung nach, was lesbar ist, und überwacht es von da an.")
        },
        no_principal_yet: "Die Anwendung ist in Ihrer Organisation noch nicht da. Nach Schritt 1 kann das ein bis zwei Minuten dauern.",
        nothing_readable: "Die Anwendung kann noch kein Abonnement Ihrer Organisation lesen. Nach Schritt 2 braucht Azure bis zu zehn \
                           Minuten; prüfen Sie dann noch einmal.",
        until: |time| {
            format!(
                "Diese Seite gilt bis {time} Uhr UTC. Danach öffnen Sie Ihren Link noch einmal; was Sie getan haben, bleibt."
            )
        },
    },
    delegation: Delegation {
        title: |partner| format!("Mit Azure Lighthouse an {partner} delegieren"),
        lead: |partner| {
            format!(
                "Sie stellen in jedem Abonnement eine Vorlage bereit. Damit liest der Dienstprinzipal von {partner} es aus der \
                 Organisation von {partner}; in Ihrer wird keine Anwendung angelegt."
            )
        },
        partner_tenant: "An die Organisation",
        principal: "Dienstprinzipal dort",
        role: "Leser und das Recht, diese Delegierung zu beenden",
        steps: || {
            html! {
                p { "Ein Besitzer (Owner) des Abonnements, der kein Gast ist, lädt die Vorlage herunter und stellt sie je Abonnement einmal bereit:" }
                pre { code { "az account set --subscription <subscription id>\n" }
                      code { "az deployment sub create --location westeurope --template-file lighthouse.json" } }
            }
        },
        download: "Vorlage herunterladen",
        after: |partner| {
            format!(
                "Azure braucht bis zu 15 Minuten. {partner} findet die Delegierung dann von selbst; hier ist nichts weiter zu tun."
            )
        },
        end: "Sie beenden sie jederzeit im Azure-Portal unter Dienstanbieter.",
    },
    list: List {
        search: "Nach Name oder ID suchen",
        search_button: "Suchen",
        ticked: |ticked, total| format!("{ticked} von {total} ausgewählt"),
        tick_none: "Diese abwählen",
        nothing_found: |search| format!("Kein Abonnement hat „{search}“ im Namen oder in der ID."),
        page: |page| format!("Seite {page}"),
        overdue: "Eine Zahlung ist überfällig",
        stepped_up: "Sie haben sich noch einmal angemeldet. Ihre Auswahl ist erhalten; bitte bestätigen Sie sie.",
        tiers: "Mehr, wenn Sie möchten",
        tier: |tier| match tier {
            AccessTier::Base => {
                ("Zustand", "Service-Health-Ereignisse und der Zustand von Ressourcen, durch die Rolle Leser.")
            }
            AccessTier::SecurityAdvisories => (
                "Sicherheitshinweise im Wortlaut",
                "Azure zeigt Lesern die Einzelheiten von Sicherheitshinweisen nicht; die Rolle Service Health Security Reader macht sie sichtbar.",
            ),
            AccessTier::TenantEvents => (
                "Ereignisse der Organisation selbst",
                "Ereignisse, die Ihr ganzes Verzeichnis betreffen. Die Administration muss der Anwendung eine Verzeichnisrolle zuweisen.",
            ),
        },
        group: "Stattdessen für eine Verwaltungsgruppe erteilen",
        group_what: "Eine Rollenzuweisung für jedes Abonnement darunter, heutige und künftige. Sie brauchen dort das Recht, Rollen \
                     zuzuweisen.",
        group_choose: "Verwaltungsgruppe",
        no_group: "Keine: für die ausgewählten Abonnements erteilen",
        group_other: "Oder die ID einer anderen",
        group_id: "Die ID der Verwaltungsgruppe",
        elsewhere: "Ihre anderen Organisationen",
        elsewhere_what: "Hier lässt sich nur für Abonnements der Organisation erteilen, bei der Sie angemeldet sind. Für eine andere \
                         melden Sie sich dort an:",
        no_right_here: "Für einige dürfen Sie keine Rollen zuweisen. Wer es darf, kann dies ausführen:",
        group_granted: |group| format!("Die Rolle Leser wurde für die Verwaltungsgruppe {group} erteilt."),
        group_refused: |group| format!("Für die Verwaltungsgruppe {group} wurde nichts erteilt:"),
        group_title: |partner, group| format!("Fertig: {partner} darf jetzt die Verwaltungsgruppe {group} lesen"),
        group_empty: "Azure nennt darunter noch kein Abonnement. Was später kommt, wird von selbst gefunden.",
        unregistered: "Dieses Abonnement hat den Ressourcenanbieter für Zustandsdaten nicht registriert; es gibt also nichts zu lesen. Ein \
                       Besitzer registriert ihn so:",
        tier_made: |tier| format!("Auch erteilt: {}.", (GERMAN.list.tier)(tier).0),
        tier_not_made: |tier| format!("Nicht erteilt: {}.", (GERMAN.list.tier)(tier).0),
    },
    mail: Mail {
        link: "E-Mail an die Administration schreiben",
        subject: |partner| format!("Bitte {partner} lesenden Zugriff auf unseren Azure-Zustand erteilen"),
        body: |partner, link, lines| {
            format!(
                "Guten Tag,\n\n{partner} überwacht den Zustand unserer Azure-Abonnements. Ich darf den Zugriff nicht selbst erteilen. \
                 Bitte öffnen Sie diesen Link, melden Sie sich als Besitzer oder Benutzerzugriffsadministrator an und bestätigen \
                 Sie:\n\n{link}\n\nOder führen Sie dies aus:\n\n{lines}\n\n\
                 Es ist die Rolle Leser: Sie kann nichts ändern und jederzeit zurückgenommen werden.\n"
            )
        },
    },
};
