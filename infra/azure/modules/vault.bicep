// The few secrets that there are. The app reads them as references in its settings (app.bicep).

param name string
param location string
param tags object
param purgeProtection bool
param appPrincipalId string
param workspaceId string

@secure()
param sessionKey string

param settings array

@secure()
param values object

// The platform reads the values of the references, and nothing else does: no list, no write.
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    // False is no value that Azure takes.
    enablePurgeProtection: purgeProtection ? true : null
  }

  // An empty parameter leaves alone what is there: deploying again needs no secret.
  resource sessionKeys 'secrets' = if (!empty(sessionKey)) {
    name: 'session-keys'
    properties: { value: sessionKey }
  }

  resource secret 'secrets' = [
    for setting in settings: if (!empty(union({ '${setting}': '' }, values)[setting])) {
      name: toLower(replace(setting, '_', '-'))
      properties: { value: values[setting] }
    }
  ]
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, appPrincipalId, secretsUser)
  scope: vault
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

// Who read which secret.
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'AuditEvent', enabled: true }]
  }
}

output name string = vault.name
output uri string = vault.properties.vaultUri
