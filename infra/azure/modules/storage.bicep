// Documents, queues and the package, in one account that knows no keys.

param name string
param location string
param tags object
param sku string
param restoreDays int
param appPrincipalId string
param workspaceId string

var stateContainer = 'health-state'
var deployContainer = 'app-package'
// The host makes a queue that is missing, and with it a `-poison` one: here, so that both exist before anybody asks for their length.
var queueNames = ['health-poll', 'health-poll-poison', 'health-notices', 'health-notices-poison']

// Built-in roles: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
var roles = [
  // The store creates, reads, changes, lists and deletes documents; the host keeps keys and the timer's lease and status as
  // blobs, for which it wants to be owner; the platform reads the package.
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  // The host takes, extends, deletes and puts messages of health-poll and health-notices, and puts poison aside; the scale
  // controller asks for their length. Reader, processor and sender together would not do: none may extend a message.
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
]

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: sku }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      // What was removed by mistake can be had back; what is erased on purpose is gone after these days.
      deleteRetentionPolicy: { enabled: true, days: restoreDays }
      containerDeleteRetentionPolicy: { enabled: true, days: restoreDays }
    }

    resource state 'containers' = { name: stateContainer }
    resource package 'containers' = { name: deployContainer }
  }

  resource queues 'queueServices' = {
    name: 'default'

    resource queue 'queues' = [for queueName in queueNames: { name: queueName }]
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in roles: {
    name: guid(account.id, appPrincipalId, role)
    scope: account
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Who deleted what, our own sweeping included. Reads and writes would cost more than the app.
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: account::blobs
  properties: {
    workspaceId: workspaceId
    logs: [{ category: 'StorageDelete', enabled: true }]
  }
}

output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output stateContainer string = stateContainer
output deployContainer string = deployContainer
