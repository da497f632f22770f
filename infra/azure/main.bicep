// The partner's side in Azure: a Functions app (Flex Consumption, custom handler), its storage and its secrets.
//
//   az group create --name health-monitor --location westeurope
//   az deployment group create --resource-group health-monitor --template-file infra/azure/main.bicep \
//     --parameters clientId=<application id> sessionKey="$(openssl rand -base64 32)" partnerName=<your name>
//   cargo run -- register add-federated --managed-identity <output identityPrincipalId>
//   cargo run -- package && cd target/package && func azure functionapp publish <output functionAppName> --no-build
//
// No storage key is used anywhere: the app reaches its storage and its secrets with its identity.

targetScope = 'resourceGroup'

@description('Where everything lives.')
param location string = resourceGroup().location

@description('Names start with this; the rest makes them unique.')
@minLength(3)
@maxLength(10)
param prefix string = 'healthmon'

@description('The partner tenant, where the application is registered.')
param tenantId string = tenant().tenantId

@description('The application (client) id of the multi-tenant registration.')
param clientId string

@description('A client secret of the application: its value, not its id. Empty: the app\'s managed identity is the credential.')
@secure()
param clientSecret string = ''

@description('32 random bytes in base64, which seal the sign-in sessions; several separated by commas while rotating.')
@secure()
param sessionKey string

@description('What browsers see. Empty: the address that Azure gives the app. Its /api/consent/callback and /api/consent/admin-callback must be redirect URIs of the application.')
param publicBaseUrl string = ''

@description('The partner, as customers see it on the consent pages.')
param partnerName string

@description('How often customers are polled: NCRONTAB, six fields.')
param pollSchedule string = '0 * * * * *'

@allowed(['invite', 'open'])
@description('Who may onboard: customers with an invite, or anybody.')
param onboarding string = 'invite'

@allowed(['AzurePublic', 'AzureUSGovernment', 'AzureChina'])
@description('The cloud of the customers.')
param cloud string = 'AzurePublic'

@description('The object id of the application\'s service principal here (az ad sp show --id <application id> --query id). Not empty: customers\' health is published as metrics of the Application Insights resource.')
param metricsPrincipalId string = ''

var unique = uniqueString(resourceGroup().id)
var appName = '${prefix}-${unique}'
var storageName = take('${prefix}${unique}', 24)
var vaultName = take('${prefix}-${unique}', 24)
var stateContainer = 'health-state'
var deployContainer = 'app-package'

// Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var storageRoles = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner: documents, timer leases, the package
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor: health-poll, health-notices
]
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: appName
  location: location
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: storageName
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      // What was removed or overwritten by mistake can be had back for a week.
      deleteRetentionPolicy: { enabled: true, days: 7 }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource state 'containers' = { name: stateContainer }
    resource package 'containers' = { name: deployContainer }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource poll 'queues' = { name: 'health-poll' }
    resource poison 'queues' = { name: 'health-poll-poison' }
    resource notices 'queues' = { name: 'health-notices' }
    resource noticesPoison 'queues' = { name: 'health-notices-poison' }
  }
}

resource storageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in storageRoles: {
    name: guid(storage.id, identity.id, role)
    scope: storage
    properties: {
      principalId: identity.properties.principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
  }

  resource clientSecretEntry 'secrets' = if (!empty(clientSecret)) {
    name: 'client-secret'
    properties: { value: clientSecret }
  }

  resource sessionKeyEntry 'secrets' = {
    name: 'session-keys'
    properties: { value: sessionKey }
  }
}

resource secretsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identity.id, secretsUser)
  scope: vault
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: appName
  location: location
  properties: { retentionInDays: 30, sku: { name: 'PerGB2018' } }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: appName
  location: location
  kind: 'web'
  properties: { Application_Type: 'web', WorkspaceResourceId: logs.id }
}

// The metrics are published with the application's own identity, not with the app's.
resource metricsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(metricsPrincipalId)) {
  name: guid(insights.id, metricsPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: metricsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: appName
  location: location
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: { instanceMemoryMB: 2048, maximumInstanceCount: 40 }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${deployContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      appSettings: [
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insights.properties.ConnectionString }
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'AzureWebJobsStorage__clientId', value: identity.properties.clientId }
        { name: 'AzureWebJobsStorage__accountName', value: storage.name }
        { name: 'AzureWebJobsStorage__blobServiceUri', value: storage.properties.primaryEndpoints.blob }
        { name: 'AzureWebJobsStorage__queueServiceUri', value: storage.properties.primaryEndpoints.queue }
        { name: 'STATE_STORE_URL', value: 'az://${stateContainer}' }
        { name: 'AZURE_TENANT_ID', value: tenantId }
        { name: 'AZURE_CLIENT_ID', value: clientId }
        { name: 'AZURE_CLIENT_SECRET', value: empty(clientSecret) ? '' : '@Microsoft.KeyVault(VaultName=${vault.name};SecretName=client-secret)' }
        { name: 'MANAGED_IDENTITY_CLIENT_ID', value: empty(clientSecret) ? identity.properties.clientId : '' }
        { name: 'SESSION_KEYS', value: '@Microsoft.KeyVault(SecretUri=${vault::sessionKeyEntry.properties.secretUri})' }
        { name: 'AZURE_CLOUD', value: cloud }
        { name: 'PUBLIC_BASE_URL', value: empty(publicBaseUrl) ? 'https://${appName}.azurewebsites.net' : publicBaseUrl }
        { name: 'PARTNER_NAME', value: partnerName }
        { name: 'POLL_SCHEDULE', value: pollSchedule }
        { name: 'ONBOARDING', value: onboarding }
        { name: 'HEALTH_METRICS_RESOURCE_ID', value: empty(metricsPrincipalId) ? '' : insights.id }
        { name: 'HEALTH_METRICS_REGION', value: empty(metricsPrincipalId) ? '' : toLower(replace(location, ' ', '')) }
        { name: 'LOG_FORMAT', value: 'json' }
        { name: 'RUST_LOG', value: 'info' }
      ]
    }
  }
  dependsOn: [storageAccess, secretsAccess]
}

@description('For: func azure functionapp publish <name> --no-build')
output functionAppName string = app.name

@description('Without a client secret: for register add-federated --managed-identity <id>.')
output identityPrincipalId string = identity.properties.principalId

@description('To be registered with the application.')
output redirectUris array = [
  '${empty(publicBaseUrl) ? 'https://${appName}.azurewebsites.net' : publicBaseUrl}/api/consent/callback'
  '${empty(publicBaseUrl) ? 'https://${appName}.azurewebsites.net' : publicBaseUrl}/api/consent/admin-callback'
]
