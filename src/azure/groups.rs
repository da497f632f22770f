//! Management groups: which ones a user sees, and which subscriptions are below one. api-version 2020-05-01
//! (<https://learn.microsoft.com/rest/api/managementgroups/management-groups/list>, `/descendants`).

use serde_json::Value;

use super::{AccessToken, Client, Error};
use crate::model::{ManagementGroupId, Scope, SubscriptionId};

const API_VERSION: &str = "2020-05-01";

/// A management group as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenGroup {
    pub id: ManagementGroupId,
    /// Its name; foreign text, capped.
    pub name: String,
}

impl Client {
    /// The management groups that the token's user sees in the token's tenant.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`]; who sees none is refused.
    pub(crate) async fn management_groups(&self, token: &AccessToken) -> Result<Vec<SeenGroup>, Error> {
        let path = format!("/providers/Microsoft.Management/managementGroups?api-version={API_VERSION}");
        let listing = self.arm_list(&path, token).await?;
        Ok(listing.rows.iter().filter_map(group).collect())
    }

    /// The subscriptions below a management group, at any depth, with their names.
    ///
    /// # Errors
    /// Any of [`Client::arm_list`]; a listing that broke off is an error.
    pub(crate) async fn subscriptions_below(
        &self,
        group: &ManagementGroupId,
        token: &AccessToken,
    ) -> Result<Vec<(SubscriptionId, String)>, Error> {
        let scope = Scope::ManagementGroup(group.clone());
        let listing = self.arm_list(&format!("{scope}/descendants?api-version={API_VERSION}"), token).await?;
        match listing.broken_off {
            Some(error) => Err(error),
            None => Ok(listing.rows.iter().filter_map(below).collect()),
        }
    }
}

fn name(row: &Value) -> Option<String> {
    let name: String = row.pointer("/properties/displayName")?.as_str()?.trim().chars().take(200).collect();
    (!name.is_empty()).then_some(name)
}

fn group(row: &Value) -> Option<SeenGroup> {
    let id: ManagementGroupId = row.get("name")?.as_str()?.parse().ok()?;
    Some(SeenGroup { name: name(row).unwrap_or_else(|| id.to_string()), id })
}

/// A descendant that is a subscription: Azure calls its type `/subscriptions`, with or without more in front.
fn below(row: &Value) -> Option<(SubscriptionId, String)> {
    if !row.get("type")?.as_str()?.to_ascii_lowercase().ends_with("/subscriptions") {
        return None;
    }
    let id: SubscriptionId = row.get("name")?.as_str()?.parse().ok()?;
    Some((id, name(row).unwrap_or_else(|| id.to_string())))
}
