//! `ConsentStart`: from a link to Entra's sign-in page.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::session::{Entry, Phase, Purpose, Sealed, SigningIn};
use super::{Error, Failure, Onward, cookie_of, fields, invite, sealed};
use crate::app::App;
use crate::azure::{Authority, Domain, Prompt, SignIn};
use crate::model::{SubscriptionId, TenantId};

/// The parameters of the link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartQuery {
    entry: Entry,
}

impl StartQuery {
    /// Reads the query of the link; what it does not know, it ignores.
    ///
    /// # Errors
    /// [`Error::BadParameter`], [`Error::RepeatedParameter`].
    pub fn parse(query: &str) -> Result<Self, Error> {
        const KNOWN: [&str; 4] = ["subscriptionId", "tenant", "invite", "purpose"];
        let mut entry = Entry::default();
        for (name, value) in fields(query, &KNOWN).ok_or(Error::RepeatedParameter)? {
            let value = value.trim();
            match name.as_str() {
                _ if value.is_empty() => {}
                "subscriptionId" => {
                    entry.subscription = Some(value.parse().map_err(|_| Error::BadParameter("subscriptionId"))?);
                }
                "tenant" => {
                    if value.parse::<TenantId>().is_err() && Domain::parse(value).is_none() {
                        return Err(Error::BadParameter("tenant"));
                    }
                    entry.tenant = Some(value.to_owned());
                }
                "purpose" => {
                    entry.purpose = Purpose::of_word(value).ok_or(Error::BadParameter("purpose"))?;
                }
                _ => entry.invite = Some(value.chars().take(100).collect()),
            }
        }
        Ok(Self { entry })
    }

    /// True when Azure must be asked whose tenant it is about.
    pub fn looks_up(&self) -> bool {
        let names_a_domain = |tenant: &String| tenant.parse::<TenantId>().is_err();
        self.entry.subscription.is_some() || self.entry.tenant.as_ref().is_some_and(names_a_domain)
    }
}

/// Begins a session and gives the address of Entra's sign-in page.
///
/// # Errors
/// [`Error::Invite`], [`Error::UnknownDomain`], [`Error::LinkOfTwoTenants`], [`Error::Azure`], [`Error::Store`].
pub async fn start(app: &App, query: StartQuery) -> Result<Onward, Failure> {
    let entry = query.entry;
    let authority = authority(app, &entry).await.map_err(|error| error.of(&entry))?;
    Ok(sign_in(app, authority, entry, Vec::new(), None).await?)
}

/// Begins a session for a sign-in. `step_up`: the sign-in must be a fresh one, with these claims where Azure named some.
pub(super) async fn sign_in(
    app: &App,
    authority: Authority,
    entry: Entry,
    chosen: Vec<SubscriptionId>,
    step_up: Option<Option<&str>>,
) -> Result<Onward, Error> {
    let random = app.random.as_ref();
    let (state, nonce) = (sealed::random_text::<32>(random), sealed::random_text::<32>(random));
    let verifier = sealed::random_text::<32>(random);
    let redirect_uri = app.settings.redirect_uri();
    let code_challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let prompt = match step_up {
        None => Prompt::SelectAccount,
        Some(None) => Prompt::Login,
        Some(Some(claims)) => Prompt::Claims(claims),
    };
    let location = app
        .azure
        .authorize_url(
            &authority,
            &SignIn {
                redirect_uri: &redirect_uri,
                state: &state,
                nonce: &nonce,
                code_challenge: &code_challenge,
                prompt,
            },
        )
        .ok_or(Error::Internal("the address of Entra's sign-in page is no address"))?
        .into();
    let phase = Phase::SigningIn(SigningIn {
        state: Sealed(state),
        nonce: Sealed(nonce),
        verifier: Sealed(verifier),
        authority,
        entry,
        chosen,
    });
    let ticket = sealed::begin(app, &phase).await?;
    tracing::info!(authority = %authority, "a sign-in began");
    Ok(Onward { location, cookie: cookie_of(app, &ticket)? })
}

/// Which tenant to sign in to: the invite's, the named one, the subscription's; else wherever the account is at home.
async fn authority(app: &App, entry: &Entry) -> Result<Authority, Error> {
    // Who comes back needs no invite: his tenant's own record lets him in.
    let invite = match entry.purpose {
        Purpose::Onboard => invite::check(app, entry.invite.as_deref()).await?,
        Purpose::Receipt | Purpose::Leave => None,
    };
    let mut tenants: Vec<TenantId> = invite.and_then(|invite| invite.value.tenant_id).into_iter().collect();
    if let Some(text) = &entry.tenant {
        tenants.push(match (text.parse(), Domain::parse(text)) {
            (Ok(tenant), _) => tenant,
            (Err(_), Some(domain)) => app.azure.tenant_of_domain(&domain).await?.ok_or(Error::UnknownDomain)?,
            (Err(_), None) => return Err(Error::BadParameter("tenant")),
        });
    }
    if let Some(subscription) = entry.subscription {
        tenants.extend(home_of(app, subscription).await);
    }
    match tenants.as_slice() {
        [] => Ok(Authority::Organizations),
        [first, rest @ ..] if rest.iter().all(|tenant| tenant == first) => Ok(Authority::Tenant(*first)),
        _ => Err(Error::LinkOfTwoTenants),
    }
}

/// The tenant of a subscription, where Azure names it. The answer is a convenience: without it the person signs in anywhere,
/// and the list of his subscriptions decides.
async fn home_of(app: &App, subscription: SubscriptionId) -> Option<TenantId> {
    match app.azure.tenant_of_subscription(subscription).await {
        Ok(tenant) => tenant,
        Err(error) => {
            tracing::warn!(subscription.id = %subscription, %error, "the tenant of a subscription could not be had");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_read_strictly_and_what_is_unknown_is_ignored() {
        let id = "00000000-0000-4000-8000-000000000001";
        let query = StartQuery::parse(&format!("subscriptionId={id}&tenant=contoso.example&invite=abc&utm=x"));
        let entry = query.expect("a good link").entry;
        assert_eq!(entry.subscription.map(|id| id.to_string()).as_deref(), Some(id));
        assert_eq!(
            entry.start_path(),
            format!("/api/consent/start?invite=abc&subscriptionId={id}&tenant=contoso.example")
        );
        assert_eq!(StartQuery::parse("").expect("no parameter").entry.start_path(), "/api/consent/start");
        assert!(matches!(StartQuery::parse("invite=a&invite=b"), Err(Error::RepeatedParameter)));
        for (query, name) in
            [("subscriptionId=1", "subscriptionId"), ("tenant=a%2Fb", "tenant"), ("tenant=..%2F..", "tenant")]
        {
            assert!(matches!(StartQuery::parse(query), Err(Error::BadParameter(found)) if found == name), "{query}");
        }
    }
}
