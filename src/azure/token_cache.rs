//! Our application's tokens by tenant and service, in memory only: one request each in flight, renewed before they end,
//! refusals remembered, Entra left alone as long as it asked ("Identity, consent and onboarding contract", 4.5).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::token::{Granted, rest_after};
use super::{AccessToken, Client, EntraRefusal, Error, Service};
use crate::model::{TenantId, Timestamp};

/// A token with less life than this is not handed out, even when Entra cannot be reached for a new one.
const LEAST_LIFE: Duration = Duration::from_secs(60);

/// How long a refusal is repeated from memory instead of asking again (as MSAL does).
const REFUSAL_STANDS: Duration = Duration::from_secs(60);
/// How long we keep still after Entra's loop detection: "back off minutes" (2.6).
const LOOP_STANDS: Duration = Duration::from_secs(5 * 60);

/// How long a refusal stands before Entra is asked again.
fn stands(refusal: &EntraRefusal) -> Duration {
    if refusal.asked_too_often() { LOOP_STANDS } else { REFUSAL_STANDS }
}

/// The waits while a service principal that was just consented to reaches every server of Entra.
const REPLICATION_WAITS: [u64; 4] = [2, 4, 8, 16];

/// More tenants than a partner has; beyond it, tokens that nobody uses are forgotten.
const MOST_TENANTS: usize = 20_000;

/// Where a token is from, and what it is for.
type For = (TenantId, Service);

/// Our application's tokens by tenant and service. Cloud, application and credential are the same for all of them.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: Mutex<HashMap<For, Arc<Slot>>>,
    /// A refusal of our credential itself: it stands for every tenant.
    credential: Mutex<Option<Refused>>,
    most: usize,
}

/// What is known of one tenant and service.
#[derive(Debug, Default)]
struct Slot {
    known: Mutex<Known>,
    /// Held by whoever asks Entra; the others wait and take what he got.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug, Default)]
struct Known {
    token: Option<Granted>,
    refused: Option<Refused>,
    rest_until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Refused {
    refusal: EntraRefusal,
    until: Timestamp,
}

impl Default for Cache {
    fn default() -> Self {
        Self { slots: Mutex::default(), credential: Mutex::default(), most: MOST_TENANTS }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    fn slot(&self, key: For, now: Timestamp) -> Arc<Slot> {
        let mut slots = held(&self.slots);
        if slots.len() >= self.most && !slots.contains_key(&key) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || held(&slot.known).fresh(now).is_some());
            if slots.len() >= self.most {
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
        }
        Arc::clone(slots.entry(key).or_default())
    }

    /// The answer that needs no asking.
    fn remembered(&self, slot: &Slot, now: Timestamp) -> Option<Result<AccessToken, Error>> {
        let known = held(&slot.known);
        if let Some(token) = known.fresh(now) {
            return Some(Ok(token.access.clone()));
        }
        let credential = held(&self.credential);
        let refused = [&known.refused, &*credential].into_iter().flatten().find(|refused| now < refused.until)?;
        Some(Err(Error::TokenRefused(refused.refusal.clone().into())))
    }
}

impl Known {
    fn fresh(&self, now: Timestamp) -> Option<&Granted> {
        self.token.as_ref().filter(|token| now < token.renew_at)
    }

    /// How long Entra is still to be left alone.
    fn rest(&self, now: Timestamp) -> Option<Duration> {
        self.rest_until.and_then(|until| (until - now).to_std().ok()).filter(|left| !left.is_zero())
    }

    /// True when Entra would like us to come for the next token now.
    fn wants_refresh(&self, now: Timestamp) -> bool {
        let due = self.fresh(now).and_then(|token| token.refresh_at).is_some_and(|at| at <= now);
        due && self.rest(now).is_none()
    }
}

impl Client {
    /// Our application's own token for Resource Manager in one tenant (client credentials): from memory while it is fresh,
    /// else from Entra, with one request per tenant in flight. Where Entra named a time for it (`refresh_in`), the next one
    /// is fetched in the background while the old one goes on.
    ///
    /// # Errors
    /// [`Error::TokenRefused`], repeated from memory for a minute; [`Error::Credential`]; [`Error::Throttled`] and
    /// [`Error::Unavailable`] while Entra fails and no usable token is left.
    pub async fn app_token(&self, tenant: TenantId) -> Result<AccessToken, Error> {
        self.app_token_for(tenant, Service::ResourceManager).await
    }

    /// The same as [`app_token`](Self::app_token) for another service: each takes only tokens of its own.
    ///
    /// # Errors
    /// As [`app_token`](Self::app_token).
    pub async fn app_token_for(&self, tenant: TenantId, service: Service) -> Result<AccessToken, Error> {
        let now = self.clock.now();
        let key = (tenant, service);
        let slot = self.tokens.slot(key, now);
        if let Some(answer) = self.tokens.remembered(&slot, now) {
            if held(&slot.known).wants_refresh(now) {
                self.refresh_in_background(key, &slot);
            }
            return answer;
        }
        let _flight = slot.flight.lock().await;
        match self.tokens.remembered(&slot, self.clock.now()) {
            Some(answer) => answer,
            None => self.renew(key, &slot).await,
        }
    }

    /// True while a token is kept that [`app_token_for`](Self::app_token_for) would give without asking Entra.
    pub(crate) fn has_app_token(&self, tenant: TenantId, service: Service) -> bool {
        let now = self.clock.now();
        held(&self.tokens.slot((tenant, service), now).known).fresh(now).is_some()
    }

    async fn renew(&self, key: For, slot: &Slot) -> Result<AccessToken, Error> {
        let left = held(&slot.known).rest(self.clock.now());
        let fetched = match left {
            Some(left) => Err(Error::Throttled { retry_after: Some(left) }),
            None => self.fetch_app_token(key.0, key.1).await,
        };
        let now = self.clock.now();
        let mut known = held(&slot.known);
        match fetched {
            Ok(granted) => {
                let access = granted.access.clone();
                *known = Known { token: Some(granted), ..Known::default() };
                Ok(access)
            }
            Err(Error::TokenRefused(refusal)) => {
                let until = now + stands(&refusal);
                let refused = Refused { refusal: EntraRefusal::clone(&refusal), until };
                if refusal.is_about_our_credential() {
                    *held(&self.tokens.credential) = Some(refused.clone());
                }
                *known = Known { refused: Some(refused), ..Known::default() };
                Err(Error::TokenRefused(refusal))
            }
            Err(error) => {
                // Without a credential to show, Entra was not even asked.
                if left.is_none() && !matches!(error, Error::Credential { .. }) {
                    known.rest_until = Some(now + rest_after(&error));
                }
                match &known.token {
                    Some(token) if now + LEAST_LIFE < token.access.expires_at => Ok(token.access.clone()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Fetches the next token while the old one goes on; unless somebody does so already. Whatever goes wrong, the old one
    /// stays, and Entra is left alone for a while.
    fn refresh_in_background(&self, (tenant, service): For, slot: &Arc<Slot>) {
        let Ok(flight) = Arc::clone(&slot.flight).try_lock_owned() else { return };
        let (client, slot) = (self.clone(), Arc::clone(slot));
        tokio::spawn(async move {
            let _flight = flight;
            let fetched = client.fetch_app_token(tenant, service).await;
            let now = client.clock.now();
            let mut known = held(&slot.known);
            match fetched {
                Ok(granted) => *known = Known { token: Some(granted), ..Known::default() },
                Err(error) => {
                    let refused = matches!(error, Error::TokenRefused(_));
                    let rest = if refused { REFUSAL_STANDS } else { rest_after(&error) };
                    known.rest_until = Some(now + rest);
                    tracing::warn!(
                        tenant.id = %tenant,
                        error = &error as &dyn std::error::Error,
                        "the token could not be refreshed; the old one goes on"
                    );
                }
            }
        });
    }

    /// The same as [`app_token`](Self::app_token) for a tenant whose user consented a moment ago: waits while the new
    /// service principal spreads in Entra, but not beyond the deadline.
    ///
    /// # Errors
    /// As [`app_token`](Self::app_token).
    pub(crate) async fn app_token_of_new_principal(
        &self,
        tenant: TenantId,
        deadline: Timestamp,
    ) -> Result<AccessToken, Error> {
        for wait in REPLICATION_WAITS.map(Duration::from_secs) {
            match self.app_token(tenant).await {
                Err(Error::TokenRefused(refusal))
                    if refusal.principal_is_missing() && self.clock.now() + wait <= deadline =>
                {
                    self.clock.sleep(wait).await;
                    self.forget_app_token(tenant).await;
                }
                result => return result,
            }
        }
        self.app_token(tenant).await
    }

    /// Forgets what is known of a tenant's token, refusals included: the next call asks Entra. A request by Entra to wait stands.
    pub(crate) async fn forget_app_token(&self, tenant: TenantId) {
        self.forget_app_token_for(tenant, Service::ResourceManager).await;
    }

    /// The same for another service.
    pub(crate) async fn forget_app_token_for(&self, tenant: TenantId, service: Service) {
        let slot = self.tokens.slot((tenant, service), self.clock.now());
        // Whoever is asking right now would put back what is to be forgotten.
        let _flight = slot.flight.lock().await;
        let mut known = held(&slot.known);
        *known = Known { rest_until: known.rest_until, ..Known::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> For {
        (uuid::Uuid::from_u128(number).into(), Service::ResourceManager)
    }

    fn with_token(cache: &Cache, number: u128, end: Timestamp) {
        let slot = cache.slot(tenant(number), Timestamp::UNIX_EPOCH);
        let access = AccessToken::new("t".into(), end);
        held(&slot.known).token = Some(Granted { access, refresh_at: None, renew_at: end, id_token: None });
    }

    #[test]
    fn beyond_the_bound_what_is_over_goes_first_and_what_is_in_use_stays() {
        let at = |seconds| Timestamp::from_timestamp(seconds, 0).expect("in range");
        let cache = Cache { most: 3, ..Cache::default() };
        with_token(&cache, 1, at(10));
        with_token(&cache, 2, at(100));
        let used = cache.slot(tenant(3), at(0));
        cache.slot(tenant(4), at(50));
        let known = |number| held(&cache.slots).contains_key(&tenant(number));
        assert_eq!([1, 2, 3, 4].map(known), [false, true, true, true]);
        with_token(&cache, 4, at(100));
        cache.slot(tenant(5), at(60));
        assert_eq!([2, 3, 4, 5].map(known), [false, true, false, true]);
        drop(used);
    }
}
