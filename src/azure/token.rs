//! Tokens from Entra's token endpoint: our application's own, and the redemption of a customer's authorization code.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tracing::Instrument as _;

use super::authority::Reach;
use super::request::{any_case, read_capped, retry_after, transport};
use super::{AccessToken, Authority, Client, EntraRefusal, Error, Service, call_span};
use crate::model::{TenantId, Timestamp};
use crate::telemetry::trace;

/// A token is renewed when this much of its life is left ("Identity, consent and onboarding contract", 4.5).
const RENEW_BEFORE_END: Duration = Duration::from_secs(5 * 60);

/// How long Entra is left alone after 429 or 5xx without `Retry-After`, and at most (4.5, as MSAL does).
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// Tries of one token request while Entra fails; between them Entra gets its rest.
const TRIES: u32 = 3;

/// The longest rest that a request sits out itself; a longer one is handed to the caller.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What the token endpoint granted.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The access token.
    pub access: AccessToken,
    /// When Entra would like us to ask for the next one, while this one goes on.
    pub refresh_at: Option<Timestamp>,
    /// When there must be a next one.
    pub renew_at: Timestamp,
    /// The ID token, where the scope asked for one.
    pub id_token: Option<SecretString>,
}

impl Client {
    /// Our application's own token for a service in one tenant (client credentials), from Entra.
    pub(super) async fn fetch_app_token(&self, tenant: TenantId, service: Service) -> Result<Granted, Error> {
        let scope = self.cloud.scope(service);
        let form = [("grant_type", "client_credentials"), ("scope", scope.as_str())];
        self.token(&Authority::Tenant(tenant), &form).await
    }

    /// Redeems an authorization code for the user's token and ID token, at the authority that gave the code.
    ///
    /// # Errors
    /// [`Error::TokenRefused`], [`Error::Throttled`], [`Error::Unavailable`], [`Error::Unreadable`].
    pub(crate) async fn redeem(
        &self,
        authority: &Authority,
        code: &SecretString,
        verifier: &SecretString,
        redirect_uri: &str,
        reach: Reach,
    ) -> Result<Granted, Error> {
        let scope = self.sign_in_scope(reach);
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose_secret()),
            ("scope", scope.as_str()),
        ];
        self.token(authority, &form).await
    }

    /// One token, with a few tries while Entra fails, each after the rest that Entra asked for.
    async fn token(&self, authority: &Authority, form: &[(&str, &str)]) -> Result<Granted, Error> {
        let mut tries = 1;
        loop {
            let error = match self.token_once(authority, form).await {
                Err(error @ (Error::Throttled { .. } | Error::Unavailable { .. })) => error,
                result => return result,
            };
            let rest = rest_after(&error);
            tries += 1;
            if tries > TRIES || rest > LONGEST_WAIT {
                return Err(error);
            }
            self.clock.sleep(rest).await;
        }
    }

    async fn token_once(&self, authority: &Authority, form: &[(&str, &str)]) -> Result<Granted, Error> {
        let url = self.cloud.authority(&format!("{authority}/oauth2/v2.0/token"));
        let client_id = self.identity.client_id.to_string();
        let proof = self.proof(&url).await?;
        let ours = [("client_id", client_id.as_str())].into_iter();
        let ours = ours.chain(proof.iter().map(|(name, value)| (*name, value.expose_secret())));
        let form: Vec<_> = form.iter().copied().chain(ours).collect();
        let span = call_span::of_entra(&url);
        let request = self.http.post(url).form(&form);
        let call = async {
            let response = request.headers(trace::headers()).send().await.map_err(|error| {
                call_span::lost(&error);
                transport(error)
            })?;
            let (status, asked) = (response.status(), retry_after(response.headers()));
            call_span::answered(status, response.headers());
            Ok::<_, Error>((status, asked, read_capped(response).await?))
        };
        let (status, asked, body) = call.instrument(span).await?;
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return granted(&body, self.clock.now());
        }
        let refusal = entra_refusal(status.as_u16(), &body);
        tracing::debug!(
            http.status = status.as_u16(),
            entra.error = refusal.error,
            entra.codes = ?refusal.codes,
            entra.trace_id = refusal.trace_id.as_deref().unwrap_or_default(),
            "Entra gave no token"
        );
        if status.as_u16() == 429 || asked.is_some() {
            return Err(Error::Throttled { retry_after: asked });
        }
        if status.is_server_error() || refusal.is_transient() {
            return Err(Error::Unavailable { what: format!("status {} of the token endpoint", status.as_u16()) });
        }
        Err(Error::TokenRefused(refusal.into()))
    }
}

/// How long Entra is left alone after this failure.
pub(super) fn rest_after(error: &Error) -> Duration {
    match error {
        Error::Throttled { retry_after: Some(asked) } => (*asked).min(LONGEST_REST),
        _ => REST,
    }
}

/// Reads a granted token. Pure.
fn granted(body: &Value, now: Timestamp) -> Result<Granted, Error> {
    let text = |name: &str| any_case(body, name).and_then(Value::as_str).filter(|text| !text.is_empty());
    // Some proxies and the managed-identity endpoint give numbers as text.
    let seconds = |name: &str| {
        let value = any_case(body, name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|seconds| *seconds <= 7 * 24 * 3600)
    };
    let (Some(access), Some(life)) = (text("access_token"), seconds("expires_in")) else {
        return Err(Error::Unreadable { what: "access_token and expires_in from the token endpoint".to_owned() });
    };
    // A token of short life is used for half of it, else it would be asked for at each call.
    let renew_in = life.saturating_sub(RENEW_BEFORE_END.as_secs()).max(life / 2);
    let refresh_in = seconds("refresh_in").filter(|wish| *wish < renew_in);
    Ok(Granted {
        access: AccessToken { secret: access.into(), expires_at: now + Duration::from_secs(life) },
        refresh_at: refresh_in.map(|wish| now + Duration::from_secs(wish)),
        renew_at: now + Duration::from_secs(renew_in),
        id_token: text("id_token").map(SecretString::from),
    })
}

/// Reads a refusal, whatever is missing in it. The description is left out: it may hold names. Pure.
fn entra_refusal(status: u16, body: &Value) -> EntraRefusal {
    let text = |name: &str| {
        let text = any_case(body, name)?.as_str()?;
        (!text.is_empty()).then(|| text.chars().take(2000).collect::<String>())
    };
    let codes = any_case(body, "error_codes").and_then(Value::as_array);
    EntraRefusal {
        status,
        error: text("error").unwrap_or_default().chars().take(100).collect(),
        codes: codes
            .map(|codes| codes.iter().filter_map(|code| u32::try_from(code.as_u64()?).ok()).take(10).collect())
            .unwrap_or_default(),
        suberror: text("suberror"),
        claims: text("claims"),
        trace_id: text("trace_id").map(|id| id.chars().take(100).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(seconds, 0).expect("in range")
    }

    #[test]
    fn a_token_is_renewed_five_minutes_before_its_end_and_a_short_one_at_half_life() {
        let long = granted(&json!({"access_token": "a", "expires_in": 3600}), at(0)).expect("readable");
        assert_eq!((long.renew_at, long.access.expires_at), (at(3300), at(3600)));
        let short = granted(&json!({"access_token": "a", "expires_in": "60"}), at(0)).expect("readable");
        assert_eq!(short.renew_at, at(30));
        let wish = json!({"access_token": "a", "expires_in": 86400, "refresh_in": 43200});
        let wish = granted(&wish, at(0)).expect("readable");
        assert_eq!((wish.refresh_at, wish.renew_at), (Some(at(43200)), at(86100)));
        assert_eq!(long.refresh_at, None);
    }

    #[test]
    fn an_answer_without_a_token_is_unreadable() {
        for body in [json!(null), json!({"access_token": "", "expires_in": 1}), json!({"access_token": "a"})] {
            assert!(matches!(granted(&body, at(0)), Err(Error::Unreadable { .. })), "{body}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_codes_and_never_its_description() {
        let body = json!({
            "error": "invalid_grant", "error_description": "AADSTS54005: someone@contoso.example", "error_codes": [54005],
            "trace_id": "t", "claims": "{}",
        });
        let refusal = entra_refusal(400, &body);
        assert_eq!((refusal.error.as_str(), refusal.codes.as_slice()), ("invalid_grant", [54005].as_slice()));
        assert!(!format!("{refusal:?}{refusal}").contains("someone"));
        assert_eq!(entra_refusal(502, &Value::Null), EntraRefusal { status: 502, ..EntraRefusal::default() });
    }
}
