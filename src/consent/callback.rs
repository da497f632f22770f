//! `ConsentCallback`: from Entra's answer to the page on which the person chooses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures_util::StreamExt as _;
use secrecy::SecretString;

use super::session::{Choosing, Entry, Offer, Phase, Purpose, Sealed, SigningIn, Standing};
use super::{Error, Failure, NoRight, Onward, cookie_of, fields, invite, sealed, visit};
use crate::app::App;
use crate::azure::{self, AccessToken, Authority, EntraRefusal, IdTokenFault, SubscriptionState};
use crate::model::{AccessTier, ClientId, ObjectId, SubscriptionId, TenantId, Timestamp};

/// Permission checks in flight at once.
const CHECKS: usize = 8;

/// No further permission check begins after this long: with many subscriptions or a busy Azure the grant will tell instead.
const CHECK_PATIENCE: Duration = Duration::from_secs(8);

/// How long the page waits for our service principal to be known in the tenant; the grant waits longer.
const PRINCIPAL_PATIENCE: Duration = Duration::from_secs(6);

/// Where the page is, once the code is out of the address.
const CHOOSE: &str = "/api/consent/callback?step=choose";

/// The same for who comes back.
const VISIT: &str = "/api/consent/callback?step=visit";

/// What the callback's address says.
#[derive(Debug)]
pub enum Callback {
    /// The person wants to see the page.
    Choose {
        /// All subscriptions are to be ticked.
        all: bool,
    },
    /// The person came back to see or take back what was granted.
    Visit,
    /// Entra sent the person back.
    Answer(Answer),
}

/// What Entra sent the person back with.
#[derive(Debug)]
pub enum Answer {
    /// A code.
    Code {
        /// The code.
        code: SecretString,
        /// What should be our state.
        state: SecretString,
    },
    /// An error.
    Refused {
        /// The error.
        refusal: EntraRefusal,
        /// True when Entra says that the person cancelled.
        cancelled: bool,
        /// What should be our state.
        state: SecretString,
    },
}

impl Callback {
    /// Reads the query. An error counts before everything else.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] when it is neither an answer of Entra nor a step of ours.
    pub fn parse(query: &str) -> Result<Self, Error> {
        const KNOWN: [&str; 7] = ["error", "error_description", "error_subcode", "code", "state", "step", "all"];
        let fields = fields(query, &KNOWN).ok_or(Error::StateMismatch)?;
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let state = field("state").unwrap_or_default().into();
        if let Some(error) = field("error") {
            let codes = field("error_description").and_then(aadsts).into_iter().collect();
            let error = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(60).collect();
            let cancelled = field("error_subcode") == Some("cancel");
            let refusal = EntraRefusal { error, codes, ..EntraRefusal::default() };
            return Ok(Self::Answer(Answer::Refused { refusal, cancelled, state }));
        }
        match (field("code"), field("step")) {
            (Some(code), _) if !code.is_empty() => Ok(Self::Answer(Answer::Code { code: code.into(), state })),
            (None, Some("choose")) => Ok(Self::Choose { all: field("all") == Some("1") }),
            (None, Some("visit")) => Ok(Self::Visit),
            _ => Err(Error::StateMismatch),
        }
    }
}

/// The number that Entra's description starts with: for the wording only.
fn aadsts(description: &str) -> Option<u32> {
    let digits = description.trim_start().strip_prefix("AADSTS")?;
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// Takes Entra's answer: redeems the code, checks who came, looks what he may grant, and leads on to the page.
///
/// # Errors
/// Every refusal of the way in; see [`Error`].
pub async fn callback(app: &Arc<App>, answer: Answer, cookie: Option<&str>) -> Result<Onward, Failure> {
    match answer {
        Answer::Refused { refusal, cancelled, state } => {
            // The session stays: the person may go back and try again while it lives.
            let opened = sealed::resume(app, cookie).await.ok();
            let entry = opened.as_ref().and_then(|opened| match &opened.phase {
                Phase::SigningIn(signing_in) if same(&signing_in.state, &state) => Some(signing_in.entry.clone()),
                _ => None,
            });
            Err(Failure { error: refused(refusal, cancelled), entry })
        }
        Answer::Code { code, state } => {
            let opened = sealed::resume(app, cookie).await?;
            let Phase::SigningIn(signing_in) = &opened.phase else {
                return Err(Error::Used.into());
            };
            if !same(&signing_in.state, &state) {
                return Err(Error::StateMismatch.into());
            }
            sealed::advance(app, &opened, &Phase::Redeeming).await?;
            let next = redeemed(app, signing_in, &code).await;
            // A new session, with a new key, for the person who is now known.
            sealed::end(app, &opened.ticket).await;
            let next = next.map_err(|error| error.of(&signing_in.entry))?;
            let ticket = sealed::begin(app, &next).await?;
            let location = if matches!(next, Phase::Visiting(_)) { VISIT } else { CHOOSE };
            Ok(Onward { location: location.to_owned(), cookie: cookie_of(app, &ticket)? })
        }
    }
}

fn same(ours: &Sealed, theirs: &SecretString) -> bool {
    use secrecy::ExposeSecret as _;
    verify_slices_are_equal(ours.0.as_bytes(), theirs.expose_secret().as_bytes()).is_ok()
}

/// What an error of the authorization endpoint means for the person (section 2.3 and 2.6). Pure.
fn refused(refusal: EntraRefusal, cancelled: bool) -> Error {
    const APPROVAL: [u32; 3] = [90_094, 90_095, 65_001];
    if refusal.codes.iter().any(|code| APPROVAL.contains(code)) || refusal.error == "consent_required" {
        Error::ApprovalNeeded
    } else if cancelled || (refusal.error == "access_denied" && matches!(refusal.codes.as_slice(), [] | [65_004])) {
        Error::Cancelled
    } else if refusal.is_transient() {
        Error::Azure(azure::Error::Unavailable { what: format!("Entra's sign-in: {}", refusal.error) })
    } else {
        Error::SignInRefused(refusal.into())
    }
}

async fn redeemed(app: &Arc<App>, signing_in: &SigningIn, code: &SecretString) -> Result<Phase, Error> {
    let SigningIn { nonce, verifier, authority, entry, chosen, .. } = signing_in;
    let verifier = SecretString::from(verifier.0.as_str());
    let redirect_uri = app.settings.redirect_uri();
    let granted = match app.azure.redeem(authority, code, &verifier, &redirect_uri).await {
        Err(azure::Error::TokenRefused(refusal)) if !refusal.is_about_our_credential() => {
            return Err(refused(*refusal, false));
        }
        granted => granted?,
    };
    let id_token = granted.id_token.ok_or(Error::IdToken(IdTokenFault::Malformed))?;
    let tenant = match authority {
        Authority::Tenant(tenant) => Some(*tenant),
        Authority::Organizations => None,
    };
    let person = app.azure.person(&id_token, tenant, &nonce.0).await?.map_err(Error::IdToken)?;
    tracing::info!(tenant.id = %person.tenant, user.oid = %person.object_id, "a person signed in");
    if entry.purpose != Purpose::Onboard {
        let visit = visit::begin(app, entry, chosen, person, &granted.access).await?;
        return Ok(Phase::Visiting(Box::new(visit)));
    }
    let invite = invite::check_for(app, entry.invite.as_deref(), person.tenant).await?.map(|invite| invite.value);

    let (seen, tenant_name, principal) = tokio::join!(
        app.azure.subscriptions(&granted.access),
        app.azure.tenant_name(person.tenant, &granted.access),
        principal(app, person.tenant),
    );
    let seen = seen?;
    let foreign = seen.subscriptions.iter().filter(|one| one.tenant != person.tenant).count();
    // A subscription of another tenant is not this tenant's to give, whoever sees it.
    let invited = |id| {
        invite.as_ref().is_none_or(|invite| invite.subscription_ids.is_empty() || invite.subscription_ids.contains(&id))
    };
    let own: Vec<_> =
        seen.subscriptions.into_iter().filter(|one| one.tenant == person.tenant && invited(one.id)).collect();
    let deadline = app.clock.now() + CHECK_PATIENCE;
    let check = |one: azure::SeenSubscription| {
        let (app, token) = (Arc::clone(app), granted.access.clone());
        async move {
            let standing = standing(&app, one.id, one.state, &token, deadline).await;
            Offer { id: one.id, name: one.name, standing }
        }
    };
    let mut offers: Vec<Offer> = futures_util::stream::iter(own).map(check).buffered(CHECKS).collect().await;
    offers.sort_by_cached_key(|offer| (offer.name.to_lowercase(), offer.id));
    let choosing = Choosing {
        entry: entry.clone(),
        chosen: chosen.clone(),
        tenant: person.tenant,
        tenant_name: tenant_name.ok().flatten(),
        person: person.object_id,
        person_name: person.name,
        person_user_name: person.user_name,
        token: Sealed(granted.access.expose().to_owned()),
        token_expires_at: granted.access.expires_at,
        csrf: Sealed(sealed::random_text::<32>(app.random.as_ref())),
        principal,
        offers,
        incomplete: seen.incomplete,
        tiers: invite.map(|invite| invite.tiers).unwrap_or_default(),
    };
    something_to_choose(&choosing, foreign)?;
    Ok(Phase::Choosing(Box::new(choosing)))
}

/// Our service principal in the tenant, if Entra knows it by now; for the page only.
async fn principal(app: &App, tenant: TenantId) -> Option<ObjectId> {
    let deadline = app.clock.now() + PRINCIPAL_PATIENCE;
    let token = app.azure.app_token_of_new_principal(tenant, deadline).await;
    let token =
        token.inspect_err(|error| tracing::info!(tenant.id = %tenant, %error, "no application token yet")).ok()?;
    app.azure.principal_of(&token, tenant).ok()
}

/// Whether a subscription can be chosen. Where the permission check itself fails, the grant will tell.
async fn standing(
    app: &App,
    id: SubscriptionId,
    state: SubscriptionState,
    token: &AccessToken,
    deadline: Timestamp,
) -> Standing {
    use SubscriptionState as State;
    if !matches!(state, State::Enabled | State::Warned | State::PastDue) {
        return Standing::NotUsable(state);
    }
    if app.clock.now() > deadline {
        return Standing::Offered;
    }
    match app.azure.may_assign_roles(id, token).await {
        Ok(true) => Standing::Offered,
        Ok(false) => Standing::NoRight,
        Err(error) => {
            tracing::info!(subscription.id = %id, %error, "the right to assign roles could not be checked beforehand");
            Standing::Offered
        }
    }
}

fn something_to_choose(choosing: &Choosing, foreign: usize) -> Result<(), Error> {
    let any = |standing: &Standing| choosing.offers.iter().any(|offer| offer.standing == *standing);
    if any(&Standing::Offered) {
        Ok(())
    } else if any(&Standing::NoRight) {
        Err(Error::NoRight(Box::new(NoRight {
            tenant: choosing.tenant,
            person: choosing.person_shown(),
            principal: choosing.principal,
            offers: choosing.offers.iter().filter(|offer| offer.standing == Standing::NoRight).cloned().collect(),
        })))
    } else {
        Err(Error::NoSubscriptions { unusable: choosing.offers.clone(), foreign })
    }
}

/// What the page shows.
#[derive(Debug)]
pub struct Choices {
    /// The tenant that grants.
    pub tenant: TenantId,
    /// What it calls itself; foreign text.
    pub tenant_name: Option<String>,
    /// Who grants; foreign text.
    pub person: String,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal in the tenant, where it is known yet.
    pub principal: Option<ObjectId>,
    /// The subscriptions.
    pub choices: Vec<Choice>,
    /// A subscription that the link named and that the person does not see.
    pub not_seen: Option<SubscriptionId>,
    /// True when Azure's list broke off.
    pub incomplete: bool,
    /// What the form must send back.
    pub csrf: SecretString,
    /// When the session ends.
    pub expires_at: Timestamp,
    /// How the person came.
    pub entry: Entry,
    /// What the partner asks for beyond the base.
    pub tiers: BTreeSet<AccessTier>,
}

/// One subscription on the page.
#[derive(Debug)]
pub struct Choice {
    /// The subscription.
    pub offer: Offer,
    /// Whether it is ticked at first.
    pub ticked: bool,
}

/// What the person of this browser may choose from.
///
/// # Errors
/// Any of a session that cannot go on.
pub async fn choices(app: &Arc<App>, cookie: Option<&str>, all: bool) -> Result<Choices, Failure> {
    let opened = sealed::resume(app, cookie).await?;
    let expires_at = opened.ticket.expires_at().ok_or(Error::Tampered)?;
    let choosing = match opened.phase {
        Phase::Choosing(choosing) => choosing,
        Phase::SigningIn(signing_in) => return Err(Error::StateMismatch.of(&signing_in.entry)),
        Phase::Redeeming | Phase::Granting | Phase::Visiting(_) => return Err(Error::Used.into()),
    };
    let offered = |offer: &Offer| offer.standing == Standing::Offered;
    let only_one = choosing.offers.iter().filter(|offer| offered(offer)).count() == 1;
    let wanted = choosing.entry.subscription;
    let person = choosing.person_shown();
    let ticked = |offer: &Offer| {
        offered(offer) && (all || only_one || wanted == Some(offer.id) || choosing.chosen.contains(&offer.id))
    };
    let choices: Vec<_> =
        choosing.offers.iter().map(|offer| Choice { ticked: ticked(offer), offer: offer.clone() }).collect();
    Ok(Choices {
        tenant: choosing.tenant,
        tenant_name: choosing.tenant_name,
        person,
        client_id: app.settings.identity.client_id,
        principal: choosing.principal,
        not_seen: wanted.filter(|wanted| !choosing.offers.iter().any(|offer| offer.id == *wanted)),
        choices,
        incomplete: choosing.incomplete,
        csrf: choosing.csrf.0.into(),
        expires_at,
        tiers: choosing.tiers,
        entry: choosing.entry,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(query: &str) -> Error {
        match Callback::parse(query).expect("an answer") {
            Callback::Answer(Answer::Refused { refusal, cancelled, .. }) => refused(refusal, cancelled),
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[test]
    fn an_error_counts_before_the_code_and_its_number_chooses_the_words() {
        assert!(matches!(error_of("code=x&state=y&error=access_denied&error_subcode=cancel"), Error::Cancelled));
        assert!(matches!(error_of("error=access_denied&error_description=AADSTS65004%3A+no"), Error::Cancelled));
        assert!(matches!(error_of("error=access_denied&error_description=AADSTS90094%3A+no"), Error::ApprovalNeeded));
        assert!(matches!(error_of("error=consent_required"), Error::ApprovalNeeded));
        assert!(matches!(error_of("error=temporarily_unavailable"), Error::Azure(_)));
        let foreign = error_of("error=%3Cscript%3Einvalid_request&error_description=AADSTS50011x");
        let Error::SignInRefused(refusal) = foreign else { panic!("{foreign}") };
        assert_eq!((refusal.error.as_str(), refusal.codes.as_slice()), ("scriptinvalid_request", [50_011].as_slice()));
    }

    #[test]
    fn an_address_that_is_no_answer_and_no_step_is_refused() {
        for query in ["", "state=x", "code=&state=x", "step=grant", "code=a&code=b&state=x", "step=choose&step=choose"]
        {
            assert!(matches!(Callback::parse(query), Err(Error::StateMismatch)), "{query}");
        }
        assert!(matches!(Callback::parse("step=choose&all=1"), Ok(Callback::Choose { all: true })));
    }
}
