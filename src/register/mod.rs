//! The partner's app registration: made once, checked later ("Identity, consent and onboarding contract", section 1).

pub mod az;
mod check;
mod documents;
mod write;

use secrecy::SecretString;
use serde_json::{Value, json};

pub use check::{Finding, Known, Verdict, compare};
pub use documents::{AssignedRole, Federation, Printed, application, assignment, keys, password, scope};
pub use write::{WriteError, write_settings};

use crate::azure::{self, Operator, PublicCertificate, Registered};
use crate::model::{ClientId, ObjectId, Timestamp};

/// Why a registration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is one of this name.
    #[error("there is an application of this name already: {}", ids(.0))]
    Exists(Vec<ClientId>),
    /// There is none of this id.
    #[error("the application {0} is not registered in the tenant of the token")]
    Unknown(ClientId),
    /// Graph or Resource Manager refused or failed.
    #[error(transparent)]
    Azure(#[from] azure::Error),
}

fn ids(ids: &[ClientId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Registers the application, or takes the one that is there and mends it when `adopt`; then its service principal. Done
/// twice, it gives the same.
///
/// # Errors
/// [`Error::Exists`], [`Error::Azure`].
pub async fn create(
    operator: &Operator,
    name: &str,
    redirect_uris: &[String],
    adopt: bool,
    token: &SecretString,
) -> Result<(Registered, ObjectId), Error> {
    let there = operator.applications_named(name, token).await?;
    let registered = match there.as_slice() {
        [] => operator.create_application(&application(name, redirect_uris), token).await?,
        [one] if adopt => {
            operator.change_application(one.object_id, &mended(&one.document, name, redirect_uris), token).await?;
            one.clone()
        }
        several => return Err(Error::Exists(several.iter().map(|one| one.client_id).collect())),
    };
    let principal = match operator.service_principal(registered.client_id, token).await? {
        Some((id, _)) => id,
        None => operator.create_service_principal(registered.client_id, token).await?,
    };
    Ok((registered, principal))
}

/// What a registration should be, with the redirect URIs that it has beside ours. Pure.
fn mended(document: &Value, name: &str, redirect_uris: &[String]) -> Value {
    let mut uris: Vec<String> = redirect_uris.to_vec();
    let there = document["web"]["redirectUris"].as_array().map(Vec::as_slice).unwrap_or_default();
    uris.extend(
        there
            .iter()
            .filter_map(Value::as_str)
            .filter(|uri| !redirect_uris.iter().any(|one| one == uri))
            .map(str::to_owned),
    );
    application(name, &uris)
}

/// The registration of an id.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Azure`].
pub async fn registered(operator: &Operator, id: ClientId, token: &SecretString) -> Result<Registered, Error> {
    operator.application(id, token).await?.ok_or(Error::Unknown(id))
}

/// Adds a client secret and gives its value.
///
/// # Errors
/// [`Error::Azure`].
pub async fn add_secret(
    operator: &Operator,
    registered: &Registered,
    ends_at: Timestamp,
    token: &SecretString,
) -> Result<SecretString, Error> {
    let answer = operator.add_password(registered.object_id, &password(ends_at), token).await?;
    let secret = answer["secretText"].as_str().filter(|text| !text.is_empty());
    let unreadable = || azure::Error::Unreadable { what: "secretText of a new client secret".to_owned() };
    Ok(secret.ok_or_else(unreadable)?.into())
}

/// Registers a certificate beside those that are there. False: it was there.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Azure`].
pub async fn add_certificate(
    operator: &Operator,
    id: ClientId,
    certificate: &PublicCertificate,
    token: &SecretString,
) -> Result<bool, Error> {
    let registered = registered(operator, id, token).await?;
    if documents::has_key(&registered.document, &certificate.der, &certificate.thumbprint()) {
        return Ok(false);
    }
    operator.change_application(registered.object_id, &keys(&registered.document, certificate), token).await?;
    Ok(true)
}

/// Adds a federated credential. False: it was there.
///
/// # Errors
/// [`Error::Azure`].
pub async fn federate(
    operator: &Operator,
    registered: &Registered,
    federation: &Federation,
    token: &SecretString,
) -> Result<bool, Error> {
    let there = operator.federated_credentials(registered.object_id, token).await?;
    if there.iter().any(|row| federation.is(row)) {
        return Ok(false);
    }
    operator.federate(registered.object_id, &federation.body(), token).await?;
    Ok(true)
}

/// The JSON of `az ad sp create-for-rbac`.
pub fn printed(registered: &Registered, name: &str, tenant: crate::model::TenantId, password: Option<&str>) -> Value {
    json!({"appId": registered.client_id, "displayName": name, "password": password, "tenant": tenant})
}
