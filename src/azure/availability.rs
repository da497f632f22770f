//! The availability of every resource of one subscription, by resource group where the listing of the subscription breaks
//! off: its second page may be refused, a known fault of Azure ("Azure health data APIs", 1.5).

use serde_json::Value;
use url::Url;

use super::request::{Listing, any_case};
use super::resource_health::API_VERSION;
use super::{AccessToken, Client, Error};
use crate::model::SubscriptionId;

/// Resource groups that one reading asks for; a subscription with more stays partial.
const GROUPS: usize = 200;
const GROUPS_API_VERSION: &str = "2021-04-01";

impl Client {
    /// The current availability of every resource of one subscription that Resource Health knows. No `$expand`: it breaks
    /// the second page. What the listing does not give, its resource groups may.
    pub(super) async fn list_availability(
        &self,
        token: &AccessToken,
        subscription: SubscriptionId,
    ) -> Result<Listing, Error> {
        let path = format!(
            "/subscriptions/{subscription}/providers/Microsoft.ResourceHealth/availabilityStatuses?api-version={API_VERSION}"
        );
        let mut listing = self.arm_list(&path, token).await?;
        // Other trouble than a refused page concerns the groups as well.
        let refused = listing.broken_off.as_ref().and_then(Error::refusal).is_some_and(|refusal| refusal.status == 400);
        if refused && let Some(rows) = self.list_by_groups(token, subscription).await {
            // What the groups say is newer.
            listing.rows.extend(rows);
            listing.broken_off = None;
        }
        Ok(listing)
    }

    /// The same, group by group. None unless every group could be read to its end.
    async fn list_by_groups(&self, token: &AccessToken, subscription: SubscriptionId) -> Option<Vec<Value>> {
        let path = format!("/subscriptions/{subscription}/resourcegroups?api-version={GROUPS_API_VERSION}");
        if !self.spend(1) {
            return None;
        }
        let groups = self.arm_list(&path, token).await.ok().filter(|listing| listing.broken_off.is_none())?;
        let names: Vec<&str> = groups.rows.iter().filter_map(|row| any_case(row, "name")?.as_str()).collect();
        let calls = u32::try_from(names.len()).ok()?;
        if names.len() != groups.rows.len() || names.len() > GROUPS || !self.spend(calls) {
            tracing::info!(subscription.id = %subscription, resource_groups = names.len(), "too many resource groups to read one by one now");
            return None;
        }
        let mut rows = Vec::new();
        for name in names {
            match self.arm_list(&self.group_path(subscription, name)?, token).await {
                Ok(listing) if listing.broken_off.is_none() => rows.extend(listing.rows),
                // Deleted meanwhile: it has no resources.
                Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => {}
                _ => return None,
            }
        }
        Some(rows)
    }

    /// Names of resource groups may have brackets and letters of any script.
    fn group_path(&self, subscription: SubscriptionId, group: &str) -> Option<String> {
        let subscription = subscription.to_string();
        let mut url = Url::parse("https://path.invalid").ok()?;
        let tail = ["providers", "Microsoft.ResourceHealth", "availabilityStatuses"];
        url.path_segments_mut()
            .ok()?
            .extend(["subscriptions", subscription.as_str(), "resourceGroups", group])
            .extend(tail);
        Some(format!("{}?api-version={API_VERSION}", url.path()))
    }
}
