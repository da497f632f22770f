//! What a refusal means, and which permission, consent or setting mends it: one text for whoever runs a job. Pure.

use std::time::Duration;

use super::patience::LONGEST;
use crate::azure::{EntraRefusal, Error, LogError, MailError, MetricsError, Refusal, Service};
use crate::model::{ClientId, TenantId};

/// Who asks, for commands that mend things.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Our application.
    pub client_id: ClientId,
    /// The tenant whose token was used.
    pub tenant_id: TenantId,
    /// Where Entra is, without a slash at its end.
    pub authority: &'a str,
    /// What the token says of permissions, where it could be read.
    pub roles: Option<&'a [String]>,
    /// How long has been waited for permissions to spread.
    pub waited: Duration,
}

/// Microsoft Graph, and the ids of its application permissions (section 0 of the contract).
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
const USER_READ_ALL: (&str, &str) = ("User.Read.All", "df021288-bdef-4463-88db-98f22de89214");
const MAIL_SEND: (&str, &str) = ("Mail.Send", "b633e1c5-b582-4048-a93e-9f11b44c7e96");

/// Users could not be read.
pub fn users(error: &Error, asker: &Asker<'_>) -> Option<String> {
    let Some(refusal) = error.refusal() else { return token(error, asker, Service::Graph) };
    match refusal.status {
        401 => Some(wrong_token(refusal)),
        403 => Some(permission(USER_READ_ALL, asker)),
        404 => Some("there is no such user in this tenant: give the sign-in name or the object id".to_owned()),
        400 | 501 => Some(format!(
            "Graph does not take this --select, --filter or --search (a search is \"displayName:olivia\", with its \
             double quotes): {}",
            refusal.message
        )),
        _ => None,
    }
}

/// A message was not sent.
pub fn mail(error: &MailError, from: &str, asker: &Asker<'_>) -> Option<String> {
    match error {
        MailError::Token(error) => token(error, asker, Service::Graph),
        MailError::NotPermitted(refusal) if refusal.status == 401 => Some(wrong_token(refusal)),
        MailError::NotPermitted(refusal) if !mail_may_pass(refusal) => Some(format!(
            "an application access policy of Exchange Online keeps our application from {from}: an administrator of \
             Exchange adds it with New-ApplicationAccessPolicy, or to the scope of RBAC for Applications; changes take up to an hour"
        )),
        MailError::NotPermitted(_) => Some(format!(
            "{}\nOr, for chosen mailboxes only, an administrator of Exchange gives the role \"Application Mail.Send\" (RBAC for \
             Applications); the token then says nothing of it",
            permission(MAIL_SEND, asker)
        )),
        MailError::NoMailbox(_) => Some(format!(
            "{from} must be the sign-in name or object id of a user of this tenant, or a shared mailbox, with a mailbox in \
             Exchange Online (a licence gives one); an application has no mailbox of its own"
        )),
        MailError::Refused(refusal) => Some(format!("Exchange says: {}", refusal.message)),
        MailError::Unavailable { .. } => {
            Some("it may have been sent all the same: look into the sent items before sending it again".to_owned())
        }
        MailError::Invalid { .. } | MailError::Throttled { .. } => None,
    }
}

/// True unless a policy of Exchange forbids it, which no waiting changes.
pub(super) fn mail_may_pass(refusal: &Refusal) -> bool {
    refusal.status == 403 && !refusal.mentions(&["AccessPolicy", "[RAOP]"])
}

/// Logs could not be asked.
pub fn logs(error: &LogError, asker: &Asker<'_>) -> Option<String> {
    match error {
        LogError::Azure(error) => token(error, asker, Service::Logs),
        LogError::NotPermitted(refusal) if refusal.status == 401 => Some(wrong_token(refusal)),
        LogError::NotPermitted(_) => Some(format!(
            "give our application the role Log Analytics Data Reader (or Reader) on the workspace:\n  \
             az role assignment create --assignee {} --role 'Log Analytics Data Reader' --scope <resource id of the workspace>\n\
             With the workspace's full resource id instead of its GUID, Resource Manager can be asked where the direct endpoint \
             refuses applications. {}",
            asker.client_id,
            spreading(asker.waited)
        )),
        LogError::NotFound(_) => Some(
            "the GUID is the workspace's own id (\"Workspace ID\" in the portal), neither its subscription's nor its tenant's; or \
             give its full resource id"
                .to_owned(),
        ),
        LogError::TooLong(_) => {
            Some("shorten --timespan, filter earlier in the query, or give it more time with --max-wait".to_owned())
        }
        LogError::Query { .. } => None,
    }
}

/// Metrics were not taken.
pub fn metrics(error: &MetricsError, asker: &Asker<'_>) -> Option<String> {
    match error {
        MetricsError::Azure(error) => token(error, asker, Service::Metrics),
        MetricsError::NotPermitted(refusal) if refusal.status == 401 => Some(wrong_token(refusal)),
        MetricsError::NotPermitted(_) => Some(format!(
            "give our application the role Monitoring Metrics Publisher on the resource (Contributor is not enough):\n  \
             az role assignment create --assignee {} --role 'Monitoring Metrics Publisher' --scope <resource id>\n{}",
            asker.client_id,
            spreading(asker.waited)
        )),
        MetricsError::NotFound(_) => Some(
            "the region must be the resource's own location, and the id that of a single resource; the provider \
             Microsoft.Insights must be registered in its subscription"
                .to_owned(),
        ),
        MetricsError::NoEndpoint => None,
    }
}

/// The words for a permission of Graph that is missing.
fn permission((name, id): (&str, &str), asker: &Asker<'_>) -> String {
    let has = match asker.roles {
        Some([]) => "The token has no application permissions. ".to_owned(),
        Some(roles) if roles.iter().any(|role| role == name) => format!("The token has {name}. "),
        Some(roles) => format!("The token has {}. ", roles.join(", ")),
        None => String::new(),
    };
    let client = asker.client_id;
    format!(
        "{has}Needed is {name} of Microsoft Graph as an application permission (a delegated one does not count), with an \
         administrator's consent:\n  \
         az ad app permission add --id {client} --api {GRAPH} --api-permissions {id}=Role\n  \
         az ad app permission admin-consent --id {client}\n{}",
        spreading(asker.waited)
    )
}

fn spreading(waited: Duration) -> String {
    if waited >= LONGEST {
        return "A new permission takes up to 60 minutes, which have passed: it is not there".to_owned();
    }
    "A permission that was given just now takes up to 60 minutes to be known everywhere".to_owned()
}

fn wrong_token(refusal: &Refusal) -> String {
    format!("Azure does not take the token itself ({}): see `doctor --token`, and this machine's clock", refusal.code)
}

/// No token was given for a service, or none could be asked for.
pub fn token(error: &Error, asker: &Asker<'_>, service: Service) -> Option<String> {
    match error {
        Error::TokenRefused(refusal) => refused(refusal, asker, service),
        _ => None,
    }
}

fn refused(refusal: &EntraRefusal, asker: &Asker<'_>, service: Service) -> Option<String> {
    let Asker { client_id, tenant_id, authority, .. } = asker;
    let has = |code: u32| refusal.codes.contains(&code);
    let consent = format!("{authority}/{tenant_id}/adminconsent?client_id={client_id}");
    Some(match refusal.remedy() {
        Some(remedy) if has(700_027) => {
            format!("{remedy}. What is uploaded is the certificate (server.crt), what signs is its key (server.pem)")
        }
        Some(remedy) => remedy.to_owned(),
        None if has(700_016) => format!(
            "the application {client_id} is not in the tenant {tenant_id}: see client and tenant id; in a tenant of others an \
             administrator must consent first: {consent}"
        ),
        None if has(7_000_229) => {
            format!("the tenant {tenant_id} has no service principal of ours: an administrator must consent: {consent}")
        }
        None if has(90_002) => format!("the tenant {tenant_id} is not known in this cloud: see the tenant id and AZURE_CLOUD"),
        None if has(7_000_112) => "an administrator has disabled our application in this tenant".to_owned(),
        None if has(500_011) && service == Service::Logs => {
            "the tenant does not know the API of Log Analytics: az ad sp create --id ca7f3f0b-7d91-482c-8e09-c5d840d0eac5"
                .to_owned()
        }
        None if has(500_011) => "the tenant does not know this service: see AZURE_CLOUD".to_owned(),
        None if has(53_003) || has(530_034) => {
            "a conditional access policy for workload identities keeps our application out".to_owned()
        }
        None => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker<'a>(roles: Option<&'a [String]>, waited: u64) -> Asker<'a> {
        Asker {
            client_id: uuid::Uuid::nil().into(),
            tenant_id: uuid::Uuid::nil().into(),
            authority: "https://login.microsoftonline.com",
            roles,
            waited: Duration::from_secs(waited),
        }
    }

    fn refusal(status: u16, code: &str, message: &str) -> Box<Refusal> {
        Box::new(Refusal { status, code: code.into(), message: message.into(), ..Refusal::default() })
    }

    #[test]
    fn a_missing_permission_is_named_with_what_is_there_and_how_it_is_given() {
        let denied = Error::Refused(refusal(403, "Authorization_RequestDenied", "Insufficient privileges"));
        let roles = ["Mail.Send".to_owned()];
        let text = users(&denied, &asker(Some(&roles), 0)).expect("explained");
        insta::assert_snapshot!(text, @r"
        The token has Mail.Send. Needed is User.Read.All of Microsoft Graph as an application permission (a delegated one does not count), with an administrator's consent:
          az ad app permission add --id 00000000-0000-0000-0000-000000000000 --api 00000003-0000-0000-c000-000000000000 --api-permissions df021288-bdef-4463-88db-98f22de89214=Role
          az ad app permission admin-consent --id 00000000-0000-0000-0000-000000000000
        A permission that was given just now takes up to 60 minutes to be known everywhere
        ");
        let late = users(&denied, &asker(Some(&[]), 3600)).expect("explained");
        assert!(late.starts_with("The token has no application permissions.") && late.ends_with("it is not there"));
    }

    #[test]
    fn a_policy_of_exchange_is_told_apart_from_a_missing_permission() {
        let kept =
            refusal(403, "ErrorAccessDenied", "Access to OData is disabled: [RAOP] : Blocked by AppOnly AccessPolicy");
        let missing = refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.");
        assert!(!mail_may_pass(&kept) && mail_may_pass(&missing));
        let say = |refusal| mail(&MailError::NotPermitted(refusal), "a@b.example", &asker(None, 0)).expect("explained");
        assert!(say(kept).contains("New-ApplicationAccessPolicy"));
        let text = say(missing);
        assert!(text.contains("b633e1c5-b582-4048-a93e-9f11b44c7e96=Role") && text.contains("RBAC for Applications"));
    }

    #[test]
    fn each_refusal_of_a_token_has_its_remedy() {
        for (code, part) in [
            (7_000_215, "not its id"),
            (700_016, "/adminconsent?client_id="),
            (7_000_229, "/adminconsent?client_id="),
            (90_002, "AZURE_CLOUD"),
            (500_011, "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5"),
            (700_027, "server.crt"),
            (53_003, "conditional access"),
        ] {
            let error = Error::TokenRefused(EntraRefusal { codes: vec![code], ..EntraRefusal::default() }.into());
            let text = token(&error, &asker(None, 0), Service::Logs).unwrap_or_else(|| panic!("{code} is explained"));
            assert!(text.contains(part), "{code}: {text}");
        }
    }
}
