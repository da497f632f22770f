//! Who asks: from our settings, or from a `parameters.json` of the samples.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::parameters::{Dialect, Parameters, TenantName};
use crate::azure::{self, Client, HttpClient, LARGEST_PAGE, MetricTarget, UserQuery};
use crate::outside::{Clock, Random};
use crate::settings::{Application, Fault, Faults, Identity, Place};

/// Our application, ready to ask.
#[derive(Debug)]
pub struct Caller {
    /// Azure, with its identity.
    pub azure: Client,
    /// Its identity.
    pub identity: Identity,
    /// What metrics are published for, where that is set.
    pub metrics: Option<MetricTarget>,
    /// Whose mailbox the sample writes from and to.
    pub sample_user: Option<String>,
    /// What the sample's endpoint asks of users.
    pub query: UserQuery,
    /// Which sample's file said so. None: our settings did.
    pub dialect: Option<Dialect>,
    /// Where Entra is, without a slash at its end.
    pub authority: String,
}

/// Why nobody can ask.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Settings or parameters are wrong.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// The tenant of a domain could not be found out.
    #[error("the tenant of the domain {domain} could not be found out")]
    Tenant {
        /// The domain.
        domain: String,
        /// Why.
        #[source]
        source: azure::Error,
    },
}

impl Caller {
    /// Reads who asks. With a parameters file, identity and addresses in it win over settings and environment.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        local_settings: &Path,
        parameters: Option<&Path>,
        http: HttpClient,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let Some(path) = parameters else {
            let application = Application::load(local_settings)?;
            return Ok(Self::of(application, http, clock, random));
        };
        let text = std::fs::read_to_string(path).map_err(|error| {
            let expected = "the sample's parameters.json, or our local.settings.json".to_owned();
            let found = format!("a file that cannot be read: {}", error.kind());
            Faults(vec![Fault { name: path.display().to_string(), found, expected }])
        })?;
        if is_our_settings(&text) {
            let application = Application::load(path)?;
            return Ok(Self::of(application, http, clock, random));
        }
        let parameters = Parameters::parse(&text, path, |path| std::fs::read(path))?;
        let Place { cloud, metrics } = Place::load(local_settings)?;
        let cloud = parameters.cloud(cloud);
        let nobody = Identity {
            tenant_id: Uuid::nil().into(),
            client_id: parameters.client_id,
            credential: parameters.credential.clone(),
        };
        let tenant_id = match &parameters.tenant {
            TenantName::Id(id) => *id,
            TenantName::Domain(domain) => {
                let client =
                    Client::new(cloud.clone(), nobody.clone(), http.clone(), Arc::clone(&clock), Arc::clone(&random));
                let found = client.tenant_named(domain).await;
                let found = found.map_err(|source| OpenError::Tenant { domain: domain.clone(), source })?;
                found.ok_or_else(|| {
                    let name = format!("{}: authority", path.display());
                    let found = format!("the domain {domain}, which no tenant has");
                    Faults(vec![Fault { name, found, expected: "the id or a domain of your tenant".to_owned() }])
                })?
            }
        };
        let application = Application { identity: Identity { tenant_id, ..nobody }, cloud, metrics };
        let mut caller = Self::of(application, http, clock, random);
        caller.dialect = Some(parameters.dialect);
        caller.sample_user = parameters.sample_user;
        caller.query = query_of(&parameters.query);
        Ok(caller)
    }

    /// Our application with these settings.
    pub fn of(application: Application, http: HttpClient, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let Application { identity, cloud, metrics } = application;
        let authority = cloud.authority_host.as_str().trim_end_matches('/').to_owned();
        let azure = Client::new(cloud, identity.clone(), http, clock, random);
        let query = UserQuery::default();
        Self { azure, identity, metrics, sample_user: None, query, dialect: None, authority }
    }
}

fn is_our_settings(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text.trim_start_matches('\u{feff}'))
        .is_ok_and(|value| value.get("Values").is_some())
}

/// What a query of Graph asks of users, as far as it is something that we ask too.
fn query_of(pairs: &[(String, String)]) -> UserQuery {
    let text = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    UserQuery {
        select: text("$select").map(|fields| fields.split(',').map(|field| field.trim().to_owned()).collect()),
        filter: text("$filter"),
        search: text("$search"),
        page_size: text("$top").and_then(|top| top.parse().ok()).filter(|top| (1..=LARGEST_PAGE).contains(top)),
        limit: None,
    }
}
