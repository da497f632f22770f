//! What a portal may change: invites and customers. Bodies are read strictly: an unknown member is an error, not silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::TimeDelta;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use warp::http::{Method, StatusCode};

use super::problem::Problem;
use crate::app::App;
use crate::consent::invite::{self, MAX_LIFE, NewInvite, WithdrawError};
use crate::life;
use crate::model::{AccessTier, Customer, InvalidId, SubscriptionId, TenantId, Timestamp, Zone};
use crate::notify::{hours, validate};
use crate::query;
use crate::store::Key;

/// The longest life of an invite that asks for none.
const USUAL_LIFE: TimeDelta = TimeDelta::days(14);
const MAX_LABEL_CHARS: usize = 200;
const MAX_SUBSCRIPTIONS: usize = 1000;
const MAX_LABELS: usize = 50;
const MAX_CONTACTS: usize = 20;

/// What came of a change.
#[derive(Debug)]
pub(super) struct Changed {
    pub status: StatusCode,
    /// None: there is nothing to say.
    pub body: Option<Value>,
}

impl Changed {
    fn none() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: None }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InviteBody {
    label: String,
    tenant_id: Option<String>,
    #[serde(default)]
    subscription_ids: Vec<String>,
    #[serde(default)]
    tiers: BTreeSet<AccessTier>,
    expires_at: Option<Timestamp>,
    expires_in_days: Option<u16>,
}

/// A change of a customer: what is absent stays, `null` takes away.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomerBody {
    display_name: Option<String>,
    labels: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, deserialize_with = "given")]
    time_zone: Option<Option<String>>,
    contacts: Option<Vec<String>>,
}

/// Tells `null` from absent.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde's words name the member and what was expected; they hold nothing of ours.
    serde_json::from_slice(body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid-body",
            "Invalid body",
            format!("The body is no such document: {error}."),
        )
    })
}

/// `POST invites`.
pub(super) async fn invite(app: &App, body: &[u8]) -> Result<Changed, Problem> {
    let InviteBody { label, tenant_id, subscription_ids, tiers, expires_at, expires_in_days } = read(body)?;
    let label = line("label", &label, MAX_LABEL_CHARS)?;
    let tenant_id: Option<TenantId> = tenant_id.map(|text| id("tenantId", &text)).transpose()?;
    let subscription_ids: BTreeSet<SubscriptionId> =
        subscription_ids.iter().map(|text| id("subscriptionIds", text)).collect::<Result<_, _>>()?;
    if subscription_ids.len() > MAX_SUBSCRIPTIONS {
        return Err(Problem::invalid(
            "subscriptionIds",
            format!("At most {MAX_SUBSCRIPTIONS} subscriptions can be named."),
        ));
    }
    let now = app.clock.now();
    let expires_at = match (expires_at, expires_in_days) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("expiresInDays", "Give expiresAt or expiresInDays, not both."));
        }
        (Some(at), None) => at,
        (None, Some(days)) => now + TimeDelta::days(days.into()),
        (None, None) => now + USUAL_LIFE,
    };
    if expires_at <= now || expires_at > now + MAX_LIFE {
        let member = if expires_in_days.is_some() { "expiresInDays" } else { "expiresAt" };
        return Err(Problem::invalid(member, "An invite ends in the future, within 365 days."));
    }
    let wanted = NewInvite { label, tenant: tenant_id, subscriptions: subscription_ids, tiers };
    let made = invite::make(app, wanted, expires_at).await?;
    tracing::info!(tenant.id = tenant_id.map(tracing::field::display), "an invite was made");
    Ok(Changed { status: StatusCode::CREATED, body: serde_json::to_value(made).ok() })
}

/// `DELETE invites/{id}`.
pub(super) async fn withdraw(app: &App, id: &str) -> Result<Changed, Problem> {
    match invite::withdraw(app, id).await {
        Ok(()) => Ok(Changed::none()),
        Err(WithdrawError::NotFound) => Err(Problem::not_found()),
        Err(WithdrawError::Used(tenant)) => {
            let detail =
                "A customer came in with this invite; taking it back changes nothing. Offboard the customer instead.";
            let mut problem = Problem::new(StatusCode::CONFLICT, "invite-used", "Invite used", detail);
            problem.more.insert("tenantId".to_owned(), json!(tenant));
            Err(problem)
        }
        Err(WithdrawError::Store(error)) => Err(error.into()),
    }
}

/// `PATCH customers/{tenantId}`.
pub(super) async fn customer(app: &App, tenant: TenantId, body: &[u8]) -> Result<Changed, Problem> {
    let wanted: CustomerBody = read(body)?;
    let display_name = wanted.display_name.map(|name| line("displayName", &name, MAX_LABEL_CHARS)).transpose()?;
    let mut labels = BTreeMap::new();
    for (name, value) in wanted.labels.unwrap_or_default() {
        let name = line("labels", &name, 60)?;
        labels.insert(name, value.map(|value| line("labels", &value, MAX_LABEL_CHARS)).transpose()?);
    }
    let time_zone = match wanted.time_zone {
        Some(Some(zone)) => Some(Some(time_zone(&zone)?)),
        other => other,
    };
    let contacts = wanted.contacts.map(contacts).transpose()?;
    let mut overfull = false;
    life::change::<Customer>(app, &Key::Customer(tenant), |before| {
        let mut after = before.clone();
        after.display_name = display_name.clone().unwrap_or(after.display_name);
        for (name, value) in &labels {
            match value {
                Some(value) => drop(after.labels.insert(name.clone(), value.clone())),
                None => drop(after.labels.remove(name)),
            }
        }
        overfull = after.labels.len() > MAX_LABELS;
        if let Some(zone) = &time_zone {
            after.time_zone.clone_from(zone);
        }
        if let Some(contacts) = &contacts {
            after.contacts.clone_from(contacts);
        }
        (after != *before && !overfull).then_some(after)
    })
    .await?;
    if overfull {
        return Err(Problem::invalid("labels", format!("A customer has at most {MAX_LABELS} labels.")));
    }
    let detail = query::customer(app, tenant).await?;
    Ok(Changed { status: StatusCode::OK, body: serde_json::to_value(detail).ok() })
}

/// `DELETE customers/{tenantId}`.
pub(super) async fn offboard(app: &Arc<App>, tenant: TenantId, erase: bool) -> Result<Changed, Problem> {
    life::offboard(app, tenant, erase).await?;
    Ok(Changed::none())
}

fn id<T: std::str::FromStr<Err = InvalidId>>(member: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: InvalidId| Problem::invalid(member, format!("The {error}.")))
}

/// One line of text, neither empty nor too long.
pub(super) fn line(member: &str, text: &str, most: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        return Err(Problem::invalid(member, format!("This must be one line of 1 to {most} characters.")));
    }
    Ok(text.to_owned())
}

/// A name that IANA's time zones have: in an unknown one, nobody could say when it is morning.
fn time_zone(text: &str) -> Result<String, Problem> {
    if hours::zone(text).is_some() {
        return Ok(text.to_owned());
    }
    let near = validate::near(text, Zone::names());
    let meant = if near.is_empty() { String::new() } else { format!(" Did you mean {}?", near.join(" or ")) };
    Err(Problem::invalid(
        "timeZone",
        format!("This must be the IANA name of a time zone, such as Europe/Berlin.{meant}"),
    ))
}

fn contacts(addresses: Vec<String>) -> Result<Vec<String>, Problem> {
    if addresses.len() > MAX_CONTACTS {
        return Err(Problem::invalid("contacts", format!("A customer has at most {MAX_CONTACTS} contacts.")));
    }
    let sound = |address: &String| {
        let parts: Vec<_> = address.split('@').collect();
        let harmless =
            !address.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';'));
        harmless
            && address.len() <= 254
            && matches!(parts.as_slice(), [name, domain] if !name.is_empty() && domain.contains('.'))
    };
    match addresses.iter().all(sound) {
        true => Ok(addresses),
        false => {
            Err(Problem::invalid("contacts", "Each contact must be one mail address, such as ops@contoso.example."))
        }
    }
}

/// The method that a change is asked for with.
pub(super) fn is_change(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH | Method::PUT | Method::DELETE)
}
