#!/usr/bin/env bash
# Deploys infra/aws/template.yaml with what `cargo run -- package --lambda` built, or takes it down again. Needs `aws`, signed in,
# and `sam`; docs/deploy-aws.md goes through it.
#
#   infra/aws/deploy.sh --secret-file secret.json TenantId=<id> ClientId=<id> PartnerName=<name> PartnerApiKeys=<name:sha256hex>
#   infra/aws/deploy.sh --destroy
#
#   --stack NAME         the stack (azure-health-partner-monitor)
#   --region REGION      where; else what `aws` is set to
#   --secret-file FILE   JSON whose members are settings: made or changed in Secrets Manager before; without it the secret stays as it is
#   --destroy            removes the stack; says how what outlives it is removed
#   Name=Value ...       parameters of the template; those left out keep the value of the last deployment, or their default
set -euo pipefail
cd "$(dirname "$0")/../.."

stack=azure-health-partner-monitor region=() secret_file='' destroy='' parameters=()
fail() { echo "deploy: $1" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case $1 in
    --destroy) destroy=yes ;;
    --stack | --region | --secret-file)
      [ $# -ge 2 ] || fail "$1 needs a value"
      case $1 in
        --stack) stack=$2 ;;
        --region) region=(--region "$2") ;;
        --secret-file) secret_file=$2 ;;
      esac
      shift
      ;;
    --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" && exit ;;
    -*) fail "unknown option $1" ;;
    *=*) parameters+=("$1") ;;
    *) fail "$1 is no parameter: Name=Value" ;;
  esac
  shift
done
[ -z "$secret_file" ] || [ -r "$secret_file" ] || fail "cannot read $secret_file"
command -v aws >/dev/null || fail 'aws is needed'
aws sts get-caller-identity "${region[@]}" --query Account --output text >/dev/null || fail 'sign in with aws first'

output() {
  aws cloudformation describe-stacks "${region[@]}" --stack-name "$stack" \
    --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue" --output text
}

# The value of a parameter that was given here, or nothing.
given() {
  local parameter
  for parameter in "${parameters[@]}"; do
    [ "${parameter%%=*}" != "$1" ] || printf '%s' "${parameter#*=}"
  done
}

if [ -n "$destroy" ]; then
  bucket="$(output StateBucket)"
  aws cloudformation delete-stack "${region[@]}" --stack-name "$stack"
  aws cloudformation wait stack-delete-complete "${region[@]}" --stack-name "$stack"
  echo "The stack $stack is gone. What outlives it, since it is the history of your customers or holds your credential:"
  echo "  the bucket $bucket (empty it, all versions, then: aws s3api delete-bucket --bucket $bucket)"
  echo '  the secret (aws secretsmanager delete-secret --secret-id <name>)'
  exit
fi

command -v sam >/dev/null || fail 'sam is needed'
[ -f target/lambda.zip ] || fail 'target/lambda.zip is missing: cargo run -- package --lambda'

secret="$(given SecretName)"
secret="${secret:-health-monitor}"
if [ -n "$secret_file" ]; then
  # Given as a file: a secret has no place in a list of processes.
  if aws secretsmanager describe-secret "${region[@]}" --secret-id "$secret" >/dev/null 2>&1; then
    aws secretsmanager put-secret-value "${region[@]}" --secret-id "$secret" --secret-string "file://$secret_file" >/dev/null
  else
    aws secretsmanager create-secret "${region[@]}" --name "$secret" --secret-string "file://$secret_file" >/dev/null
  fi
fi

deploy() {
  sam deploy "${region[@]}" --template-file infra/aws/template.yaml --stack-name "$stack" --resolve-s3 \
    --capabilities CAPABILITY_IAM --no-confirm-changeset --no-fail-on-empty-changeset "$@"
}
if [ ${#parameters[@]} -gt 0 ]; then deploy --parameter-overrides "${parameters[@]}"; else deploy; fi

url="$(output Url)"
url="${url%/}"
# The function's own address is known only now, and the function must know it too.
if [ "$(given Front)" = FunctionUrl ] && [ -z "$(given PublicBaseUrl)" ]; then
  deploy --parameter-overrides "${parameters[@]}" "PublicBaseUrl=$url"
fi
if [ -n "$secret_file" ]; then
  # An instance reads its secret once: another configuration means new instances.
  aws lambda update-function-configuration "${region[@]}" --function-name "$(output FunctionName)" \
    --description "settings of $(date -u +%Y-%m-%dT%H:%M:%SZ)" >/dev/null
fi

target="$(output DomainTarget)"
[ -z "$target" ] || [ "$target" = None ] || echo "Point your domain to $target (CNAME or alias)."
echo "Deployed: $url"
echo 'Redirect URIs to register:'
echo "  $url/api/consent/callback"
echo "  $url/api/consent/admin-callback"
