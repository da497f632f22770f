// The partner's side in Azure: a Functions app (Flex Consumption, custom handler) with its storage, secrets, telemetry and alerts.
// `deploy.sh` beside it does everything in order; docs/deploy-azure.md explains it. By hand:
//
//   az group create --name health-monitor --location westeurope
//   az deployment group create --resource-group health-monitor --template-file infra/azure/main.bicep \
//     --parameters clientId=<application id> sessionKey="$(openssl rand -base64 32)" partnerName=<your name>
//   infra/azure/register-app.sh --base-url <output baseUrl> --managed-identity <output identityPrincipalId>
//
// No key and no password is used anywhere: the app reaches its storage, its secrets, its telemetry and Entra with its identity.

targetScope = 'resourceGroup'

@description('Where everything lives: a region that has Flex Consumption (az functionapp list-flexconsumption-locations).')
param location string = resourceGroup().location

@description('Names start with this; the rest makes them unique in the world.')
@minLength(3)
@maxLength(10)
param prefix string = 'healthmon'

@description('Put on every resource, beside `application`, by which teardown.sh finds them.')
param tags object = {}

@description('The tenant where the application is registered. For its managed identity to be its credential it must be this subscription\'s own.')
param tenantId string = tenant().tenantId

@description('The application (client) id of the multi-tenant registration.')
@minLength(36)
@maxLength(36)
param clientId string

@description('32 random bytes in base64, which seal the sign-in sessions; several separated by commas while rotating. Empty: what is in the vault stays.')
@secure()
param sessionKey string = ''

@description('What browsers see, without a slash at its end. Empty: the address that Azure gives the app. Its /api/consent/callback and /api/consent/admin-callback must be redirect URIs of the application.')
param publicBaseUrl string = ''

@description('The partner, as customers see it on the consent pages.')
@minLength(1)
@maxLength(100)
param partnerName string

@description('How often customers are polled: NCRONTAB, six fields. Rarer than each 5 minutes needs a larger silentAfterMinutes.')
param pollSchedule string = '0 * * * * *'

@description('Who may onboard: customers with an invite, or anybody.')
@allowed(['invite', 'open'])
param onboarding string = 'invite'

@description('The cloud of the customers. The managed identity works as a credential only in its own cloud.')
@allowed(['AzurePublic', 'AzureUSGovernment', 'AzureChina'])
param cloud string = environment().name == 'AzureUSGovernment'
  ? 'AzureUSGovernment'
  : environment().name == 'AzureChinaCloud' ? 'AzureChina' : 'AzurePublic'

@description('The object id of the application\'s service principal here (az ad sp show --id <application id> --query id). Not empty: customers\' health is published as metrics of the Application Insights resource, and late readings raise an alert. Not in AzureChina, where no address for metrics is known.')
param metricsPrincipalId string = ''

@description('Settings that are secrets: NOTIFY_* of channels, DEAD_MAN_URL, OTEL_EXPORTER_OTLP_HEADERS, AZURE_CLIENT_SECRET where the managed identity will not do. Each is read from the vault\'s secret of the same name in small letters, with - for _.')
param vaultSettings array = []

@description('Values for them, by the setting\'s name. What is missing or empty stays in the vault as it is.')
@secure()
param secrets object = {}

@description('Where the handler\'s traces go, OTLP over HTTP, such as https://otel.contoso.com. Empty: nowhere; Application Insights has logs and requests in any case.')
param otlpEndpoint string = ''

@description('Further app settings, or other values for ours, by name, such as RATE_LIMITS or RUST_LOG; docs/settings.md has all. No secrets.')
param extraSettings object = {}

@description('Origins whose pages may call the API from a browser. Empty: none.')
param allowedOrigins array = []

@description('Memory of one instance. 2048 has a whole core; 512 has a quarter of it and costs a quarter.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('The most instances that Azure may start. Each timer and queue function has instances of its own; storage, not this, bounds the work (docs/scale.md).')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that always run for pages and API, at a fixed price: 0 lets the first visitor wait for a start of some seconds.')
@minValue(0)
@maxValue(10)
param alwaysReadyInstances int = 0

@description('How storage is kept: in three zones of the region, in one, or also in the paired region.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('For how many days what was deleted or overwritten in storage can be had back. An erased customer is gone for good only after them.')
@minValue(1)
@maxValue(365)
param restoreDays int = 7

@description('For how many days logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('The most that may be logged in a day, in GB; -1: no limit. What exceeds it is lost for that day, alerts included.')
@minValue(-1)
@maxValue(1000)
param logDailyCapGB int = 5

@description('True: nobody, not even an administrator, can end the vault\'s secrets before 90 days are over. Then a torn down deployment can only be recovered.')
param purgeProtection bool = false

@description('Who is told of alerts by mail. Empty: alerts are raised in the portal only.')
param alertEmails array = []

@description('Action groups that exist already, by their full ids, which are told as well.')
param alertActionGroupIds array = []

@description('False: no alerts and no test from outside.')
param alerts bool = true

@description('For how many minutes the timer may be silent before it is an alarm.')
@allowed([10, 15, 30, 45, 60, 120, 180, 360])
param silentAfterMinutes int = 15

@description('How old the oldest reading of a customer may be, in minutes. Needs metricsPrincipalId.')
@minValue(5)
@maxValue(1440)
param readingAgeMinutes int = 20

@description('How often each place asks /api/probe/ready from outside, in seconds. 0: no test from outside.')
@allowed([0, 300, 600, 900])
param availabilitySeconds int = 600

@description('From where: the ids of Application Insights\' locations. Empty: three of this cloud\'s.')
param availabilityLocations array = []

var unique = uniqueString(resourceGroup().id)
var name = '${prefix}-${unique}'
var allTags = union(tags, { application: 'azure-health-partner-monitor' })
var sites = {
  AzureCloud: 'azurewebsites.net'
  AzureUSGovernment: 'azurewebsites.us'
  AzureChinaCloud: 'chinacloudsites.cn'
}
var appUrl = 'https://${name}.${sites[environment().name]}'
var baseUrl = empty(publicBaseUrl) ? appUrl : publicBaseUrl
var publisherId = cloud == 'AzureChina' ? '' : metricsPrincipalId

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: allTags
}

module telemetry 'modules/telemetry.bicep' = {
  name: 'telemetry'
  params: {
    name: name
    location: location
    tags: allTags
    retentionDays: logRetentionDays
    dailyCapGB: logDailyCapGB
    appPrincipalId: identity.properties.principalId
    metricsPrincipalId: publisherId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: take('${toLower(replace(prefix, '-', ''))}${unique}', 24)
    location: location
    tags: allTags
    sku: storageSku
    restoreDays: restoreDays
    appPrincipalId: identity.properties.principalId
    workspaceId: telemetry.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: take(name, 24)
    location: location
    tags: allTags
    purgeProtection: purgeProtection
    appPrincipalId: identity.properties.principalId
    workspaceId: telemetry.outputs.workspaceId
    sessionKey: sessionKey
    settings: vaultSettings
    values: secrets
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    name: name
    location: location
    tags: allTags
    identityId: identity.id
    identityClientId: identity.properties.clientId
    tenantId: tenantId
    clientId: clientId
    cloud: cloud
    baseUrl: baseUrl
    partnerName: partnerName
    pollSchedule: pollSchedule
    onboarding: onboarding
    storageName: storage.outputs.name
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    stateContainer: storage.outputs.stateContainer
    deployContainer: storage.outputs.deployContainer
    vaultUri: vault.outputs.uri
    vaultSettings: vaultSettings
    connectionString: telemetry.outputs.connectionString
    metricsResourceId: empty(publisherId) ? '' : telemetry.outputs.insightsId
    otlpEndpoint: otlpEndpoint
    extraSettings: extraSettings
    allowedOrigins: allowedOrigins
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
  }
}

module watch 'modules/alerts.bicep' = if (alerts) {
  name: 'alerts'
  params: {
    name: name
    location: location
    tags: allTags
    workspaceId: telemetry.outputs.workspaceId
    insightsId: telemetry.outputs.insightsId
    emails: alertEmails
    actionGroupIds: alertActionGroupIds
    silentAfterMinutes: silentAfterMinutes
    readingAgeMinutes: readingAgeMinutes
    hasHealthMetrics: !empty(publisherId)
    readyUrl: '${appUrl}/api/probe/ready'
    availabilitySeconds: availabilitySeconds
    availabilityLocations: availabilityLocations
  }
}

@description('For: func azure functionapp publish <name>, az functionapp deployment source config-zip --name <name>.')
output functionAppName string = app.outputs.name

@description('For: register-app.sh --base-url <url>.')
output baseUrl string = baseUrl

@description('For: register-app.sh --managed-identity <id>, register add-federated --managed-identity <id>.')
output identityPrincipalId string = identity.properties.principalId

@description('Where the secrets are.')
output vaultName string = vault.outputs.name

@description('Where the state is.')
output storageName string = storage.outputs.name

@description('To be registered with the application.')
output redirectUris array = [
  '${baseUrl}/api/consent/callback'
  '${baseUrl}/api/consent/admin-callback'
]
