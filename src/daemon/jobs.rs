//! The jobs, with patience: while a refusal may come of a permission that has not spread yet, it is asked again.

use serde_json::Value;

use super::explain;
use super::patience::Patience;
use crate::azure::{
    Accepted, Client, Error, LogAnswer, LogError, LogQuery, Mail, MailError, MetricDocument, MetricTarget,
    MetricsError, Published, Service, UserQuery, Users,
};
use crate::model::TenantId;

/// The users of a tenant, as [`Client::users`].
///
/// # Errors
/// As there, once the patience is over.
pub async fn users(
    azure: &Client,
    tenant: TenantId,
    query: &UserQuery,
    patience: &mut Patience<'_>,
    mut on_page: impl FnMut(usize) + Send,
) -> Result<Users, Error> {
    loop {
        match azure.users(tenant, query, &mut on_page).await {
            Err(error) if may_pass(&error) && patience.sit_out(&error.to_string()).await => {
                renew(azure, tenant).await;
            }
            result => return result,
        }
    }
}

/// One user, as [`Client::user`].
///
/// # Errors
/// As there, once the patience is over.
pub async fn user(
    azure: &Client,
    tenant: TenantId,
    id: &str,
    select: Option<&[String]>,
    patience: &mut Patience<'_>,
) -> Result<Value, Error> {
    loop {
        match azure.user(tenant, id, select).await {
            Err(error) if may_pass(&error) && patience.sit_out(&error.to_string()).await => {
                renew(azure, tenant).await;
            }
            result => return result,
        }
    }
}

/// Sends a message, as [`Client::send_mail`]; rests as long as Graph asks. What may have been sent is not sent again.
///
/// # Errors
/// As there, once the patience is over.
pub async fn send(azure: &Client, mail: &Mail, patience: &mut Patience<'_>) -> Result<Accepted, MailError> {
    loop {
        match azure.send_mail(mail).await {
            Err(MailError::NotPermitted(refusal)) if explain::mail_may_pass(&refusal) => {
                let error = MailError::NotPermitted(refusal);
                if !patience.sit_out(&error.to_string()).await {
                    return Err(error);
                }
                renew(azure, azure.home()).await;
            }
            Err(MailError::Throttled { retry_after: Some(asked) })
                if patience.rest("the mailbox must rest", asked).await => {}
            result => return result,
        }
    }
}

/// Asks logs, as [`Client::query_logs`].
///
/// # Errors
/// As there, once the patience is over.
pub async fn query(
    azure: &Client,
    tenant: TenantId,
    query: &LogQuery,
    patience: &mut Patience<'_>,
) -> Result<LogAnswer, LogError> {
    loop {
        match azure.query_logs(tenant, query).await {
            Err(error @ LogError::NotPermitted(_))
                if is_forbidden(error_refusal(&error)) && patience.sit_out(&error.to_string()).await => {}
            result => return result,
        }
    }
}

/// Publishes metrics, as [`Client::publish_metrics`]: what gets too old while waiting is dropped and named.
///
/// # Errors
/// As there, once the patience is over.
pub async fn publish(
    azure: &Client,
    target: &MetricTarget,
    documents: &[MetricDocument],
    patience: &mut Patience<'_>,
) -> Result<Published, MetricsError> {
    const TRIES: std::time::Duration = std::time::Duration::from_secs(60);
    loop {
        match azure.publish_metrics(target, documents, TRIES).await {
            Err(MetricsError::NotPermitted(refusal)) if refusal.status == 403 => {
                let error = MetricsError::NotPermitted(refusal);
                if !patience.sit_out(&error.to_string()).await {
                    return Err(error);
                }
            }
            result => return result,
        }
    }
}

/// A permission of Graph is in the token: without a new one it never comes.
async fn renew(azure: &Client, tenant: TenantId) {
    azure.forget_app_token_for(tenant, Service::Graph).await;
}

fn may_pass(error: &Error) -> bool {
    error.refusal().is_some_and(|refusal| refusal.status == 403)
}

fn error_refusal(error: &LogError) -> Option<u16> {
    match error {
        LogError::NotPermitted(refusal) => Some(refusal.status),
        _ => None,
    }
}

fn is_forbidden(status: Option<u16>) -> bool {
    status == Some(403)
}
