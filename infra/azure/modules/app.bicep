// The Functions app: its plan, its settings, and who may not publish to it.

param name string
param location string
param tags object
param identityId string
param identityClientId string
param tenantId string
param clientId string
param cloud string
param baseUrl string
param partnerName string
param pollSchedule string
param onboarding string
param storageName string
param blobEndpoint string
param queueEndpoint string
param stateContainer string
param deployContainer string
param vaultUri string
param vaultSettings array
param connectionString string
param metricsResourceId string
param otlpEndpoint string
param extraSettings object
param allowedOrigins array
param instanceMemoryMB int
param maximumInstanceCount int
param alwaysReadyInstances int

// What is empty counts as not set.
var settings = {
  // The host's own: storage and telemetry by identity. A custom handler on Flex needs no FUNCTIONS_WORKER_RUNTIME.
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsStorage__accountName: storageName
  AzureWebJobsStorage__blobServiceUri: blobEndpoint
  AzureWebJobsStorage__queueServiceUri: queueEndpoint
  APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
  // Ours: docs/settings.md.
  STATE_STORE_URL: 'az://${stateContainer}'
  AZURE_TENANT_ID: tenantId
  AZURE_CLIENT_ID: clientId
  MANAGED_IDENTITY_CLIENT_ID: contains(vaultSettings, 'AZURE_CLIENT_SECRET') ? '' : identityClientId
  AZURE_CLOUD: cloud
  PUBLIC_BASE_URL: baseUrl
  PARTNER_NAME: partnerName
  POLL_SCHEDULE: pollSchedule
  ONBOARDING: onboarding
  HEALTH_METRICS_RESOURCE_ID: metricsResourceId
  HEALTH_METRICS_REGION: empty(metricsResourceId) ? '' : toLower(replace(location, ' ', ''))
  LOG_FORMAT: 'json'
  RUST_LOG: 'info'
  OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint
  OTEL_SERVICE_NAME: name
  OTEL_RESOURCE_ATTRIBUTES: 'cloud.provider=azure,cloud.platform=azure_functions,cloud.region=${location}'
  SESSION_KEYS: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/session-keys)'
}
// Without a version in them, so that a new secret is taken within a day, or by a restart.
var references = toObject(
  vaultSettings,
  setting => setting,
  setting => '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${toLower(replace(setting, '_', '-'))})'
)

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { name: 'FC1', tier: 'FlexConsumption' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyInstances == 0 ? [] : [{ name: 'http', instanceCount: alwaysReadyInstances }]
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${blobEndpoint}${deployContainer}'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
    }
    siteConfig: {
      // Nothing else: Flex Consumption refuses much of what other plans have here, `ftpsState` among it. There is no FTP at all.
      minTlsVersion: '1.2'
      cors: empty(allowedOrigins) ? null : { allowedOrigins: allowedOrigins }
      appSettings: map(items(union(settings, references, extraSettings)), setting => {
        name: setting.key
        value: setting.value
      })
    }
  }

  // Publishing needs a token of Entra, which `func` and `az` have; no password works.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }
}

output name string = app.name
