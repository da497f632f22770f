//! `ConsentStart`: from a link to Entra's sign-in page.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::lighthouse::{self, DelegationOffer};
use super::session::{Chosen, Entry, Phase, Purpose, Sealed, SigningIn, Way};
use super::template::Template;
use super::{Error, Failure, Onward, admin, cookie_of, fields, invite, manual, sealed};
use crate::app::App;
use crate::azure::{Authority, Domain, Prompt, Reach, SignIn};
use crate::model::{SubscriptionId, TenantId};

/// The parameters of the link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartQuery {
    entry: Entry,
    /// The template is wanted, not the page about it.
    download: bool,
}

impl StartQuery {
    /// Reads the query of the link; what it does not know, it ignores.
    ///
    /// # Errors
    /// [`Error::BadParameter`], [`Error::RepeatedParameter`].
    pub fn parse(query: &str) -> Result<Self, Error> {
        const KNOWN: [&str; 6] = ["subscriptionId", "tenant", "invite", "way", "download", "purpose"];
        let (mut entry, mut download) = (Entry::default(), false);
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
                "way" => entry.way = Way::of_word(value).ok_or(Error::BadParameter("way"))?,
                "download" => download = true,
                _ => entry.invite = Some(value.chars().take(100).collect()),
            }
        }
        if entry.purpose != Purpose::Onboard {
            // Who comes back signs in: no other way, and no file, may pass by the invite with it.
            (entry.way, download) = (Way::SignIn, false);
        }
        Ok(Self { entry, download })
    }

    /// True when Azure must be asked whose tenant it is about.
    pub fn looks_up(&self) -> bool {
        let names_a_domain = |tenant: &String| tenant.parse::<TenantId>().is_err();
        self.entry.subscription.is_some() || self.entry.tenant.as_ref().is_some_and(names_a_domain)
    }
}

/// What a link leads to.
#[derive(Debug)]
pub enum Started {
    /// On to Entra, or to a page of ours with a session.
    Onward(Onward),
    /// The choice between the ways in.
    Ways(Entry),
    /// The page about a delegation.
    Lighthouse(DelegationOffer, Entry),
    /// A file.
    Template(Template),
}

/// Begins what the link asks for: mostly a session and the address of Entra's sign-in page.
///
/// # Errors
/// [`Error::Invite`], [`Error::UnknownDomain`], [`Error::LinkOfTwoTenants`], [`Error::NoPartnerPrincipal`],
/// [`Error::Azure`], [`Error::Store`].
pub async fn start(app: &Arc<App>, query: StartQuery) -> Result<Started, Failure> {
    let StartQuery { entry, download } = query;
    begin(app, &entry, download).await.map_err(|error| error.of(&entry))
}

async fn begin(app: &Arc<App>, entry: &Entry, download: bool) -> Result<Started, Error> {
    let way = entry.way;
    if matches!(way, Way::All | Way::Lighthouse) {
        invite::check(app, entry.invite.as_deref()).await?;
    }
    match way {
        Way::All => Ok(Started::Ways(entry.clone())),
        Way::Lighthouse if download => Ok(Started::Template(lighthouse::delegation_template(app).await?)),
        Way::Lighthouse => Ok(Started::Lighthouse(lighthouse::offer(app).await?, entry.clone())),
        Way::Admin => {
            let authority = authority(app, entry).await?;
            admin::begin(app, authority, entry.clone()).await.map(Started::Onward)
        }
        Way::Manual => {
            let invite = invite::check(app, entry.invite.as_deref()).await?;
            match (invite.and_then(|invite| invite.value.tenant_id), authority(app, entry).await?) {
                // The partner made the invite for this tenant: whoever has its link needs no sign-in to follow a recipe.
                (Some(tenant), _) => {
                    let manual = Phase::Manual(Box::new(manual::begin(app, entry.clone(), tenant, None)));
                    let ticket = sealed::begin(app, &manual).await?;
                    let location = manual::PAGE.to_owned();
                    Ok(Started::Onward(Onward { location, cookie: cookie_of(app, &ticket)? }))
                }
                (None, authority) => {
                    let wanted = Wanted { reach: Reach::Identity, ..Wanted::first(entry.clone()) };
                    sign_in(app, authority, wanted).await.map(Started::Onward)
                }
            }
        }
        Way::SignIn => {
            let authority = authority(app, entry).await?;
            sign_in(app, authority, Wanted::first(entry.clone())).await.map(Started::Onward)
        }
    }
}

/// What a sign-in is for.
pub(super) struct Wanted<'a> {
    pub entry: Entry,
    pub reach: Reach,
    pub again: Option<Again<'a>>,
}

/// Why a person signs in once more, with what he chose.
pub(super) struct Again<'a> {
    pub chosen: Chosen,
    /// What Azure demands of the sign-in, where it says so. None: a fresh one.
    pub claims: Option<&'a str>,
    pub login_hint: &'a str,
}

impl Wanted<'_> {
    fn first(entry: Entry) -> Self {
        Self { entry, reach: Reach::ResourceManager, again: None }
    }
}

/// Begins a session for a sign-in.
pub(super) async fn sign_in(app: &App, authority: Authority, wanted: Wanted<'_>) -> Result<Onward, Error> {
    let Wanted { entry, reach, again } = wanted;
    let random = app.random.as_ref();
    let (state, nonce) = (sealed::random_text::<32>(random), sealed::random_text::<32>(random));
    let verifier = sealed::random_text::<32>(random);
    let redirect_uri = app.settings.redirect_uri();
    let code_challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let prompt = match again.as_ref().map(|again| again.claims) {
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
                login_hint: again.as_ref().map(|again| again.login_hint).filter(|hint| !hint.is_empty()),
                reach,
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
        reach,
        again: again.map(|again| again.chosen),
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
        for (query, name) in [
            ("subscriptionId=1", "subscriptionId"),
            ("tenant=a%2Fb", "tenant"),
            ("tenant=..%2F..", "tenant"),
            ("way=x", "way"),
        ] {
            assert!(matches!(StartQuery::parse(query), Err(Error::BadParameter(found)) if found == name), "{query}");
        }
    }
}
