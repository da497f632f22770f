#!/usr/bin/env bash
# From nothing to a running monitor, and from an older one to this one: running it again changes what differs and nothing else.
# Needs az 2.60 or newer, signed in; cargo to build the package; openssl. docs/deploy-azure.md explains each step.
#
#   az login --tenant <partner tenant>
#   infra/azure/deploy.sh --resource-group health-monitor --location westeurope --partner-name "Contoso Managed Services"
#
#   --resource-group NAME      where everything goes; made when it is not there
#   --location REGION          of a new resource group: one that has Flex Consumption
#   --partner-name NAME        what customers see on the consent pages
#   --subscription ID          of az's subscriptions the one to use
#   --base-url URL             a domain of your own, as browsers see it (the address that Azure gives the app)
#   --alert-emails A,B         who is told of alerts
#   --app-name NAME            the registration, made or mended (Azure Health Partner Monitor)
#   --client-id ID             a registration that is complete: it is left alone. For pipelines, which need no rights in Entra then
#   --principal-id ID          with it: its service principal, for which customers' health is published as metrics
#   --parameters FILE          what else a deployment sets (infra/azure/main.bicepparam)
#   --publish func|az|none     by what the package is uploaded (func where it is installed, else az)
#   --no-build                 the package is there already
#   --yes                      do not ask after the preview
#   --dry-run                  print every command instead of running it
#   --help
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
group='' location='' partner='' subscription='' base_url='' emails='' app_name='Azure Health Partner Monitor'
client='' principal='' parameters="$here/main.bicepparam" publish='' build=yes sure='' dry=''
fail() { echo "deploy: $1" >&2; exit 2; }
stop() { echo "deploy: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --yes) sure=yes; shift; continue ;;
    --dry-run) dry=yes; shift; continue ;;
    --no-build) build=''; shift; continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value, or is unknown; --help has all"
  case $1 in
    --resource-group) group=$2 ;;
    --location) location=$2 ;;
    --partner-name) partner=$2 ;;
    --subscription) subscription=$2 ;;
    --base-url) base_url=${2%/} ;;
    --alert-emails) emails=$2 ;;
    --app-name) app_name=$2 ;;
    --client-id) client=$2 ;;
    --principal-id) principal=$2 ;;
    --parameters) parameters=$2 ;;
    --publish) publish=$2 ;;
    *) fail "unknown option $1; --help has all" ;;
  esac
  shift 2
done
[ -n "$group" ] || fail '--resource-group is needed'
[ -n "$partner" ] || fail '--partner-name is needed'
[ -r "$parameters" ] || fail "cannot read $parameters"
[ -z "$principal" ] || [ -n "$client" ] || fail '--principal-id belongs to --client-id'
case ${base_url:-https://} in https://*) ;; *) fail '--base-url begins with https://' ;; esac
case $publish in '' | func | az | none) ;; *) fail '--publish is func, az or none' ;; esac

# What is run is shown; what only asks is run in a dry run as little as what changes, and answers with its own name.
exec 3>&1
show() { { printf '+'; printf ' %q' "$@"; printf '\n'; } >&3; }
run() {
  show "$@"
  [ -n "$dry" ] || "$@"
}
ask() {
  local instead=$1
  shift
  if [ -n "$dry" ]; then
    show "$@"
    echo "$instead"
  else
    "$@"
  fi
}
say() { printf '\n== %s\n' "$1" >&3; }

say 'tools and sign-in'
for tool in az openssl ${build:+cargo}; do
  [ -n "$dry" ] || command -v "$tool" >/dev/null || stop "$tool is not installed"
done
if [ -z "$publish" ]; then
  if command -v func >/dev/null; then publish=func; else publish=az; fi
fi
[ "$publish" != func ] || [ -n "$dry" ] || command -v func >/dev/null || stop 'func is not installed; --publish az needs nothing else'
[ -z "$subscription" ] || run az account set --subscription "$subscription"
tenant=$(ask '<tenant>' az account show --query tenantId --output tsv) || stop 'sign in first: az login --tenant <partner tenant>'

if [ -n "$build" ]; then
  say 'package'
  (cd "$root" && run cargo run --quiet -- package)
fi

say 'resource group'
there=$(ask false az group exists --name "$group" --output tsv)
if [ "$there" != true ]; then
  [ -n "$location" ] || fail '--location is needed for a new resource group'
  run az group create --name "$group" --location "$location" --output none
fi

# The registration comes first, since the app wants its id; its redirect addresses and the trust in the app's identity come last,
# since only then there are these.
if [ -z "$client" ]; then
  say 'registration'
  run "$here/register-app.sh" --name "$app_name" --no-credential >/dev/null
  client=$(ask '<client-id>' az ad app list --filter "displayName eq '${app_name//\'/\'\'}'" --query '[0].appId' --output tsv)
  principal=$(ask '<principal-id>' az ad sp show --id "$client" --query id --output tsv)
  registered=yes
fi

say 'preview'
# Session keys are made once: with others, whoever is signing in just then would have to begin anew.
keys=$(ask '' az resource list --resource-group "$group" --resource-type Microsoft.KeyVault/vaults --query '[0].id' --output tsv)
if [ -n "$keys" ]; then
  keys=$(az resource show --ids "$keys/secrets/session-keys" --api-version 2023-07-01 --query id --output tsv 2>/dev/null || true)
else
  # A vault that was torn down keeps its name, and its secrets, for some time.
  gone=$(ask '' az keyvault list-deleted --resource-type vault \
    --query "[?contains(properties.vaultId, '/resourceGroups/$group/')].name | [0]" --output tsv || true)
  if [ -n "$gone" ]; then
    run az keyvault recover --name "$gone" --output none
    keys=$gone
  fi
fi
# By the environment, not by arguments: those are in the list of processes.
export MONITOR_CLIENT_ID=$client MONITOR_PRINCIPAL_ID=$principal MONITOR_PARTNER_NAME=$partner
export MONITOR_PUBLIC_BASE_URL=$base_url MONITOR_ALERT_EMAILS=$emails MONITOR_SESSION_KEY=''
[ -n "$keys" ] || [ -n "$dry" ] || MONITOR_SESSION_KEY=$(openssl rand -base64 32)
deployment=(--resource-group "$group" --name health-monitor --parameters "$parameters")
run az deployment group what-if "${deployment[@]}"
if [ -z "$sure" ] && [ -z "$dry" ]; then
  read -r -p 'Deploy this? [y/N] ' answer || answer=''
  case $answer in y | Y | yes) ;; *) stop 'nothing was changed in the resource group' ;; esac
fi

say 'infrastructure'
run az deployment group create "${deployment[@]}" --output none
output() { ask "<$1>" az deployment group show --resource-group "$group" --name health-monitor --query "properties.outputs.$1.value" --output tsv; }
app=$(output functionAppName)
url=$(output baseUrl)
vault=$(output vaultName)
if [ -n "${registered:-}" ]; then
  say 'redirect addresses and trust in the managed identity'
  identity=$(output identityPrincipalId)
  run "$here/register-app.sh" --name "$app_name" --base-url "$url" --managed-identity "$identity" >/dev/null
fi

# Both upload to /api/publish with a token of Entra. `az` takes the zip that was checked as it is; `func` makes its own.
case $publish in
  func)
    say 'publish with func'
    # The package has no local.settings.json, from which func would know the runtime.
    run cd "$root/target/package"
    run env FUNCTIONS_WORKER_RUNTIME=custom func azure functionapp publish "$app" --no-build
    ;;
  az)
    say 'publish with az'
    run az functionapp deployment source config-zip --resource-group "$group" --name "$app" \
      --src "$root/target/azure-health-partner-monitor.zip" --output none
    ;;
esac

say 'is it there?'
run curl --fail --silent --show-error --retry 12 --retry-delay 10 --retry-all-errors --max-time 20 "$url/api/probe/live"

cat >&3 <<END

$url runs in tenant $tenant. Next:
  key=\$(az functionapp keys list --resource-group $group --name $app --query functionKeys.default --output tsv)
  curl -H "x-functions-key: \$key" $url/api/v1/customers
  curl -X POST -H "x-functions-key: \$key" -H "content-type: application/json" -d '{"label": "First customer"}' $url/api/v1/invites
The answer's link is for the customer. Open to anybody (onboarding = 'open'), it is: $url/api/consent/start
$url/api/probe/ready says 200 once the timer ran. A trust or a role that is new may need some minutes.
Secrets of channels: az keyvault secret set --vault-name $vault --name notify-teams-ops --value ..., and vaultSettings in $parameters.
END
