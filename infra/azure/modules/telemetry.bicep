// Logs, requests and metrics. Nobody writes here without an identity.

param name string
param location string
param tags object
param retentionDays int
param dailyCapGB int
param appPrincipalId string
param metricsPrincipalId string

// The host sends requests and the handler's log lines as the app's identity, since a key alone is not taken; the handler
// publishes customers' health as the application, which is another principal.
var metricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    retentionInDays: retentionDays
    sku: { name: 'PerGB2018' }
    workspaceCapping: { dailyQuotaGb: dailyCapGB }
    features: { disableLocalAuth: true }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

resource hostAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

resource applicationAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(metricsPrincipalId)) {
  name: guid(insights.id, metricsPrincipalId, metricsPublisher)
  scope: insights
  properties: {
    principalId: metricsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', metricsPublisher)
  }
}

output workspaceId string = logs.id
output insightsId string = insights.id
output connectionString string = insights.properties.ConnectionString
