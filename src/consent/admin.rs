//! `AdminConsentCallback`: an administrator has consented for his whole tenant, or says so.
//!
//! What comes back names a tenant, which anybody can write into an address. It is never read: what we believe is a token of
//! our own for the tenant that we sent the administrator to, and otherwise nothing but "now sign in".

use std::sync::Arc;

use secrecy::SecretString;

use super::callback::{aadsts, principal, refused, same};
use super::session::{AdminConsented, AdminConsenting, Entry, Phase, Sealed};
use super::{Error, Failure, Onward, Way, cookie_of, fields, sealed};
use crate::app::App;
use crate::azure::{Authority, EntraRefusal};
use crate::model::{ClientId, ObjectId, TenantId};

/// Where the page is, once the answer is out of the address.
const PAGE: &str = "/api/consent/admin-callback?step=consented";

/// What the callback's address says.
#[derive(Debug)]
pub enum AdminCallback {
    /// The person wants to see what became of it.
    Consented,
    /// Entra sent the person back, with an error or without.
    Answer {
        /// The error, and whether it means that he cancelled. It counts before everything else.
        refusal: Option<(EntraRefusal, bool)>,
        /// What should be our state.
        state: SecretString,
    },
}

impl AdminCallback {
    /// Reads the query.
    ///
    /// # Errors
    /// [`Error::StateMismatch`] when it is neither an answer of Entra nor a step of ours.
    pub fn parse(query: &str) -> Result<Self, Error> {
        // `tenant` and `scope` are not among them.
        const KNOWN: [&str; 6] = ["error", "error_description", "error_subcode", "admin_consent", "state", "step"];
        let fields = fields(query, &KNOWN).ok_or(Error::StateMismatch)?;
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let state = field("state").unwrap_or_default().into();
        if let Some(error) = field("error") {
            let error: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(60).collect();
            let codes: Vec<u32> = field("error_description").and_then(aadsts).into_iter().collect();
            let declined = matches!(error.as_str(), "permission_denied" | "access_denied");
            let cancelled =
                field("error_subcode") == Some("cancel") || (declined && matches!(codes.as_slice(), [] | [65_004]));
            let refusal = EntraRefusal { error, codes, ..EntraRefusal::default() };
            return Ok(Self::Answer { refusal: Some((refusal, cancelled)), state });
        }
        match (field("admin_consent"), field("step")) {
            (Some(said), _) if said.eq_ignore_ascii_case("true") => Ok(Self::Answer { refusal: None, state }),
            (None, Some("consented")) => Ok(Self::Consented),
            _ => Err(Error::StateMismatch),
        }
    }
}

/// What is known after an admin consent.
#[derive(Debug)]
pub struct Consented {
    /// Our application.
    pub client_id: ClientId,
    /// The tenant that we sent the administrator to. None: he chose it, and it is not known to us.
    pub tenant: Option<TenantId>,
    /// Our service principal there, when our own token proves it.
    pub principal: Option<ObjectId>,
    /// How to go on.
    pub entry: Entry,
}

/// Begins a session for an admin consent and gives the address of Entra's page.
pub(super) async fn begin(app: &App, authority: Authority, entry: Entry) -> Result<Onward, Error> {
    let state = sealed::random_text::<32>(app.random.as_ref());
    let redirect_uri = app.settings.admin_redirect_uri();
    let location = app
        .azure
        .admin_consent_url(&authority, &redirect_uri, &state)
        .ok_or(Error::Internal("the address of Entra's consent page is no address"))?
        .into();
    let tenant = match authority {
        Authority::Tenant(tenant) => Some(tenant),
        Authority::Organizations => None,
    };
    let ticket =
        sealed::begin(app, &Phase::AdminConsenting(AdminConsenting { state: Sealed(state), tenant, entry })).await?;
    tracing::info!(authority = %authority, "an admin consent began");
    Ok(Onward { location, cookie: cookie_of(app, &ticket)? })
}

/// Takes Entra's answer and leads on to the page.
///
/// # Errors
/// Every refusal of the way in; see [`Error`].
pub async fn admin_callback(
    app: &Arc<App>,
    refusal: Option<(EntraRefusal, bool)>,
    state: &SecretString,
    cookie: Option<&str>,
) -> Result<Onward, Failure> {
    let opened = match sealed::resume(app, cookie).await {
        Ok(opened) => opened,
        // What Entra says helps also where the session is gone.
        Err(error) => return Err(refusal.map_or(error, |(refusal, cancelled)| refused(refusal, cancelled)).into()),
    };
    let Phase::AdminConsenting(consenting) = &opened.phase else {
        return Err(Error::Used.into());
    };
    if !same(&consenting.state, state) {
        return Err(Error::StateMismatch.into());
    }
    let AdminConsenting { tenant, entry, .. } = consenting;
    if let Some((refusal, cancelled)) = refusal {
        return Err(refused(refusal, cancelled).of(entry));
    }
    let principal = match tenant {
        Some(tenant) => {
            // What was refused a moment ago may be granted by now.
            app.azure.forget_app_token(*tenant).await;
            principal(app, *tenant).await
        }
        None => None,
    };
    let entry = match tenant {
        Some(tenant) => Entry { tenant: Some(tenant.to_string()), ..entry.by(Way::SignIn) },
        None => entry.by(Way::SignIn),
    };
    let proven = principal.is_some();
    let consented = AdminConsented { tenant: *tenant, principal, entry };
    sealed::end(app, &opened.ticket).await;
    let ticket = sealed::begin(app, &Phase::AdminConsented(consented)).await?;
    tracing::info!(tenant.id = tenant.map(|id| id.to_string()), proven, "an admin consent ended");
    Ok(Onward { location: PAGE.to_owned(), cookie: cookie_of(app, &ticket)? })
}

/// What the page after an admin consent says.
///
/// # Errors
/// Any of a session that cannot go on.
pub async fn consented(app: &Arc<App>, cookie: Option<&str>) -> Result<Consented, Failure> {
    match sealed::resume(app, cookie).await?.phase {
        Phase::AdminConsented(AdminConsented { tenant, principal, entry }) => {
            Ok(Consented { client_id: app.settings.identity.client_id, tenant, principal, entry })
        }
        _ => Err(Error::Used.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_counts_before_the_consent_that_is_said_beside_it_and_the_tenant_is_not_read() {
        let refused = AdminCallback::parse("admin_consent=True&error=permission_denied&state=x&tenant=y");
        let Ok(AdminCallback::Answer { refusal: Some((refusal, cancelled)), .. }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((refusal.error.as_str(), cancelled), ("permission_denied", true));
        let other = AdminCallback::parse("error=access_denied&error_description=AADSTS90094%3A+no&state=x");
        assert!(matches!(other, Ok(AdminCallback::Answer { refusal: Some((_, false)), .. })));
        // A tenant said twice does not matter: nobody reads it.
        let good = AdminCallback::parse("admin_consent=True&tenant=a&tenant=b&state=x");
        assert!(matches!(good, Ok(AdminCallback::Answer { refusal: None, .. })));
        for wrong in ["", "admin_consent=False&state=x", "tenant=x", "state=a&state=b&admin_consent=True", "step=x"] {
            assert!(matches!(AdminCallback::parse(wrong), Err(Error::StateMismatch)), "{wrong}");
        }
    }
}
