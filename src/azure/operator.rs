//! What the partner's own administrator asks, with a token of his own: the registration in Microsoft Graph, a role
//! assignment in Resource Manager ("Identity, consent and onboarding contract", 1.2 to 1.5 and 5.4). Each token goes to the
//! one host it is for.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::request::{Answer, answer_of, read_capped, transport};
use super::{Cloud, Error, backoff};
use crate::model::{ClientId, ObjectId};
use crate::outside::{Clock, Random};

/// The waits while a new application reaches every server of the directory.
const REPLICATION_WAITS: [u64; 4] = [2, 4, 8, 16];

/// An administrator's calls to one cloud.
#[derive(Debug)]
pub struct Operator {
    cloud: Cloud,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// A registration as Graph shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Object id, which Graph's addresses have.
    pub object_id: Uuid,
    /// Application (client) id.
    pub client_id: ClientId,
    /// The whole document, with public keys where they were asked for.
    pub document: Value,
}

impl Registered {
    fn of(document: Value) -> Result<Self, Error> {
        let id = |name: &str| document[name].as_str().and_then(|text| text.parse::<Uuid>().ok());
        let (Some(object_id), Some(client_id)) = (id("id"), id("appId")) else {
            return Err(Error::Unreadable { what: "an application with id and appId".to_owned() });
        };
        Ok(Self { object_id, client_id: client_id.into(), document })
    }
}

impl Operator {
    /// Over the one HTTP client.
    pub fn new(cloud: Cloud, http: reqwest::Client, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { cloud, http, clock, random }
    }

    /// The applications of a name.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn applications_named(&self, name: &str, token: &SecretString) -> Result<Vec<Registered>, Error> {
        let filter = format!("displayName eq '{}'", name.replace('\'', "''"));
        let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        let body = self.graph(Method::GET, &format!("applications?$filter={query}"), token, None).await?;
        let Some(Value::Array(rows)) = body.get("value").cloned() else {
            return Err(Error::Unreadable { what: "a list of applications".to_owned() });
        };
        rows.into_iter().map(Registered::of).collect()
    }

    /// The application of an id, with its public keys. None: there is none in the token's tenant.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn application(&self, id: ClientId, token: &SecretString) -> Result<Option<Registered>, Error> {
        const SELECT: &str = "id,appId,displayName,signInAudience,web,requiredResourceAccess,api,\
             servicePrincipalLockConfiguration,passwordCredentials,keyCredentials,verifiedPublisher";
        let path = format!("applications(appId='{id}')?$select={SELECT}");
        found(self.graph(Method::GET, &path, token, None).await)?.map(Registered::of).transpose()
    }

    /// Registers an application.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn create_application(&self, body: &Value, token: &SecretString) -> Result<Registered, Error> {
        Registered::of(self.graph(Method::POST, "applications", token, Some(body)).await?)
    }

    /// Changes members of an application.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn change_application(&self, object_id: Uuid, body: &Value, token: &SecretString) -> Result<(), Error> {
        self.write(Method::PATCH, &format!("applications/{object_id}"), body, token).await.map(drop)
    }

    /// Adds a secret and gives the whole answer: its value is in there once and never again.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn add_password(&self, object_id: Uuid, body: &Value, token: &SecretString) -> Result<Value, Error> {
        self.write(Method::POST, &format!("applications/{object_id}/addPassword"), body, token).await
    }

    /// The federated credentials of an application.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn federated_credentials(&self, object_id: Uuid, token: &SecretString) -> Result<Vec<Value>, Error> {
        let path = format!("applications/{object_id}/federatedIdentityCredentials");
        let body = self.graph(Method::GET, &path, token, None).await?;
        Ok(body.get("value").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Adds a federated credential.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn federate(&self, object_id: Uuid, body: &Value, token: &SecretString) -> Result<(), Error> {
        let path = format!("applications/{object_id}/federatedIdentityCredentials");
        self.write(Method::POST, &path, body, token).await.map(drop)
    }

    /// The application's service principal in the token's tenant, and whether it is enabled. None: there is none.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn service_principal(
        &self,
        id: ClientId,
        token: &SecretString,
    ) -> Result<Option<(ObjectId, bool)>, Error> {
        let path = format!("servicePrincipals(appId='{id}')?$select=id,accountEnabled");
        let Some(body) = found(self.graph(Method::GET, &path, token, None).await)? else { return Ok(None) };
        principal_of(&body).map(Some)
    }

    /// Makes the service principal in the token's tenant; waits while a new application spreads in the directory.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn create_service_principal(&self, id: ClientId, token: &SecretString) -> Result<ObjectId, Error> {
        let body = json!({ "appId": id });
        let body = self.write(Method::POST, "servicePrincipals", &body, token).await?;
        principal_of(&body).map(|(id, _)| id)
    }

    /// Puts a role assignment. True: it was made now; false: it stood before.
    ///
    /// # Errors
    /// Any [`Error`] but `TokenRefused`.
    pub async fn assign_role(
        &self,
        scope: &str,
        name: Uuid,
        body: &Value,
        token: &SecretString,
    ) -> Result<bool, Error> {
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01");
        match self.call(Method::PUT, &self.cloud.manager(&path), token, Some(body)).await {
            Ok(answer) => Ok(answer.status == StatusCode::CREATED.as_u16()),
            Err(error) if error.has_code("RoleAssignmentExists") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A write about an application that Graph has named to us: what it does not know then has not spread yet.
    async fn write(&self, method: Method, path: &str, body: &Value, token: &SecretString) -> Result<Value, Error> {
        let mut waits = REPLICATION_WAITS.into_iter().map(Duration::from_secs);
        loop {
            let error = match self.graph(method.clone(), path, token, Some(body)).await {
                Err(error) if spreads(&error) => error,
                result => return result,
            };
            match waits.next() {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn graph(
        &self,
        method: Method,
        path: &str,
        token: &SecretString,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let url = format!("{}/v1.0/{path}", self.cloud.graph.as_str().trim_end_matches('/'));
        self.call(method, &url, token, body).await.map(|answer| answer.body)
    }

    async fn call(
        &self,
        method: Method,
        url: &str,
        token: &SecretString,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let mut attempt = 1;
        loop {
            let failure = match self.call_once(&method, url, token, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let asked = match &failure {
                Error::Throttled { retry_after } => *retry_after,
                // Nobody knows whether a failed POST was done: done again, it may make a second one.
                Error::Unavailable { .. } if method != Method::POST => None,
                _ => return Err(failure),
            };
            attempt += 1;
            let mut jitter = [0; 1];
            self.random.fill(&mut jitter);
            match backoff::wait_before(attempt, asked, f64::from(jitter[0]) / 256.0) {
                Some(wait) => self.clock.sleep(wait).await,
                None => return Err(failure),
            }
        }
    }

    async fn call_once(
        &self,
        method: &Method,
        url: &str,
        token: &SecretString,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let mut request = self.http.request(method.clone(), url).bearer_auth(token.expose_secret());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(transport)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = read_capped(response).await?;
        answer_of(status, headers, &bytes)
    }
}

fn spreads(error: &Error) -> bool {
    error.has_code("NoBackingApplicationObject") || error.refusal().is_some_and(|refusal| refusal.status == 404)
}

fn principal_of(body: &Value) -> Result<(ObjectId, bool), Error> {
    let id = body["id"].as_str().and_then(|id| id.parse().ok());
    let id = id.ok_or_else(|| Error::Unreadable { what: "a service principal with an id".to_owned() })?;
    Ok((id, body["accountEnabled"].as_bool().unwrap_or(true)))
}

/// What is not there is no error.
fn found(result: Result<Value, Error>) -> Result<Option<Value>, Error> {
    match result {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}
