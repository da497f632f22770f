//! The proof of a grant: our application reads the subscription with its own token.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;

use crate::app::App;
use crate::azure::AccessToken;
use crate::model::{SubscriptionId, TenantId, Timestamp};

/// The waits between looks; the deadline may end them earlier. Azure says up to ten minutes, mostly it is seconds.
const WAITS: [u64; 6] = [1, 2, 3, 4, 5, 5];

/// Those of the subscriptions that our application can read by the deadline. The others may become readable later; the poll
/// sees to that.
pub(super) async fn readable(
    app: &Arc<App>,
    tenant: TenantId,
    subscriptions: &[SubscriptionId],
    deadline: Timestamp,
) -> BTreeSet<SubscriptionId> {
    let mut readable = BTreeSet::new();
    let mut waits = WAITS.into_iter().map(Duration::from_secs);
    loop {
        look(app, tenant, subscriptions, &mut readable).await;
        let all = subscriptions.iter().all(|id| readable.contains(id));
        match waits.next() {
            Some(wait) if !all && app.clock.now() + wait <= deadline => app.clock.sleep(wait).await,
            _ => return readable,
        }
        // Azure caches what a token may see: a new token sees a new role sooner.
        app.azure.forget_app_token(tenant).await;
    }
}

async fn look(
    app: &Arc<App>,
    tenant: TenantId,
    subscriptions: &[SubscriptionId],
    readable: &mut BTreeSet<SubscriptionId>,
) {
    let token = match app.azure.app_token(tenant).await {
        Ok(token) => token,
        Err(error) => {
            tracing::info!(tenant.id = %tenant, %error, "no token yet to verify a grant with");
            return;
        }
    };
    for id in subscriptions {
        if readable.contains(id) {
            continue;
        }
        match app.azure.subscription(*id, &token).await {
            // The tenant is asked for once more: what we keep under a tenant is that tenant's.
            Ok(Some(seen)) if seen.tenant == tenant => {
                readable.insert(*id);
            }
            Ok(_) => {}
            Err(error) => tracing::info!(tenant.id = %tenant, subscription.id = %id, %error, "not readable yet"),
        }
    }
}

/// Subscriptions checked for their resource provider: a page need not know more.
const MOST_CHECKED: usize = 100;

/// Checks in flight at once.
const CHECKS: usize = 8;

/// Those of the subscriptions that have not registered the resource provider of health. One that cannot be asked counts as
/// registered: the poll will tell.
pub(super) async fn unregistered(
    app: &Arc<App>,
    subscriptions: &[SubscriptionId],
    token: &AccessToken,
) -> BTreeSet<SubscriptionId> {
    let checks: Vec<_> = subscriptions
        .iter()
        .take(MOST_CHECKED)
        .map(|id| {
            let (app, token, id) = (Arc::clone(app), token.clone(), *id);
            async move { (id, app.azure.health_is_registered(id, &token).await) }
        })
        .collect();
    let checked: Vec<_> = futures_util::stream::iter(checks).buffer_unordered(CHECKS).collect().await;
    checked.into_iter().filter(|(_, registered)| matches!(registered, Ok(false))).map(|(id, _)| id).collect()
}
