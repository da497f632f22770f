//! Templates that a customer deploys himself: Reader for our service principal, or a delegation by Azure Lighthouse. Pure.

use serde_json::json;
use uuid::Uuid;

use crate::azure::READER;
use crate::model::{ObjectId, TenantId};

/// The role that lets the partner end a delegation himself ("Identity, consent and onboarding contract", section 0).
const END_DELEGATION: &str = "91c1777a-f3dc-4fae-b103-61d183457e46";

/// The namespace of the names in a delegation: a fixed GUID of our own. Deployed twice, it is there once.
const NAMESPACE: Uuid = Uuid::from_u128(0x84b1_2d6e_0f5c_4a1b_b7a9_3c6e_51d2_9f07);

/// How a template is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON for Azure Resource Manager.
    Arm,
    /// Bicep.
    Bicep,
}

/// A file to download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// What is in it.
    pub text: String,
}

/// Reader on the subscription that it is deployed to, for our service principal in that tenant.
pub(crate) fn reader(format: Format, principal: ObjectId, partner: &str) -> Template {
    // It begins with our own words: a text that begins with a bracket would be read as an expression.
    let description = format!("Read-only health monitoring by {partner}");
    match format {
        Format::Arm => {
            let name = format!("[guid(subscription().id, parameters('principalId'), '{READER}')]");
            let role = format!("[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{READER}')]");
            let template = json!({
                "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
                "contentVersion": "1.0.0.0",
                "parameters": {
                    "principalId": {
                        "type": "string",
                        "defaultValue": principal,
                        "metadata": {"description": "The service principal of the application in this tenant (object id)"},
                    },
                },
                "resources": [{
                    "type": "Microsoft.Authorization/roleAssignments",
                    "apiVersion": "2022-04-01",
                    "name": name,
                    "properties": {
                        "roleDefinitionId": role,
                        "principalId": "[parameters('principalId')]",
                        "principalType": "ServicePrincipal",
                        "description": description,
                    },
                }],
            });
            Template { name: "reader.json", media_type: "application/json", text: format!("{template:#}\n") }
        }
        Format::Bicep => {
            let description = quoted(&description);
            let text = format!(
                "targetScope = 'subscription'\n\n\
                 @description('The service principal of the application in this tenant (object id)')\n\
                 param principalId string = '{principal}'\n\n\
                 var reader = '{READER}'\n\n\
                 resource readerAssignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {{\n  \
                   name: guid(subscription().id, principalId, reader)\n  \
                   properties: {{\n    \
                     roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', reader)\n    \
                     principalId: principalId\n    \
                     principalType: 'ServicePrincipal'\n    \
                     description: {description}\n  \
                   }}\n}}\n"
            );
            Template { name: "reader.bicep", media_type: "text/plain; charset=utf-8", text }
        }
    }
}

/// A delegation of the subscription that it is deployed to: Reader for our service principal in the partner's tenant, and the
/// right to end the delegation.
pub(crate) fn delegation(partner_tenant: TenantId, principal: ObjectId, partner: &str) -> Template {
    let name = Uuid::new_v5(&NAMESPACE, format!("{partner_tenant}|{principal}|{READER}").as_bytes());
    let authorization = |role: &str| json!({"principalId": principal, "principalIdDisplayName": "Health monitor", "roleDefinitionId": role});
    let definitions = "Microsoft.ManagedServices/registrationDefinitions";
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [
            {
                "type": definitions,
                "apiVersion": "2022-10-01",
                "name": name,
                "properties": {
                    "registrationDefinitionName": format!("Health monitoring by {partner}"),
                    "description": "Reader on this subscription, to read its Azure health. Nothing can be changed with it.",
                    "managedByTenantId": partner_tenant,
                    // Bare GUIDs here, not paths.
                    "authorizations": [authorization(&READER.to_string()), authorization(END_DELEGATION)],
                },
            },
            {
                "type": "Microsoft.ManagedServices/registrationAssignments",
                "apiVersion": "2022-10-01",
                "name": name,
                "dependsOn": [format!("[subscriptionResourceId('{definitions}', '{name}')]")],
                "properties": {
                    "registrationDefinitionId": format!("[subscriptionResourceId('{definitions}', '{name}')]"),
                },
            },
        ],
    });
    Template { name: "lighthouse.json", media_type: "application/json", text: format!("{template:#}\n") }
}

/// A Bicep string: foreign text stays text.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace("${", "\\${");
    format!("'{}'", escaped.replace(['\n', '\r'], " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partners_name_stays_text_in_bicep() {
        assert_eq!(quoted(r"O'Hara \ ${x}"), r"'O\'Hara \\ \${x}'");
        let id = ObjectId::from(Uuid::nil());
        let text = reader(Format::Bicep, id, "it's ${evil()}").text;
        assert!(text.contains(r"description: 'Read-only health monitoring by it\'s \${evil()}'"), "{text}");
        assert!(text.contains(&format!("param principalId string = '{id}'")));
    }

    #[test]
    fn a_delegation_deployed_twice_is_the_same_one() {
        let (tenant, id) = (TenantId::from(Uuid::nil()), ObjectId::from(Uuid::nil()));
        assert_eq!(delegation(tenant, id, "a"), delegation(tenant, id, "a"));
        assert!(delegation(tenant, id, "a").text.contains("managedByTenantId"));
    }
}
