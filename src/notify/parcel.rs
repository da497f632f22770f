//! The message that goes out: notices with what is only known when it is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::channel::Parcel;
use super::{documents, matching};
use crate::app::App;
use crate::model::{AffectedCustomer, Customer, Notice, NoticeId, NoticeScope, Subject, TextHash, TrackingId};
use crate::store::{self, Key};

/// The message, with what is only known when it is sent.
pub(super) async fn parcel(app: &App, notices: &[Notice]) -> Result<Parcel, store::Error> {
    let mut notices = notices.to_vec();
    let mut texts: BTreeMap<TextHash, String> = BTreeMap::new();
    for notice in &mut notices {
        if let (NoticeScope::Partner, None, Subject::Event { tracking_id }) =
            (notice.scope, &notice.story.customer, &notice.subject)
        {
            notice.story.affected = affected(app, tracking_id, &notice.route).await?;
        }
        if let Some(hash) = notice.story.event.as_ref().and_then(|event| event.text)
            && !texts.contains_key(&hash)
            && let Some(text) = app.store.read_bytes(&Key::Text(hash)).await?
        {
            texts.insert(hash, String::from_utf8_lossy(&text.body).into_owned());
        }
    }
    let id = match &notices[..] {
        [one] => one.id,
        // The same notices give the same id, on every attempt.
        many => {
            let mut ids: Vec<_> = many.iter().map(|notice| notice.id.to_string()).collect();
            ids.sort();
            NoticeId::of(NoticeScope::Partner, "", &many[0].channel, &format!("bundle|{}", ids.join("|")))
        }
    };
    let attempt = notices.iter().map(|notice| notice.delivery.attempts).max().unwrap_or(1);
    Ok(Parcel { id, notices, texts, sent_at: app.clock.now(), attempt })
}

/// Whom an incident has hit so far of those that a route speaks of, as the snapshots say now.
pub(super) async fn affected(
    app: &App,
    incident: &TrackingId,
    route: &str,
) -> Result<Vec<AffectedCustomer>, store::Error> {
    let routes = documents::routes(app).await?;
    let route = routes.routes.iter().find(|known| known.id == route);
    let spoken_of = |customer: &Customer| route.is_none_or(|route| matching::takes_customer(&route.matches, customer));
    let snapshots = app.snapshots.all(&app.store).await?;
    let customers = app.customers.all(&app.store).await?;
    let name = |customer: Option<&Arc<Customer>>| Some(customer.filter(|one| spoken_of(one))?.display_name.clone());
    let mut affected: Vec<_> = snapshots
        .iter()
        .filter_map(|(tenant_id, snapshot)| {
            let event = snapshot.events.get(incident)?.merged(incident)?;
            Some(AffectedCustomer {
                tenant_id: *tenant_id,
                display_name: name(customers.get(tenant_id))?,
                subscriptions: event.subscriptions.len(),
                active: event.content.is_active(),
            })
        })
        .collect();
    affected.sort_by(|a, b| (!a.active, &a.display_name, a.tenant_id).cmp(&(!b.active, &b.display_name, b.tenant_id)));
    Ok(affected)
}
