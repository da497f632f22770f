//! Role assignments and permissions, api-version 2022-04-01
//! (<https://learn.microsoft.com/rest/api/authorization/role-assignments>, `/permissions`).

use serde::Deserialize;

/// The version that these mirrors follow.
pub(crate) const API_VERSION: &str = "2022-04-01";

/// A role assignment.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RoleAssignment {
    /// The full id.
    pub id: Option<String>,
    pub properties: Option<RoleAssignmentProperties>,
}

/// What a role assignment says.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignmentProperties {
    /// With or without the subscription in front.
    pub role_definition_id: Option<String>,
    pub principal_id: Option<String>,
    pub scope: Option<String>,
    pub created_by: Option<String>,
}

/// One entry of what the caller may do at a scope.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Permission {
    pub actions: Vec<String>,
    pub not_actions: Vec<String>,
}
