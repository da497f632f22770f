//! The receipt: what was granted, by whom, when, and how to take it back. Pure.

use serde::Serialize;

use crate::model::{AccessTier, ClientId, Customer, Grant, ObjectId, SubscriptionId, TenantId, Timestamp};

/// What a customer granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The customer's tenant.
    pub tenant_id: TenantId,
    /// What people call it.
    pub display_name: String,
    /// Our application.
    pub client_id: ClientId,
    /// Our service principal in the tenant, where access goes through one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_principal_id: Option<ObjectId>,
    /// When the customer first granted access.
    pub onboarded_at: Timestamp,
    /// Since when it is no longer watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offboarded_at: Option<Timestamp>,
    /// What each tier gives, and where it stands.
    pub tiers: Vec<TierLine>,
    /// The role assignments, as they were made.
    pub grants: Vec<Grant>,
    /// Subscriptions that are watched without an assignment of their own: a wider scope covers them.
    pub covered: Vec<Covered>,
    /// How to take it back.
    pub take_back: TakeBack,
}

/// One tier on the receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TierLine {
    /// The tier.
    pub tier: AccessTier,
    /// The role that it needs.
    pub role: &'static str,
    /// What it gives.
    pub gives: &'static str,
    /// True when it was granted, or agreed to.
    pub granted: bool,
    /// The subscriptions on which it was granted, where it is granted by subscription.
    pub subscriptions: Vec<SubscriptionId>,
    /// True when Azure let us read with it; None where that was not tried yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub works: Option<bool>,
    /// What somebody has to do for it, where the grant alone is not enough.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
}

/// A subscription that a wider scope covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Covered {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Its name.
    pub display_name: String,
    /// When we found it.
    pub found_at: Option<Timestamp>,
}

/// How to take access back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakeBack {
    /// The page on which the customer does it himself.
    pub page: String,
    /// Azure CLI lines that remove the role assignments, one each.
    pub commands: Vec<String>,
    /// The line that removes the application from the tenant, and with it all access at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remove_application: Option<String>,
}

/// The receipt of a customer. `tenant_events_work`: whether Azure let us read the events of the tenant, where it was tried.
pub fn receipt(customer: &Customer, client_id: ClientId, page: String, tenant_events_work: Option<bool>) -> Receipt {
    let standing = |grant: &&Grant| !customer.receipt.iter().any(|later| later.at > grant.at && same(later, grant));
    let mut grants: Vec<Grant> = customer.receipt.iter().filter(standing).cloned().collect();
    grants.dedup();
    let principal = customer.service_principal_id();
    let covered = customer.subscriptions.iter().filter(|(_, one)| one.discovered).map(|(id, one)| Covered {
        subscription_id: *id,
        display_name: one.display_name.clone(),
        found_at: one.granted_at,
    });
    let line = |tier: AccessTier| {
        let with = |(id, one): (&SubscriptionId, &crate::model::Subscription)| {
            (tier == AccessTier::Base || one.tiers.contains(&tier)).then_some(*id)
        };
        let subscriptions: Vec<_> = match tier {
            AccessTier::TenantEvents => Vec::new(),
            _ => customer.subscriptions.iter().filter_map(with).collect(),
        };
        let granted = match tier {
            AccessTier::Base => true,
            AccessTier::SecurityAdvisories => !subscriptions.is_empty(),
            AccessTier::TenantEvents => customer.tiers.contains(&tier),
        };
        let works = (tier == AccessTier::TenantEvents && granted).then_some(tenant_events_work).flatten();
        let how = (tier == AccessTier::TenantEvents && granted && works != Some(true)).then(|| how(principal));
        TierLine { tier, role: tier.role(), gives: tier.gives(), granted, subscriptions, works, how }
    };
    let mut ids: Vec<&str> = grants.iter().map(|grant| grant.role_assignment_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let commands = ids.into_iter().filter(|id| is_plain(id)).map(|id| format!("az role assignment delete --ids {id}"));
    Receipt {
        tenant_id: customer.tenant_id,
        display_name: customer.display_name.clone(),
        client_id,
        service_principal_id: principal,
        onboarded_at: customer.onboarded_at,
        offboarded_at: customer.offboarded_at,
        tiers: [AccessTier::Base].into_iter().chain(AccessTier::OPTIONAL).map(line).collect(),
        covered: covered.collect(),
        take_back: TakeBack {
            page,
            commands: commands.collect(),
            remove_application: principal.map(|_| format!("az ad sp delete --id {client_id}")),
        },
        grants,
    }
}

fn same(a: &Grant, b: &Grant) -> bool {
    a.role_assignment_id.eq_ignore_ascii_case(&b.role_assignment_id)
}

/// Nothing in a command needs quoting: what does is left out.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '.' | '_'))
}

/// What an administrator of the tenant does so that the events of the tenant can be read.
fn how(principal: Option<ObjectId>) -> String {
    let command = directory_role_command(principal);
    format!(
        "An administrator assigns the role Global Reader to the application under Microsoft Entra, Roles and administrators, \
         or runs: {command}"
    )
}

/// The line with which an administrator assigns the role of the directory.
pub fn directory_role_command(principal: Option<ObjectId>) -> String {
    let principal = principal.map_or_else(|| "<service principal>".to_owned(), |principal| principal.to_string());
    format!(
        "az rest --method POST --url https://graph.microsoft.com/v1.0/roleManagement/directory/roleAssignments --body '{{\"principalId\":\"{principal}\",\"roleDefinitionId\":\"f2ef992c-3afb-46b9-b7cf-a126ee74c451\",\
         \"directoryScopeId\":\"/\"}}'"
    )
}
