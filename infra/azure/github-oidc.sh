#!/usr/bin/env bash
# Lets the workflow deploy-azure.yml of one repository deploy to one resource group, without a secret: GitHub's token is trusted
# for one environment of it. Run by somebody who may register applications and is Owner of the resource group.
#
#   infra/azure/github-oidc.sh --repository contoso/health-monitor --resource-group health-monitor
#
#   --repository OWNER/NAME    on GitHub
#   --environment NAME         of the repository, with its protection rules (production)
#   --resource-group NAME      which is there already (az group create)
#   --dry-run                  print every command instead of running it
#   --help
#
# Prints the variables that the repository's environment needs.
set -euo pipefail

repository='' environment=production group='' dry=''
fail() { echo "github-oidc: $1" >&2; exit 2; }
stop() { echo "github-oidc: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --dry-run) dry=yes; shift; continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value, or is unknown; --help has all"
  case $1 in
    --repository) repository=$2 ;;
    --environment) environment=$2 ;;
    --resource-group) group=$2 ;;
    *) fail "unknown option $1; --help has all" ;;
  esac
  shift 2
done
case $repository in ?*/?*) ;; *) fail '--repository is OWNER/NAME' ;; esac
[ -n "$group" ] || fail '--resource-group is needed'

exec 3>&1
run() {
  { printf '+'; printf ' %q' "$@"; printf '\n'; } >&3
  if [ -z "$dry" ]; then "$@"; fi
}
# The command's answer, or in a dry run its name.
answer() {
  local instead=$1
  shift
  # In a substitution `set -e` is off: who cannot look must not take that for nothing.
  run "$@" || return
  if [ -n "$dry" ]; then echo "$instead"; fi
}

[ -n "$dry" ] || command -v az >/dev/null || stop 'az is not installed'
[ -n "$dry" ] || az account show --output none 2>/dev/null || stop 'sign in first: az login --tenant <partner tenant>'
name="Deploys $repository to $group"
client=$(answer '' az ad app list --filter "displayName eq '$name'" --query '[0].appId' --output tsv)
[ -n "$client" ] || client=$(answer '<client-id>' az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv)
principal=$(answer '' az ad sp list --filter "appId eq '$client'" --query '[].id' --output tsv)
[ -n "$principal" ] || principal=$(answer '<principal-id>' az ad sp create --id "$client" --query id --output tsv)
subject="repo:$repository:environment:$environment"
there=$(answer '' az ad app federated-credential list --id "$client" --query "[?subject=='$subject'].name" --output tsv)
[ -n "$there" ] || run az ad app federated-credential create --id "$client" --output none --parameters \
  "{\"name\":\"github-$environment\",\"issuer\":\"https://token.actions.githubusercontent.com\",\"subject\":\"$subject\",\"audiences\":[\"api://AzureADTokenExchange\"]}"

scope=$(answer '<resource-group-id>' az group show --name "$group" --query id --output tsv)
grant() {
  run az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
    --scope "$scope" --output none --role "$@"
}
# Makes and changes everything but role assignments.
grant Contributor
# Those too, but only the roles that the template assigns: the workflow can make nobody owner.
roles='b7e6dc6d-f1e8-4753-8033-0f276bb0955b, 974c5e8b-45b9-4653-ba55-5f855dd0fb88, 4633458b-17de-408a-b874-0445c86b69e6, 3913510d-42f4-4e42-8a64-420c390055eb'
field='Microsoft.Authorization/roleAssignments:RoleDefinitionId'
grant 'Role Based Access Control Administrator' --condition-version 2.0 --condition \
  "((!(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})) OR (@Request[$field] ForAnyOfAnyValues:GuidEquals {$roles})) AND ((!(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})) OR (@Resource[$field] ForAnyOfAnyValues:GuidEquals {$roles}))"

cat >&3 <<END

Variables of the environment $environment (gh variable set NAME --env $environment --body VALUE); none is a secret:
  AZURE_CLIENT_ID=$client
  AZURE_TENANT_ID=$(answer '<tenant>' az account show --query tenantId --output tsv)
  AZURE_SUBSCRIPTION_ID=$(answer '<subscription>' az account show --query id --output tsv)
  RESOURCE_GROUP=$group
  MONITOR_CLIENT_ID, MONITOR_PRINCIPAL_ID    the monitor's own registration, and its service principal
  PARTNER_NAME                               as customers see it
END
