#!/usr/bin/env bash
# Takes down what deploy.sh made. The state stays, unless it is to go: deploying again goes on from it.
#
#   infra/azure/teardown.sh --resource-group health-monitor [--with-state] [--with-registration]
#
#   --resource-group NAME      what was deployed to
#   --subscription ID          of az's subscriptions the one to use
#   --with-state               the customers' documents too, the vault's secrets for good, and the resource group
#   --with-registration        the application's registration too: customers' consents end with it
#   --yes                      do not ask
#   --dry-run                  print every command instead of running it
#   --help
#
# What customers granted is theirs: a role assignment and an enterprise application in each tenant, which only they can take away.
# So end it first, while the monitor still runs: the link of each customer with purpose=leave takes back what was granted
# (GET /api/v1/customers/<tenant>/receipt has it); afterwards his administrator must, in the portal or with az.
set -euo pipefail

group='' subscription='' state='' registration='' sure='' dry=''
fail() { echo "teardown: $1" >&2; exit 2; }
stop() { echo "teardown: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --with-state) state=yes; shift; continue ;;
    --with-registration) registration=yes; shift; continue ;;
    --yes) sure=yes; shift; continue ;;
    --dry-run) dry=yes; shift; continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value, or is unknown; --help has all"
  case $1 in
    --resource-group) group=$2 ;;
    --subscription) subscription=$2 ;;
    *) fail "unknown option $1; --help has all" ;;
  esac
  shift 2
done
[ -n "$group" ] || fail '--resource-group is needed'

run() {
  printf '+'
  printf ' %q' "$@"
  printf '\n'
  [ -n "$dry" ] || "$@"
}

command -v az >/dev/null || stop 'az is not installed'
az account show --output none 2>/dev/null || stop 'sign in first: az login --tenant <partner tenant>'
# Not `run`: what follows reads, even in a dry run.
[ -z "$subscription" ] || az account set --subscription "$subscription"
[ "$(az group exists --name "$group" --output tsv)" = true ] || stop "there is no resource group $group"
ours="tags.application=='azure-health-partner-monitor'"
list() { az resource list --resource-group "$group" --query "[?$1].$2" --output tsv; }
app=$(list "$ours && type=='Microsoft.Web/sites'" name)
vault=$(list "$ours && type=='Microsoft.KeyVault/vaults'" name)
storage=$(list "$ours && type=='Microsoft.Storage/storageAccounts'" id)
identity=$(list "$ours && type=='Microsoft.ManagedIdentity/userAssignedIdentities'" id)
# Application Insights makes its own alert rules, which bear no tag of ours.
foreign=$(list "!($ours) && !contains(type, 'martDetect') && name!='Application Insights Smart Detection'" name)
client=''
[ -z "$app" ] || client=$(az functionapp config appsettings list --resource-group "$group" --name "$app" \
  --query "[?name=='AZURE_CLIENT_ID'].value" --output tsv)
principal=''
[ -z "$identity" ] || principal=$(az identity show --ids "$identity" --query principalId --output tsv)
[ -z "$state" ] || [ -z "$foreign" ] || stop "$group holds more than the monitor, and would go as a whole: $(echo "$foreign" | tr '\n' ' ')"

cat <<END
This ends the monitor in $group${app:+: $app}.
Customers' role assignments and consents stay in their tenants; --help says how they are ended first.
$([ -n "$state" ] && echo 'ALL DOCUMENTS of customers are deleted, and can be had back by nobody.' || echo "The state stays: ${storage:-no storage account}.")
END
if [ -z "$sure" ] && [ -z "$dry" ]; then
  read -r -p "Type the resource group's name to go on: " answer || answer=''
  [ "$answer" = "$group" ] || stop 'nothing was changed'
fi

# Nobody else is to become the principal that the application trusts.
if [ -n "$client" ] && [ -n "$principal" ] && [ -z "$registration" ]; then
  trust=$(az ad app federated-credential list --id "$client" --query "[?subject=='$principal'].name" --output tsv)
  [ -z "$trust" ] || run az ad app federated-credential delete --id "$client" --federated-credential-id "$trust"
fi
if [ -n "$state" ]; then
  run az group delete --name "$group" --yes
  [ -z "$vault" ] || run az keyvault purge --name "$vault" || echo "the vault $vault is protected; it ends by itself"
else
  if [ -n "$principal" ] && [ -n "$storage" ]; then
    run az role assignment delete --assignee "$principal" --scope "$storage"
  fi
  ids=$(list "$ours && type!='Microsoft.Storage/storageAccounts'" id)
  if [ -n "$ids" ]; then
    # One line is one id, and none has a space in it.
    # shellcheck disable=SC2086
    run az resource delete --ids $ids --output none
  fi
fi
if [ -n "$registration" ] && [ -n "$client" ]; then
  run az ad app delete --id "$client"
fi
