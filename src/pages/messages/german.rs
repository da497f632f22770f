//! German. Names of roles and places as the German Azure portal has them, with the English ones where the two differ.

use maud::html;

use super::super::commands;
use super::{Choose, Frame, Granted, Messages, Refused, SignInAdvice, Told, unusable};
use crate::consent::{GrantRefusal, InviteFault, Standing};

/// German.
pub(in crate::pages) const GERMAN: Messages = Messages {
    frame: FRAME,
    choose: CHOOSE,
    granted: GRANTED,
    refused: REFUSED,
    ways: super::ways::GERMAN,
    visit: super::visit::GERMAN,
};

const FRAME: Frame = Frame {
    purpose: "Azure-Zustand im Blick",
    skip: "Zum Inhalt springen",
    languages: "Sprache",
    take_back: "So nehmen Sie den Zugriff zurück",
    reference: "Referenz",
    problem: "Es gibt ein Problem",
};

const CHOOSE: Choose = Choose {
    title: |partner| format!("{partner} den Zustand Ihrer Azure-Abonnements überwachen lassen"),
    signed_in: |person, tenant| html! { "Sie sind als " strong { (person) } " bei " (tenant) " angemeldet." },
    tenant: |id| html! { "der Organisation " span.id { (id) } },
    nothing_yet: "Noch wurde nichts erteilt.",
    other_account: "Anderes Konto verwenden",
    tick_one: "Bitte wählen Sie mindestens ein Abonnement aus.",
    not_seen: |id| {
        html! {
            "Ihr Link gilt für das Abonnement " code { (id) } ", das dieses Konto in dieser Organisation nicht sieht. Sie können "
            "andere auswählen oder ein anderes Konto verwenden."
        }
    },
    what: "Was Sie erteilen",
    to_whom: "Empfänger",
    through: |partner| html! { strong { (partner) } ", über die eigene Anwendung" },
    application: "Anwendung",
    client_id: "(Client-ID)",
    in_tenant: "In Ihrem Mandanten",
    service_principal: "(Dienstprinzipal)",
    principal_later: "Der Dienstprinzipal wird gerade angelegt; nach dem Erteilen wird er angezeigt.",
    role: "Rolle",
    reader: || {
        html! {
            strong { "Leser (Reader)" } ", jeweils für das ganze ausgewählte Abonnement. Sie macht Ressourcen, ihre "
            "Einstellungen und ihren Zustand sichtbar. Ändern lässt sich damit nichts, und weder Schlüssel noch Kennwörter "
            "noch die Daten in Ihren Ressourcen sind damit lesbar."
        }
    },
    how_long: "Wie lange",
    until: "Bis Sie den Zugriff zurücknehmen.",
    sign_in: "Ihre Anmeldung",
    sign_in_use: |time| {
        format!(
            "Dient nur dazu, Ihre Abonnements aufzulisten und die Rollenzuweisungen vorzunehmen, die Sie bestätigen. Sie wird \
             gleich danach verworfen, spätestens um {time} Uhr UTC, und nie unverschlüsselt gespeichert."
        )
    },
    subscriptions: "Ihre Abonnements",
    tick_all: |count| format!("Alle {count} auswählen"),
    incomplete: "Azure hat nicht die ganze Liste geliefert. Fehlt hier ein Abonnement, melden Sie sich später noch einmal an.",
    grant: |partner| format!("{partner} die Rolle Leser erteilen"),
    or_close: "oder diese Seite schließen, um nichts zu erteilen",
    how_back: "Im Azure-Portal: Abonnements, das Abonnement, Zugriffssteuerung (IAM), Rollenzuweisungen; dort die Rolle Leser \
               der Anwendung entfernen. Wird die Anwendung in Microsoft Entra unter Unternehmensanwendungen gelöscht, endet \
               jeder Zugriff sofort. Oder mit der Azure CLI:",
    why_not: |standing| match standing {
        Standing::Offered => "Auswählbar",
        Standing::NoRight => "Sie dürfen hier keine Rollen zuweisen",
        Standing::NotUsable(state) => unusable(state, "Deaktiviert", "Gelöscht", "Nicht nutzbar"),
    },
};

const GRANTED: Granted = Granted {
    title: |partner, made, missing| match (made, missing) {
        (0, _) => "Es wurde nichts erteilt".to_owned(),
        (1, 0) => format!("Fertig: {partner} überwacht jetzt Ihr Abonnement"),
        (made, 0) => format!("Fertig: {partner} überwacht jetzt {made} Abonnements"),
        (made, missing) => format!("Zugriff auf {made} von {} Abonnements erteilt", made + missing),
    },
    made: |partner| {
        format!(
            "Die Anwendung von {partner} hat die Rolle Leser erhalten. Ihre eigene Anmeldung wurde verworfen; Sie können diese \
             Seite schließen."
        )
    },
    none_made: "Azure hat jede Rollenzuweisung abgelehnt. Ihre eigene Anmeldung wurde verworfen, und nichts wurde geändert.",
    waiting: |partner| {
        format!(
            "Bis eine neue Rolle in Azure überall wirkt, können zehn Minuten vergehen. Sie müssen nichts tun: {partner} beginnt \
             zu lesen, sobald Azure es zulässt."
        )
    },
    subscriptions: |tenant| match tenant {
        Some(tenant) => format!("Abonnements von {tenant}"),
        None => "Abonnements Ihrer Organisation".to_owned(),
    },
    one_more: "Noch ein Schritt",
    second_factor: "Ihre Organisation verlangt eine mehrstufige Authentifizierung, bevor Rollen zugewiesen werden. Melden Sie \
                    sich damit an und bestätigen Sie die übrigen Abonnements noch einmal.",
    second_factor_button: "Mit mehrstufiger Authentifizierung anmelden",
    receipt: "Beleg",
    tenant: "Organisation",
    application: "Anwendung",
    service_principal: "Dienstprinzipal",
    active: "Aktiv",
    pending: "Erteilt, wartet auf Azure",
    not_granted: "Nicht erteilt",
    adopted: "War schon erteilt; nichts wurde verdoppelt.",
    role_assignment: "Rollenzuweisung",
    why: |refusal| {
        html! {
            @match refusal {
                GrantRefusal::NoRight => {
                    "Sie dürfen für dieses Abonnement keine Rollen zuweisen, oder nur unter Bedingungen. Jemand mit der Rolle "
                    "Besitzer (Owner), Benutzerzugriffsadministrator oder Administrator für die rollenbasierte Zugriffssteuerung "
                    "kann sich mit demselben Link anmelden oder dies ausführen:"
                }
                GrantRefusal::SecondFactor { claims: Some(_) } => {
                    "Azure verlangt zuerst eine mehrstufige Authentifizierung; siehe unten."
                }
                GrantRefusal::SecondFactor { claims: None } => {
                    "Azure hat die Änderung abgelehnt, vermutlich weil eine mehrstufige Authentifizierung verlangt wird. Melden "
                    "Sie sich damit an, oder lassen Sie jemanden, der sie hat, dies ausführen:"
                }
                GrantRefusal::SecondFactorMissing => {
                    "Azure verlangt weiterhin eine mehrstufige Authentifizierung, obwohl Sie sich dafür angemeldet haben: Ihr Konto "
                    "hat offenbar keinen zweiten Faktor. Registrieren Sie einen unter " code { "aka.ms/mfasetup" } " und melden Sie "
                    "sich mit Ihrem Link noch einmal an, oder lassen Sie jemanden, der einen hat, dies ausführen:"
                }
                GrantRefusal::Condition => {
                    "Sie dürfen für dieses Abonnement nur unter Bedingungen (ABAC) Rollen zuweisen, und diese Zuweisung erfüllt sie "
                    "nicht. Ein Besitzer oder Benutzerzugriffsadministrator ohne Bedingungen kann sich mit demselben Link anmelden "
                    "oder dies ausführen:"
                }
                GrantRefusal::Denied => {
                    "Eine Ablehnungszuweisung auf diesem Abonnement verbietet Rollenzuweisungen, welche Rolle Sie auch haben. Sie "
                    "stammt von einer verwalteten Anwendung, einem Bereitstellungsstapel oder einer Blaupause; wer das verwaltet, "
                    "kann eine Ausnahme einrichten."
                }
                GrantRefusal::Policy { names } => {
                    "Eine Richtlinie Ihrer Organisation verbietet diese Rollenzuweisung"
                    @if !names.is_empty() { " (" (names.join(", ")) ")" } ". Wer bei Ihnen Azure Policy verwaltet, findet sie im "
                    "Aktivitätsprotokoll des Abonnements und kann eine Ausnahme einrichten."
                }
                GrantRefusal::PrincipalUnknown => {
                    "Das Verzeichnis von Microsoft kennt die neue Anwendung noch nicht überall. Warten Sie einige Minuten, öffnen "
                    "Sie dann Ihren Link und melden Sie sich noch einmal an."
                }
                GrantRefusal::LimitReached => {
                    "Das Abonnement hat so viele Rollenzuweisungen, wie Azure erlaubt (4000). Entfernen Sie einige, die niemand "
                    "braucht, und melden Sie sich dann noch einmal an."
                }
                GrantRefusal::Disabled => {
                    "Das Abonnement ist deaktiviert. Wenn sein Besitzer es wieder aktiviert hat, melden Sie sich noch einmal an."
                }
                GrantRefusal::Locked => {
                    "Eine Sperre verbietet Änderungen. Wer sie gesetzt hat, kann sie aufheben; melden Sie sich dann noch einmal an."
                }
                GrantRefusal::Gone => {
                    "Azure kennt das Abonnement in dieser Organisation nicht mehr: Es wurde gelöscht oder verschoben. Wurde es "
                    "verschoben, melden Sie sich bei der Organisation an, der es jetzt gehört."
                }
                GrantRefusal::SignInEnded => {
                    "Azure nimmt Ihre Anmeldung nicht mehr an. Melden Sie sich mit Ihrem Link noch einmal an."
                }
                GrantRefusal::Unavailable => {
                    "Azure war überlastet oder nicht erreichbar. Melden Sie sich in einigen Minuten noch einmal an."
                }
                GrantRefusal::Other { code } => {
                    "Azure hat es abgelehnt" @if !code.is_empty() { " (" code { (code) } ")" }
                    ". Bitte nennen Sie uns die Referenz unten."
                }
            }
        }
    },
};

/// For who goes back to a page that he has left, or loads it anew.
const DONE_IF_SEEN: &str = "Wenn Sie gesehen haben, was erteilt oder zurückgenommen wurde, ist alles erledigt.";

/// What mostly helps.
fn open_link(partner: &str) -> maud::Markup {
    html! { p { "Öffnen Sie den Link von " (partner) " noch einmal und melden Sie sich darüber an." } }
}

const REFUSED: Refused = Refused {
    what_now: "Was Sie jetzt tun können",
    sign_in_again: "Noch einmal anmelden",
    nothing_granted: "In diesem Schritt wurde nichts erteilt.",
    help: |partner, reference| {
        html! { "Wenn Sie Hilfe brauchen, nennen Sie " (partner) " die Referenz " code { (reference) } "." }
    },
    invite: |partner, fault| {
        let (title, what) = match fault {
            InviteFault::Missing => (
                "Sie brauchen eine Einladung",
                "Nur eingeladene Kunden können sich hier verbinden, und der Link enthält keine Einladung.",
            ),
            InviteFault::Unknown => ("Diese Einladung ist nicht bekannt", "Die Einladung im Link gibt es nicht."),
            InviteFault::Expired => ("Diese Einladung ist abgelaufen", "Sie galt nur für eine begrenzte Zeit."),
            InviteFault::Withdrawn => (
                "Diese Einladung wurde zurückgezogen",
                "Wer Ihnen die Einladung geschickt hat, hat sie zurückgenommen.",
            ),
            InviteFault::InUse => (
                "Diese Einladung wird gerade benutzt",
                "Jemand erteilt mit dieser Einladung gerade in einem anderen Browser Zugriff. Sie gilt nur einmal.",
            ),
            InviteFault::Used => (
                "Diese Einladung ist verbraucht",
                "Jede Einladung gilt nur einmal, und diese wurde schon verwendet. Waren Sie es selbst, ist alles erledigt. Sehen \
                 können Sie es, wenn Sie sich anmelden:",
            ),
        };
        let next = match fault {
            InviteFault::Used => html! {
                p { "Waren Sie es nicht, oder möchten Sie mehr erteilen, bitten Sie " (partner) " um eine neue Einladung." }
            },
            _ => html! {
                p { "Bitten Sie " (partner) " um eine neue Einladung. Wenn Sie einen Link haben, prüfen Sie, ob er vollständig ist." }
            },
        };
        Told::new(title, html! { (what) }, next)
    },
    link: |partner, part| {
        Told::new(
            "Dieser Link ist nicht vollständig",
            html! {
                @match part {
                    Some(name) => { "Der Teil " code { (name) } " des Links ist ungültig." }
                    None => "Ein Teil des Links kommt zweimal vor.",
                }
            },
            html! {
                p { "Kopieren Sie den ganzen Link von " (partner) " ohne Zeilenumbrüche und öffnen Sie ihn noch einmal." }
            },
        )
    },
    unknown_domain: || {
        Told::new(
            "Keine Organisation hat diese Domäne",
            html! { "Microsoft Entra kennt keine Organisation mit der Domäne im Link." },
            html! {
                p { "Prüfen Sie die Schreibweise der Domäne. Es muss eine sein, die Ihre Organisation in Microsoft Entra bestätigt "
                    "hat." }
            },
        )
    },
    two_tenants: |partner| {
        Told::new(
            "Der Link betrifft zwei Organisationen",
            html! { "Das Abonnement im Link gehört zu einer anderen Organisation als der Rest des Links." },
            html! { p { "Bitten Sie " (partner) " um einen Link für die Organisation, der das Abonnement gehört." } },
        )
    },
    session_ended: |partner| {
        Told::new(
            "Ihre Anmeldung ist beendet",
            html! {
                "Zu Ihrer Sicherheit gilt eine Anmeldung zehn Minuten und nur in einem Browser. Diese ist abgelaufen oder "
                "begann in einem anderen Browser."
            },
            html! {
                p { (DONE_IF_SEEN) " Wenn nicht:" }
                (open_link(partner))
                p.soft { "Geschieht es sofort wieder, erlauben Sie Cookies für diese Website." }
            },
        )
    },
    tampered: |partner| {
        Told::new(
            "Ihre Anmeldung ist nicht lesbar",
            html! { "Was Ihr Browser bei diesem Schritt gesendet hat, wurde verändert oder stammt nicht von uns." },
            open_link(partner),
        )
    },
    used: || {
        Told::new(
            "Dieser Schritt ist schon erledigt",
            html! {
                "Jeder Schritt einer Anmeldung gilt nur einmal. Diese Meldung erscheint nach dem Zurückgehen, dem Neuladen oder "
                "dem doppelten Absenden eines Formulars."
            },
            html! {
                p { (DONE_IF_SEEN) " Sonst öffnen Sie Ihren Link noch einmal; nichts wird je doppelt erteilt." }
            },
        )
    },
    foreign_answer: |partner| {
        Told::new(
            "Diese Anmeldung begann nicht hier",
            html! { "Die Antwort von Microsoft gehört zu keiner Anmeldung, die in diesem Browser begonnen hat." },
            html! {
                (open_link(partner))
                p.soft { "Folgen Sie keinen Anmeldelinks, die jemand anderes begonnen hat." }
            },
        )
    },
    cancelled: || {
        Told::new(
            "Die Anmeldung wurde abgebrochen",
            html! {
                "Sie sind zurückgegangen, haben abgelehnt oder die Seite verlassen, die eine Zustimmung der Administration verlangt."
            },
            html! {
                p { "Um fortzufahren, melden Sie sich noch einmal an und stimmen Sie zu. Die Anwendung möchte einmal in Ihrem Namen "
                    "in Azure handeln, um die Rollenzuweisung vorzunehmen, die Sie dann bestätigen." }
                p { "Wenn Microsoft eine Genehmigung der Administration verlangt hat: Senden Sie Ihren Link an jemanden aus der "
                    "Administration Ihrer Organisation; dort kann alles an Ihrer Stelle getan werden." }
            },
        )
    },
    approval: |client_id| {
        Told::new(
            "Die Administration muss zuerst zustimmen",
            html! { "In Ihrer Organisation darf nur die Administration neue Anwendungen zulassen." },
            html! {
                p { "Senden Sie Ihren Link an jemanden mit der Rolle Cloudanwendungsadministrator, Anwendungsadministrator oder "
                    "Globaler Administrator. Wer sich so anmeldet, kann "
                    strong { "Zustimmung im Namen Ihrer Organisation" } " ankreuzen; melden Sie sich dann selbst noch einmal an, oder "
                    "überlassen Sie den Rest dieser Person, wenn sie auch in Azure Rollen zuweisen darf." }
                p { "Oder die Administration fügt die Anwendung (Client-ID " code { (client_id) } ") auf der Befehlszeile hinzu:" }
                pre { code { "az ad sp create --id " (client_id) } }
            },
        )
    },
    sign_in_refused: |partner, named, advice| {
        let next = match advice {
            SignInAdvice::Assignment => {
                "Ihre Organisation erlaubt diese Anwendung nur zugewiesenen Personen. Bitten Sie die Administration, Sie unter \
                 Unternehmensanwendungen zuzuweisen."
            }
            SignInAdvice::Disabled => {
                "Die Anwendung ist in Ihrer Organisation deaktiviert. Bitten Sie die Administration, sie unter \
                 Unternehmensanwendungen zu aktivieren."
            }
            SignInAdvice::UnknownAccount => {
                "Das Konto ist in dieser Organisation nicht bekannt. Verwenden Sie ein anderes, oder lassen Sie sich als Gast \
                 einladen."
            }
            SignInAdvice::Policy => {
                "Eine Richtlinie Ihrer Organisation (Bedingter Zugriff) lässt Sie von hier aus nicht zu. Verwenden Sie ein \
                 verwaltetes Gerät, oder fragen Sie Ihre IT."
            }
            SignInAdvice::SecondFactor => {
                "Es ist eine mehrstufige Authentifizierung nötig. Melden Sie sich noch einmal an und schließen Sie sie ab."
            }
            SignInAdvice::TenantRestriction => {
                "Ihre Organisation beschränkt den Zugriff auf Anwendungen anderer Organisationen. Bitten Sie Ihre IT, ihn zu erlauben."
            }
            SignInAdvice::WrongAccount => {
                "Diese Art von Konto geht hier nicht. Melden Sie sich mit einem Geschäfts- oder Schulkonto der Organisation selbst an."
            }
            SignInAdvice::Account => {
                "Mit dem Kennwort oder dem Konto stimmt etwas nicht. Fragen Sie Ihre IT, und melden Sie sich dann noch einmal an."
            }
            SignInAdvice::NotThere => {
                "Die Anwendung ist nicht oder noch nicht überall in Ihrer Organisation. Melden Sie sich in zwei Minuten noch einmal an \
                 und stimmen Sie zu, oder lassen Sie die Administration zustimmen."
            }
            SignInAdvice::UnknownTenant => {
                "Microsoft kennt die Organisation des Links nicht, oder sie ist in einer anderen Azure-Cloud. Prüfen Sie den Link."
            }
            SignInAdvice::NoAzure => {
                "Azure ist in dieser Organisation nicht eingerichtet. Prüfen Sie, ob Sie sich bei der Organisation mit den Abonnements anmelden."
            }
            SignInAdvice::Wait => {
                "Microsoft hat in kurzer Zeit zu viele Anmeldungen gesehen. Warten Sie einige Minuten, und melden Sie sich dann noch einmal an."
            }
            SignInAdvice::Again => "Melden Sie sich noch einmal an. Geschieht es wieder, nennen Sie uns die Referenz.",
        };
        Told::new(
            "Microsoft hat die Anmeldung abgelehnt",
            html! { "Microsoft Entra hat die Anmeldung beendet" @if !named.is_empty() { " (" (named) ")" } "." },
            html! { p { (next) } p.soft { (partner) " sieht Ihr Kennwort nie." } },
        )
    },
    personal_account: || {
        Told::new(
            "Ein persönliches Konto ist hier nicht möglich",
            html! { "Sie haben sich mit einem persönlichen Microsoft-Konto angemeldet. Zugriff erteilt hier nur eine Organisation." },
            html! { p { "Melden Sie sich mit Ihrem Geschäfts-, Schul- oder Unikonto an." } },
        )
    },
    other_tenant: || {
        Told::new(
            "Dieses Konto gehört zu einer anderen Organisation",
            html! { "Der Link gilt für eine andere Organisation als die, bei der Sie sich angemeldet haben." },
            html! { p { "Melden Sie sich mit einem Konto der Organisation an, für die der Link gilt." } },
        )
    },
    id_token: || {
        Told::new(
            "Die Anmeldung ist nicht vertrauenswürdig",
            html! { "Die Antwort von Microsoft hat unsere Prüfungen nicht bestanden; deshalb ging es nicht weiter." },
            html! {
                p { "Melden Sie sich noch einmal an. Geschieht es wieder, prüfen Sie die Uhr Ihres Computers und nennen Sie uns die "
                    "Referenz." }
            },
        )
    },
    no_subscriptions: |some_unusable, foreign| {
        Told::new(
            "Kein Abonnement steht zur Auswahl",
            html! {
                @if some_unusable { "Keines der Abonnements, die Sie sehen, ist derzeit nutzbar." }
                @else { "Mit diesem Konto sehen Sie kein Azure-Abonnement dieser Organisation." }
            },
            html! {
                p { "Melden Sie sich mit einem Konto an, das Besitzer (Owner) eines Abonnements dieser Organisation ist. Muss Ihre "
                    "Rolle erst aktiviert werden (Privileged Identity Management), aktivieren Sie sie und melden Sie sich noch "
                    "einmal an." }
                @if foreign > 0 {
                    p { "Sie sehen außerdem " (foreign)
                        @if foreign == 1 { " Abonnement einer anderen Organisation" } @else { " Abonnements anderer Organisationen" }
                        "; dafür melden Sie sich bei der jeweiligen Organisation an." }
                }
            },
        )
    },
    no_right: |person, lines| {
        Told::new(
            "Sie dürfen dies nicht erteilen",
            html! {
                "Sie sind als " strong { (person) } " angemeldet. Dieses Konto sieht Abonnements, darf aber für keines davon Rollen "
                "zuweisen."
            },
            html! {
                p { strong { "Aktivieren Sie Ihre Rolle. " } "Wenn Sie für Besitzer (Owner) oder Benutzerzugriffsadministrator "
                    "berechtigt sind (Privileged Identity Management), aktivieren Sie die Rolle und melden Sie sich noch einmal an. "
                    "Ein Globaler Administrator muss zuerst den Zugriff in Azure erhöhen." }
                p { strong { "Lassen Sie jemand anderen sich anmelden. " } "Senden Sie Ihren Link an jemanden mit der Rolle Besitzer, "
                    "Benutzerzugriffsadministrator oder Administrator für die rollenbasierte Zugriffssteuerung im Abonnement." }
                p { strong { "Nutzen Sie die Befehlszeile. " } "Wer Rollen zuweisen darf, kann dies ausführen und sich dann mit Ihrem "
                    "Link anmelden, damit wir davon erfahren:" }
                (commands::block(lines))
            },
        )
    },
    group_not_invited: |partner| {
        Told::new(
            "Ihre Einladung gilt für einzelne Abonnements",
            html! { "Die Einladung nennt die Abonnements, für die sie gilt; für eine Verwaltungsgruppe lässt sich damit nichts erteilen." },
            html! { p { "Gehen Sie zurück und wählen Sie Abonnements aus, oder bitten Sie " (partner) " um eine Einladung, die nicht auf Abonnements beschränkt ist." } },
        )
    },
    no_partner_principal: |partner| {
        Told::new(
            "Delegierung wird hier nicht angeboten",
            html! { "Die Anwendung von " (partner) " ist nicht dafür eingerichtet, Delegierungen mit Azure Lighthouse anzunehmen." },
            html! { p { "Wählen Sie einen anderen Weg, oder fragen Sie " (partner) "." } },
        )
    },
    csrf: |partner| {
        Told::new(
            "Das Formular ist nicht von dieser Seite",
            html! { "Das gesendete Formular gehört nicht zur Anmeldung in diesem Browser; deshalb wurde nichts getan." },
            open_link(partner),
        )
    },
    bad_form: |partner| {
        Told::new(
            "Das Formular ist nicht lesbar",
            html! { "Das gesendete Formular entspricht nicht dem unserer Seite." },
            open_link(partner),
        )
    },
    nothing_chosen: || {
        Told::new(
            "Es wurde kein Abonnement ausgewählt",
            html! { "Das Formular wurde ohne Abonnement gesendet." },
            html! { p { "Gehen Sie zurück und wählen Sie mindestens eines aus." } },
        )
    },
    not_offered: || {
        Told::new(
            "Dieses Abonnement stand nicht zur Wahl",
            html! { "Das Formular nannte ein Abonnement, das die Seite Ihnen nicht angeboten hat; deshalb wurde nichts getan." },
            html! { p { "Gehen Sie zurück und wählen Sie aus der Liste." } },
        )
    },
    spreading: || {
        Told::new(
            "Microsoft richtet die Anwendung noch ein",
            html! { "Die Anwendung ist neu in Ihrer Organisation, und Microsoft Entra kennt sie noch nicht auf jedem Server." },
            html! { p { "Warten Sie zwei Minuten und melden Sie sich dann noch einmal an. Ihre Zustimmung bleibt gültig." } },
        )
    },
    busy: || {
        Told::new(
            "Azure ist überlastet",
            html! { "Azure nimmt gerade nicht mehr Anfragen von uns an." },
            html! { p { "Warten Sie einige Minuten und melden Sie sich dann noch einmal an." } },
        )
    },
    azure: || {
        Told::new(
            "Azure hat nicht richtig geantwortet",
            html! { "Azure war nicht erreichbar, oder die Antwort war nicht zu verwenden." },
            html! {
                p { "Warten Sie einige Minuten und melden Sie sich dann noch einmal an. Den Zustand bei Microsoft zeigt "
                    code { "azure.status.microsoft" } "." }
            },
        )
    },
    ours: |partner| {
        Told::new(
            "Bei uns stimmt etwas nicht",
            html! { "Wir konnten diesen Schritt nicht beenden. Es liegt nicht an Ihnen, und der Fehler ist protokolliert." },
            html! {
                p { "Versuchen Sie es später noch einmal, oder nennen Sie " (partner) " die Referenz unten. Eine schon zugewiesene "
                    "Rolle wird beim nächsten Mal übernommen; nichts wird verdoppelt." }
            },
        )
    },
    wrong_method: || {
        Told::new(
            "So lässt sich diese Adresse nicht nutzen",
            html! { "Ihr Browser hat diese Adresse auf eine Art aufgerufen, die sie nicht annimmt." },
            html! { p { "Öffnen Sie den Link, den Sie erhalten haben, in einem Browser." } },
        )
    },
    form_too_large: || {
        Told::new(
            "Das Formular ist zu groß",
            html! { "Das gesendete Formular hat mehr als 64 KiB." },
            html! { p { "Wählen Sie weniger Abonnements auf einmal aus; für die anderen können Sie wiederkommen." } },
        )
    },
    not_found: |partner| {
        Told::new(
            "Diese Seite gibt es nicht",
            html! { "Unter dieser Adresse finden Sie keine unserer Seiten." },
            open_link(partner),
        )
    },
    too_many: |seconds| {
        Told::new(
            "Zu viele Anfragen",
            html! { "Aus Ihrem Netz oder von allen zusammen kamen mehr Anfragen, als wir auf einmal annehmen." },
            html! {
                p { "Warten Sie " (seconds) @if seconds == 1 { " Sekunde" } @else { " Sekunden" }
                    " und laden Sie die Seite dann noch einmal." }
            },
        )
    },
};
