//! Azure CLI lines for people who grant or take back without our pages. Ids only, never names: nothing needs quoting.

use maud::{Markup, html};

use crate::model::{ClientId, ObjectId, SubscriptionId};

/// Command lines, each by itself however narrow the page is.
pub(super) fn block(lines: &str) -> Markup {
    html! { pre { @for line in lines.lines() { code { (line) "\n" } } } }
}

/// The line that grants Reader on one subscription.
pub(super) fn grant(principal: Option<ObjectId>, client_id: ClientId, subscription: &SubscriptionId) -> String {
    // With the object id the CLI asks no directory; without it, the principal is made first and found by its application.
    match principal {
        Some(principal) => format!(
            "az role assignment create --role Reader --scope /subscriptions/{subscription} \
             --assignee-object-id {principal} --assignee-principal-type ServicePrincipal"
        ),
        None => format!(
            "az ad sp create --id {client_id}\n\
             az role assignment create --role Reader --scope /subscriptions/{subscription} --assignee {client_id}"
        ),
    }
}

/// The line that takes Reader back.
pub(super) fn take_back(principal: Option<ObjectId>) -> String {
    let principal = principal.map_or_else(|| "<service principal>".to_owned(), |principal| principal.to_string());
    format!("az role assignment delete --role Reader --scope /subscriptions/<subscription id> --assignee {principal}")
}
