//! `ConsentCallback`: from Entra's answer to the page on which the person chooses.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use futures_util::StreamExt as _;
use secrecy::SecretString;

use super::choose::Shown;
use super::session::{self, Choosing, Chosen, Elsewhere, Group, Offer, Phase, Purpose, Sealed, SigningIn, Standing};
use super::template::Format;
use super::{Error, Failure, NoRight, Onward, cookie_of, fields, invite, manual, sealed, visit};
use crate::app::App;
use crate::azure::{self, AccessToken, Authority, EntraRefusal, IdTokenFault, Person, Reach, SubscriptionState};
use crate::model::{Invite, ObjectId, SubscriptionId, TenantId, Timestamp};

/// Permission checks in flight at once.
const CHECKS: usize = 8;

/// No further permission check begins after this long: with many subscriptions or a busy Azure the grant will tell instead.
const CHECK_PATIENCE: Duration = Duration::from_secs(8);

/// How long the page waits for our service principal to be known in the tenant; the grant waits longer.
const PRINCIPAL_PATIENCE: Duration = Duration::from_secs(6);

/// More management groups and tenants than these are not listed on the page; a group can be named there.
const MOST_GROUPS: usize = 200;
const MOST_TENANTS: usize = 50;

/// Where the page is, once the code is out of the address.
pub(super) const CHOOSE: &str = "/api/consent/callback?step=choose";

/// The same for who comes back.
const VISIT: &str = "/api/consent/callback?step=visit";

/// What the callback's address says.
#[derive(Debug)]
pub enum Callback {
    /// The person wants to see the page of the choice.
    Choose(Shown),
    /// The person came back to see or take back what was granted.
    Visit,
    /// He wants to see what to do without us, for these subscriptions.
    Manual(String),
    /// He wants the template.
    Template(Format),
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
        const KNOWN: [&str; 10] = [
            "error",
            "error_description",
            "error_subcode",
            "code",
            "state",
            "step",
            "q",
            "page",
            "subscriptions",
            "format",
        ];
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
            (None, Some("choose")) => Ok(Self::Choose(Shown::of(field("q"), field("page")))),
            (None, Some("visit")) => Ok(Self::Visit),
            (None, Some("manual")) => Ok(Self::Manual(field("subscriptions").unwrap_or_default().to_owned())),
            (None, Some("template")) => match field("format") {
                Some("bicep") => Ok(Self::Template(Format::Bicep)),
                _ => Ok(Self::Template(Format::Arm)),
            },
            _ => Err(Error::StateMismatch),
        }
    }
}

/// The number that Entra's description starts with: for the wording only.
pub(super) fn aadsts(description: &str) -> Option<u32> {
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
            let location = match next {
                Phase::Manual(_) => manual::PAGE,
                Phase::Visiting(_) => VISIT,
                _ => CHOOSE,
            };
            Ok(Onward { location: location.to_owned(), cookie: cookie_of(app, &ticket)? })
        }
    }
}

pub(super) fn same(ours: &Sealed, theirs: &SecretString) -> bool {
    use secrecy::ExposeSecret as _;
    verify_slices_are_equal(ours.0.as_bytes(), theirs.expose_secret().as_bytes()).is_ok()
}

/// What an error of the authorization endpoint means for the person (section 2.3 and 2.6). Pure.
pub(super) fn refused(refusal: EntraRefusal, cancelled: bool) -> Error {
    if refusal.is_our_mistake() {
        tracing::error!(entra.error = refusal.error, entra.codes = ?refusal.codes, "our registration or request is wrong");
    }
    const APPROVAL: [u32; 3] = [90_094, 90_095, 65_001];
    if refusal.codes.iter().any(|code| APPROVAL.contains(code)) || refusal.error == "consent_required" {
        Error::ApprovalNeeded
    } else if cancelled || (refusal.error == "access_denied" && matches!(refusal.codes.as_slice(), [] | [65_004])) {
        Error::Cancelled
    } else if refusal.is_our_mistake() {
        Error::Internal("Entra does not take our registration or request as it is; see the codes in the log")
    } else if refusal.is_transient() {
        Error::Azure(azure::Error::Unavailable { what: format!("Entra's sign-in: {}", refusal.error) })
    } else {
        Error::SignInRefused(refusal.into())
    }
}

async fn redeemed(app: &Arc<App>, signing_in: &SigningIn, code: &SecretString) -> Result<Phase, Error> {
    let SigningIn { nonce, verifier, authority, entry, reach, again, .. } = signing_in;
    let verifier = SecretString::from(verifier.0.as_str());
    let redirect_uri = app.settings.redirect_uri();
    let granted = match app.azure.redeem(authority, code, &verifier, &redirect_uri, *reach).await {
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
        let visit = visit::begin(app, entry, again.as_ref(), person, &granted.access).await?;
        return Ok(Phase::Visiting(Box::new(visit)));
    }
    let invite = invite::check_for(app, entry.invite.as_deref(), person.tenant).await?.map(|invite| invite.value);

    match reach {
        Reach::ResourceManager => {
            let choosing = choosing(app, signing_in, person, &granted.access, invite).await?;
            Ok(Phase::Choosing(Box::new(choosing)))
        }
        Reach::Identity => {
            let person_shown = session::shown(&person.name, &person.user_name, person.object_id);
            let person_known = Some((person.object_id, person_shown));
            Ok(Phase::Manual(Box::new(manual::begin(app, entry.clone(), person.tenant, person_known))))
        }
    }
}

/// Looks what the person may grant.
async fn choosing(
    app: &Arc<App>,
    signing_in: &SigningIn,
    person: Person,
    token: &AccessToken,
    invite: Option<Invite>,
) -> Result<Choosing, Error> {
    let (seen, tenants, groups, principal) = tokio::join!(
        app.azure.subscriptions(token),
        app.azure.tenants(token),
        app.azure.management_groups(token),
        principal(app, person.tenant),
    );
    let seen = seen?;
    let foreign = seen.subscriptions.iter().filter(|one| one.tenant != person.tenant).count();
    let named = |id| {
        invite.as_ref().is_none_or(|invite| invite.subscription_ids.is_empty() || invite.subscription_ids.contains(&id))
    };
    // A subscription of another tenant is not this tenant's to give, whoever sees it.
    let own: Vec<_> =
        seen.subscriptions.into_iter().filter(|one| one.tenant == person.tenant && named(one.id)).collect();
    let deadline = app.clock.now() + CHECK_PATIENCE;
    let check = |one: azure::SeenSubscription| {
        let (app, token) = (Arc::clone(app), token.clone());
        async move {
            let overdue = matches!(one.state, SubscriptionState::PastDue | SubscriptionState::Warned);
            let standing = standing(&app, one.id, one.state, &token, deadline).await;
            Offer { id: one.id, name: one.name, standing, overdue }
        }
    };
    let mut offers: Vec<Offer> = futures_util::stream::iter(own).map(check).buffered(CHECKS).collect().await;
    offers.sort_by_cached_key(|offer| (offer.name.to_lowercase(), offer.id));
    // Who may see no management group, or no other tenant, simply has none on the page.
    let groups =
        groups.inspect_err(|error| tracing::debug!(%error, "no management groups are seen")).unwrap_or_default();
    let groups_allowed = invite.as_ref().is_none_or(|invite| invite.subscription_ids.is_empty());
    let (own_name, elsewhere) = split(tenants.unwrap_or_default(), person.tenant);
    let tiers = invite.map(|invite| invite.tiers).unwrap_or_default();
    let chosen = signing_in.again.clone().unwrap_or_else(|| {
        let usable: Vec<_> =
            offers.iter().filter(|offer| offer.standing == Standing::Offered).map(|one| one.id).collect();
        let wanted = |id: &&SubscriptionId| usable.len() == 1 || signing_in.entry.subscription == Some(**id);
        let subscriptions = usable.iter().filter(wanted).copied().collect();
        Chosen { subscriptions, group: None, tiers: tiers.clone() }
    });
    let choosing = Choosing {
        entry: signing_in.entry.clone(),
        chosen,
        stepped_up: signing_in.again.is_some(),
        tenant: person.tenant,
        tenant_name: own_name,
        person: person.object_id,
        person_name: person.name,
        person_user_name: person.user_name,
        token: Sealed(token.expose().to_owned()),
        token_expires_at: token.expires_at,
        csrf: Sealed(sealed::random_text::<32>(app.random.as_ref())),
        principal,
        offers,
        groups: match groups_allowed {
            true => groups.into_iter().take(MOST_GROUPS).map(|one| Group { id: one.id, name: one.name }).collect(),
            false => Vec::new(),
        },
        groups_allowed,
        elsewhere,
        incomplete: seen.incomplete,
        tiers,
    };
    something_to_choose(&choosing, foreign)?;
    Ok(choosing)
}

/// The name of one's own tenant, and the others. Pure.
fn split(tenants: Vec<azure::SeenTenant>, own: TenantId) -> (Option<String>, Vec<Elsewhere>) {
    let name = tenants.iter().find(|one| one.id == own).and_then(|one| one.name.clone());
    let others = tenants.into_iter().filter(|one| one.id != own).take(MOST_TENANTS);
    (name, others.map(|one| Elsewhere { tenant: one.id, name: one.name }).collect())
}

/// Our service principal in the tenant, if Entra knows it by now; for the page only.
pub(super) async fn principal(app: &App, tenant: TenantId) -> Option<ObjectId> {
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
            entry: choosing.entry.clone(),
        })))
    } else {
        let elsewhere = choosing.elsewhere.clone();
        Err(Error::NoSubscriptions { unusable: choosing.offers.clone(), foreign, elsewhere })
    }
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
        let foreign = error_of("error=%3Cscript%3Einvalid_request&error_description=AADSTS53003x");
        let Error::SignInRefused(refusal) = foreign else { panic!("{foreign}") };
        assert_eq!((refusal.error.as_str(), refusal.codes.as_slice()), ("scriptinvalid_request", [53_003].as_slice()));
    }

    #[test]
    fn an_address_that_is_no_answer_and_no_step_is_refused() {
        for query in ["", "state=x", "code=&state=x", "step=grant", "code=a&code=b&state=x", "step=choose&step=choose"]
        {
            assert!(matches!(Callback::parse(query), Err(Error::StateMismatch)), "{query}");
        }
        let Ok(Callback::Choose(shown)) = Callback::parse("step=choose&q=+prod&page=2") else {
            panic!("a step of ours")
        };
        assert_eq!(shown, Shown::of(Some("prod"), Some("2")));
    }
}
