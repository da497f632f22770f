#!/usr/bin/env bash
# Makes the partner's app registration with `az` alone, or mends the one that is there; what `cli register create` does.
# Prints appId, displayName, password and tenant as `az ad sp create-for-rbac` does: `cli register accept` takes it.
#
#   az login --tenant <partner tenant>
#   infra/azure/register-app.sh --base-url https://<app>.azurewebsites.net [credential] [role]
#
#   --name NAME                what customers see on the consent page (Azure Health Partner Monitor)
#   --base-url URL             what browsers see; PUBLIC_BASE_URL. May come later where there is no credential yet
#   credential, one of:
#     --secret-days DAYS       a client secret that works so long (180)
#     --certificate FILE       the public part of a certificate, PEM
#     --managed-identity ID    a user-assigned managed identity of this tenant, by its object (principal) id: the application
#                              trusts its tokens, and there is nothing to keep secret and nothing that ends
#     --no-credential          none, for now
#   role, to give the service principal:
#     --role NAME --scope ID   Reader or "Monitoring Metrics Publisher", at a scope
set -euo pipefail

# Resource Manager and its only delegated permission, the same in every cloud.
manager=797f4846-ba00-4fd7-ba43-dac1f8f63013
user_impersonation=41094075-9dad-400e-a0bd-54e686782033

name='Azure Health Partner Monitor' base_url='' secret_days='' certificate='' identity='' none='' role='' scope=''
fail() { echo "register-app: $1" >&2; exit 2; }
stop() { echo "register-app: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --no-credential) none=yes; shift; continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value"
  case $1 in
    --name) name=$2 ;;
    --base-url) base_url=${2%/} ;;
    --secret-days) secret_days=$2 ;;
    --certificate) certificate=$2 ;;
    --managed-identity) identity=$2 ;;
    --role) role=$2 ;;
    --scope) scope=$2 ;;
    *) fail "unknown option $1" ;;
  esac
  shift 2
done
[ -n "$base_url" ] || [ -n "$none" ] || fail '--base-url is needed'
[ -z "$certificate" ] || [ -r "$certificate" ] || fail "cannot read $certificate"
[ -n "$role" ] && [ -z "$scope" ] && fail '--role needs --scope'
given=0
for one in "$secret_days" "$certificate" "$identity" "$none"; do [ -z "$one" ] || given=$((given + 1)); done
[ "$given" -le 1 ] || fail 'exactly one credential'
case ${secret_days:-180} in *[!0-9]*) fail '--secret-days is a number' ;; esac

command -v az >/dev/null || stop 'az is not installed'
tenant=$(az account show --query tenantId --output tsv) || stop 'sign in first: az login --tenant <partner tenant>'

# In OData a quote is doubled.
apps=$(az ad app list --filter "displayName eq '${name//\'/\'\'}'" --query '[].appId' --output tsv)
case $(printf '%s' "$apps" | grep -c .) in
  0)
    app=$(az ad app create --display-name "$name" --sign-in-audience AzureADMultipleOrgs --query appId --output tsv)
    uris=''
    ;;
  1)
    app=$apps
    uris=$(az ad app show --id "$app" --query 'web.redirectUris[]' --output tsv)
    ;;
  *) fail "several applications are called $name" ;;
esac

# Ours beside those that are there.
redirects=()
[ -z "$base_url" ] || redirects=("$base_url/api/consent/callback" "$base_url/api/consent/admin-callback")
while IFS= read -r uri; do
  case " ${redirects[*]-} " in *" $uri "*) ;; *) [ -z "$uri" ] || redirects+=("$uri") ;; esac
done <<<"$uris"
update=(az ad app update --id "$app" --sign-in-audience AzureADMultipleOrgs)
[ ${#redirects[@]} -eq 0 ] || update+=(--web-redirect-uris "${redirects[@]}")
"${update[@]}" --enable-id-token-issuance false --enable-access-token-issuance false --requested-access-token-version 2 \
  --required-resource-accesses "[{\"resourceAppId\":\"$manager\",\"resourceAccess\":[{\"id\":\"$user_impersonation\",\"type\":\"Scope\"}]}]"

# Nobody adds credentials to our service principal in his own tenant. `az ad app update` has no option for it.
object=$(az ad app show --id "$app" --query id --output tsv)
graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
az rest --method PATCH --url "${graph%/}/v1.0/applications/$object" \
  --body '{"servicePrincipalLockConfiguration":{"isEnabled":true,"allProperties":true}}'

principal=$(az ad sp list --filter "appId eq '$app'" --query '[].id' --output tsv)
[ -n "$principal" ] || principal=$(az ad sp create --id "$app" --query id --output tsv)

password=''
if [ -n "$certificate" ]; then
  az ad app credential reset --id "$app" --append --cert "@$certificate" --output none
elif [ -n "$identity" ]; then
  login=$(az cloud show --query endpoints.activeDirectory --output tsv)
  case $(az cloud show --query name --output tsv) in
    AzureUSGovernment) audience=api://AzureADTokenExchangeUSGov ;;
    AzureChinaCloud) audience=api://AzureADTokenExchangeChina ;;
    *) audience=api://AzureADTokenExchange ;;
  esac
  issuer=${login%/}/$tenant/v2.0
  # Entra takes wrong values without a word, and refuses the identity later: one that is there is held against what is right.
  there=$(az ad app federated-credential list --id "$app" \
    --query "[?subject=='$identity'].[name,issuer,audiences[0]]" --output tsv)
  trust=managed-identity-$identity
  # The name of one cannot be changed.
  [ -z "$there" ] || trust=${there%%$'\t'*}
  body="{\"name\":\"$trust\",\"issuer\":\"$issuer\",\"subject\":\"$identity\",\"audiences\":[\"$audience\"]}"
  case $there$'\n' in
    $'\n') az ad app federated-credential create --id "$app" --output none --parameters "$body" ;;
    *$'\t'"$issuer"$'\t'"$audience"$'\n'*) ;;
    *)
      az ad app federated-credential update --id "$app" --output none --parameters "$body" \
        --federated-credential-id "$trust"
      ;;
  esac
elif [ -n "$none" ]; then
  :
else
  end=$(date -u -d "+${secret_days:-180} days" +%Y-%m-%d 2>/dev/null || date -u -v "+${secret_days:-180}d" +%Y-%m-%d)
  password=$(az ad app credential reset --id "$app" --append --end-date "$end" --query password --output tsv)
fi

if [ -n "$role" ]; then
  az role assignment create --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal \
    --role "$role" --scope "$scope" --output none
fi

# What could end the text of a JSON string early.
escaped=${name//\\/\\\\}
escaped=${escaped//\"/\\\"}
[ -n "$password" ] && password="\"$password\""
printf '{"appId": "%s", "displayName": "%s", "password": %s, "tenant": "%s"}\n' \
  "$app" "$escaped" "${password:-null}" "$tenant"
