// Who watches the monitor. Each query asks for what the host or the handler really writes; a test holds the words against the code.
// What to do about each alert: docs/deploy-azure.md.

param name string
param location string
param tags object
param workspaceId string
param insightsId string
param emails array
param actionGroupIds array
param silentAfterMinutes int
param readingAgeMinutes int
param hasHealthMetrics bool
param readyUrl string
param availabilitySeconds int
param availabilityLocations array

// AppRequests has one row for each run of a function and each request, never sampled (host.json); AppTraces has the host's own
// lines and, as JSON, those that the handler prints.
var lines = 'AppTraces | where Message startswith "{" | extend line = parse_json(Message) | where '
var rules = [
  {
    name: 'timer-silent'
    severity: 1
    what: 'PollTimer did not end well for ${silentAfterMinutes} minutes: nobody is polled and nothing is told.'
    query: 'AppRequests | where Name == "PollTimer" and Success'
    minutes: silentAfterMinutes
    operator: 'LessThan'
    threshold: 1
  }
  {
    name: 'customer-silent'
    severity: 2
    what: 'Nothing could be read of a customer for long, or the whole monitor was silent.'
    query: '${lines}tostring(line["transition.kind"]) in ("customerSilent", "monitorWasSilent")'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'nothing-is-read'
    severity: 1
    what: 'The timer runs, but nothing of any customer is read: the credential, Entra, or the network.'
    query: '${lines}tostring(line.message) startswith "nothing of any customer is read"'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'dead-letters'
    severity: 2
    what: 'A notice was given up after 75 hours of tries: somebody was not told. POST /api/v1/notices/replay sends it anew.'
    query: '${lines}tostring(line.message) == "a notice ended" and tostring(line["notice.end"]) == "Dead"'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'destination-gone'
    severity: 2
    what: 'A destination said that it is gone for good: its channel is disabled, and tells nobody.'
    query: '${lines}tostring(line.message) == "a destination is gone: its channel is disabled"'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'credential-ends'
    severity: 2
    what: 'The application\'s credential ends soon or has ended. Never with a managed identity.'
    query: '${lines}tostring(line.message) == "our credential ends soon or has ended"'
    minutes: 60
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'poison'
    severity: 2
    what: 'A message was tried five times in vain and lies in health-poll-poison or health-notices-poison. Truth is in the store: the next timer makes the work anew.'
    query: 'AppTraces | where Message startswith "Message has reached MaxDequeueCount" and (Message has "health-poll-poison" or Message has "health-notices-poison")'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 0
  }
  {
    name: 'failing-work'
    severity: 3
    what: 'Polls or deliveries fail again and again; the handler\'s lines with level ERROR say why.'
    query: 'AppRequests | where Name in ("PollTimer", "PollTenant", "DeliverNotice") and not(Success)'
    minutes: 30
    operator: 'GreaterThan'
    threshold: 20
  }
  {
    name: 'server-errors'
    severity: 2
    what: 'Pages or API answer with 5xx; x-ms-request-id of the answer finds the handler\'s line. /api/probe/ready says 503 by itself and does not count.'
    query: 'AppRequests | where toint(ResultCode) between (500 .. 599) and Name != "Probe"'
    minutes: 15
    operator: 'GreaterThan'
    threshold: 5
  }
]

var places = {
  AzureCloud: ['emea-nl-ams-azr', 'emea-gb-db3-azr', 'us-va-ash-azr']
  AzureUSGovernment: ['usgov-va-azr', 'usgov-phx-azr', 'usgov-tx-azr']
  AzureChinaCloud: ['mc-cne-azr', 'mc-cne2-azr', 'mc-cnn-azr']
}
var testId = resourceId('Microsoft.Insights/webtests', '${name}-ready')
var asks = empty(availabilityLocations) ? places[environment().name] : availabilityLocations

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(emails)) {
  name: name
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'health mon'
    emailReceivers: [
      for email in emails: {
        name: email
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var peopleId = resourceId('Microsoft.Insights/actionGroups', name)
var groups = concat(empty(emails) ? [] : [peopleId], actionGroupIds)

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2022-06-15' = [
  for rule in rules: {
    name: '${name}-${rule.name}'
    location: location
    tags: tags
    properties: {
      displayName: '${name}: ${rule.name}'
      description: rule.what
      severity: rule.severity
      enabled: true
      // A rarer question is a cheaper one; none is asked more often than it looks back.
      evaluationFrequency: rule.minutes >= 15 ? 'PT15M' : 'PT5M'
      windowSize: rule.minutes < 60 ? 'PT${rule.minutes}M' : 'PT${rule.minutes / 60}H'
      scopes: [workspaceId]
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: { numberOfEvaluationPeriods: 1, minFailingPeriodsToAlert: 1 }
          }
        ]
      }
      autoMitigate: true
      // The tables are there only once something was logged.
      skipQueryValidation: true
      actions: { actionGroups: groups }
    }
    dependsOn: [people]
  }
]

// Poll lag: how old what is known of the worst customer is, as the handler publishes it each minute.
resource pollLag 'Microsoft.Insights/metricAlerts@2018-03-01' = if (hasHealthMetrics) {
  name: '${name}-poll-lag'
  location: 'global'
  tags: tags
  properties: {
    description: 'Some customer was not read for ${readingAgeMinutes} minutes: polls are late, or Azure refuses him.'
    severity: 2
    enabled: true
    evaluationFrequency: 'PT5M'
    windowSize: 'PT5M'
    scopes: [insightsId]
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'age'
          criterionType: 'StaticThresholdCriterion'
          metricNamespace: 'AzureHealthPartner'
          metricName: 'ReadingAgeSeconds'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: readingAgeMinutes * 60
          // The metric exists only once it was published.
          skipMetricValidation: true
        }
      ]
    }
    autoMitigate: true
    actions: [for group in groups: { actionGroupId: group }]
  }
  dependsOn: [people]
}

// The dead man's switch inside Azure: `ready` says 503 when the timer is overdue, nothing is read, or store or credential fail.
resource fromOutside 'Microsoft.Insights/webtests@2022-06-15' = if (availabilitySeconds > 0) {
  name: '${name}-ready'
  location: location
  tags: union(tags, { 'hidden-link:${insightsId}': 'Resource' })
  kind: 'standard'
  properties: {
    SyntheticMonitorId: '${name}-ready'
    Name: '${name}: ready'
    Enabled: true
    Kind: 'standard'
    Frequency: availabilitySeconds
    Timeout: 30
    RetryEnabled: true
    Locations: [for place in asks: { Id: place }]
    Request: { RequestUrl: readyUrl, HttpVerb: 'GET', ParseDependentRequests: false }
    ValidationRules: { ExpectedHttpStatusCode: 200, SSLCheck: true, SSLCertRemainingLifetimeCheck: 14 }
  }
}

resource notReady 'Microsoft.Insights/metricAlerts@2018-03-01' = if (availabilitySeconds > 0) {
  name: '${name}-not-ready'
  location: 'global'
  tags: union(tags, {
    'hidden-link:${insightsId}': 'Resource'
    'hidden-link:${testId}': 'Resource'
  })
  properties: {
    description: 'From two places at least, /api/probe/ready does not answer with 200: see its `unusable`.'
    severity: 1
    enabled: true
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    scopes: [fromOutside.id, insightsId]
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: fromOutside.id
      componentId: insightsId
      failedLocationCount: 2
    }
    autoMitigate: true
    actions: [for group in groups: { actionGroupId: group }]
  }
  dependsOn: [people]
}
