// What a deployment of yours sets. deploy.sh gives what is read from the environment here, so that nothing secret stands in a
// file or on a command line; all parameters are in main.bicep and docs/deploy-azure.md.
using './main.bicep'

param clientId = readEnvironmentVariable('MONITOR_CLIENT_ID')
param metricsPrincipalId = readEnvironmentVariable('MONITOR_PRINCIPAL_ID', '')
param sessionKey = readEnvironmentVariable('MONITOR_SESSION_KEY', '')

param partnerName = readEnvironmentVariable('MONITOR_PARTNER_NAME')
param publicBaseUrl = readEnvironmentVariable('MONITOR_PUBLIC_BASE_URL', '')
param alertEmails = empty(readEnvironmentVariable('MONITOR_ALERT_EMAILS', '')) ? [] : split(readEnvironmentVariable('MONITOR_ALERT_EMAILS'), ',')

// Secrets of yours: named in the first, with a value in the second (once; the vault keeps it).
// param vaultSettings = ['DEAD_MAN_URL', 'NOTIFY_TEAMS_OPS']
// param secrets = {
//   DEAD_MAN_URL: readEnvironmentVariable('DEAD_MAN_URL', '')
//   NOTIFY_TEAMS_OPS: readEnvironmentVariable('NOTIFY_TEAMS_OPS', '')
// }

// Examples of what else there is.
// param pollSchedule = '0 */2 * * * *'
// param allowedOrigins = ['https://portal.contoso.com']
// param alwaysReadyInstances = 1
// param otlpEndpoint = 'https://otel.contoso.com'
// param extraSettings = { RATE_LIMITS: 'client=30,total=600,clientLookups=5,totalLookups=60' }
// param tags = { owner: 'platform', costCenter: '4711' }
