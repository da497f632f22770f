//! Azure CLI lines for people who grant or take back without our pages. Ids only, never names: nothing needs quoting.

use maud::{Markup, html};

use crate::model::{ClientId, ObjectId, SubscriptionId};

/// Command lines, each by itself however narrow the page is.
pub(super) fn block(lines: &str) -> Markup {
    html! { pre { @for line in lines.lines() { code { (line) "\n" } } } }
}

/// The line that grants Reader on one subscription.
pub(super) fn grant(principal: Option<ObjectId>, client_id: ClientId, subscription: &SubscriptionId) -> String {
    grant_at(principal, client_id, &format!("/subscriptions/{subscription}"))
}

/// The line that grants Reader at a scope.
pub(super) use crate::consent::manual::grant_command as grant_at;

/// The line that takes Reader back.
pub(super) fn take_back(principal: Option<ObjectId>) -> String {
    let principal = principal.map_or_else(|| "<service principal>".to_owned(), |principal| principal.to_string());
    format!("az role assignment delete --role Reader --scope /subscriptions/<subscription id> --assignee {principal}")
}

/// The line that registers the resource provider of health.
pub(super) fn register(subscription: &SubscriptionId) -> String {
    format!("az provider register --namespace Microsoft.ResourceHealth --subscription {subscription}")
}

/// A mail to an administrator that the person's own program opens.
pub(super) fn mail(subject: &str, body: &str) -> String {
    // Mail programs do not read `+` as a blank.
    let encode =
        |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
    format!("mailto:?subject={}&body={}", encode(subject), encode(body))
}
