#!/usr/bin/env bash
# Deploys infra/aws/template.yaml with what `cargo run -- package --lambda` built. Needs `aws`, signed in, and `sam`;
# docs/deploy-aws.md goes through it. teardown.sh takes it down again.
#
#   infra/aws/deploy.sh --secret-file secret.json TenantId=<id> ClientId=<id> PartnerName=<name> PartnerApiKeys=<name:sha256hex>
#
#   --stack NAME         the stack (azure-health-partner-monitor)
#   --region REGION      where; else what `aws` is set to
#   --secret-file FILE   JSON whose members are settings: made or changed in Secrets Manager before; without it the secret stays as it is
#   --dry-run            print every command instead of running it
#   --help
#   Name=Value ...       parameters of the template; those left out keep the value of the last deployment, or their default
set -euo pipefail
cd "$(dirname "$0")/../.."

stack=azure-health-partner-monitor region=() secret_file='' dry='' parameters=()
fail() { echo "deploy: $1" >&2; exit 2; }
stop() { echo "deploy: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --dry-run) dry=yes ;;
    --stack | --region | --secret-file)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --stack) stack=$2 ;;
        --region) region=(--region "$2") ;;
        --secret-file) secret_file=$2 ;;
      esac
      shift
      ;;
    -*) fail "unknown option $1; --help has all" ;;
    *=*) parameters+=("$1") ;;
    *) fail "$1 is no parameter: Name=Value" ;;
  esac
  shift
done
[ -z "$secret_file" ] || [ -r "$secret_file" ] || fail "cannot read $secret_file"

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
for tool in aws sam; do
  [ -n "$dry" ] || command -v "$tool" >/dev/null || stop "$tool is not installed"
done
[ -n "$dry" ] || [ -f target/lambda.zip ] || stop 'target/lambda.zip is missing: cargo run -- package --lambda'
account=$(ask '<account>' aws sts get-caller-identity "${region[@]}" --query Account --output text) ||
  stop 'sign in first: aws sso login, or aws configure'

output() {
  ask "<$1>" aws cloudformation describe-stacks "${region[@]}" --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" --output text
}

# The value of a parameter that was given here, or nothing.
given() {
  local parameter
  for parameter in "${parameters[@]}"; do
    [ "${parameter%%=*}" != "$1" ] || printf '%s' "${parameter#*=}"
  done
}

if [ -n "$secret_file" ]; then
  say 'secret'
  secret="$(given SecretName)"
  secret="${secret:-health-monitor}"
  there=$(ask '' aws secretsmanager describe-secret "${region[@]}" --secret-id "$secret" --query Name --output text 2>/dev/null || true)
  # Given as a file: a secret has no place in a list of processes.
  if [ -n "$there" ]; then
    run aws secretsmanager put-secret-value "${region[@]}" --secret-id "$secret" --secret-string "file://$secret_file" >/dev/null
  else
    run aws secretsmanager create-secret "${region[@]}" --name "$secret" --secret-string "file://$secret_file" >/dev/null
  fi
fi

deploy() {
  run sam deploy "${region[@]}" --template-file infra/aws/template.yaml --stack-name "$stack" --resolve-s3 \
    --capabilities CAPABILITY_IAM --no-confirm-changeset --no-fail-on-empty-changeset "$@"
}
say 'infrastructure'
if [ ${#parameters[@]} -gt 0 ]; then deploy --parameter-overrides "${parameters[@]}"; else deploy; fi

say 'address'
url="$(output Url)"
url="${url%/}"
# The function's own address is known only now, and the function must know it too.
if [ "$(given Front)" = FunctionUrl ] && [ -z "$(given PublicBaseUrl)" ]; then
  deploy --parameter-overrides "${parameters[@]}" "PublicBaseUrl=$url"
fi
if [ -n "$secret_file" ]; then
  # An instance reads its secret once: another configuration means new instances.
  function="$(output FunctionName)"
  run aws lambda update-function-configuration "${region[@]}" --function-name "$function" \
    --description "settings of $(date -u +%Y-%m-%dT%H:%M:%SZ)" >/dev/null
fi
target="$(output DomainTarget)"
[ -z "$dry" ] || [ -n "$(given DomainName)" ] || target=''

say 'is it there?'
# A domain of one's own leads here only once it is pointed here.
[ -n "$(given DomainName)" ] ||
  run curl --fail --silent --show-error --retry 12 --retry-delay 10 --retry-all-errors --max-time 20 "$url/api/probe/live"

echo
[ -z "$target" ] || [ "$target" = None ] || echo "Point your domain to $target (CNAME or alias)."
cat <<END
Deployed to account $account: $url
Redirect URIs to register (infra/azure/register-app.sh --no-credential --base-url $url):
  $url/api/consent/callback
  $url/api/consent/admin-callback
Then $url/api/probe/ready says 200 once the timer ran.
END
