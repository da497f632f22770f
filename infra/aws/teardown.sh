#!/usr/bin/env bash
# Takes down what deploy.sh made. The documents and the secret stay, unless they are to go.
#
#   infra/aws/teardown.sh [--stack NAME] [--with-state]
#
#   --stack NAME      the stack (azure-health-partner-monitor)
#   --region REGION   where; else what `aws` is set to
#   --with-state      the customers' documents too, with all their versions, and the secret, for good
#   --bucket NAME     with it, where the stack is gone already: the documents' bucket
#   --secret NAME     beside it: the secret; without it the secret stays
#   --yes             do not ask
#   --dry-run         print every command instead of running it
#   --help
#
# What customers granted is theirs: a role assignment and an enterprise application in each tenant, which only they can take away.
# So end it first, while the monitor still runs: the link of each customer with purpose=leave takes back what was granted
# (GET /api/v1/customers/<tenant>/receipt has it); afterwards his administrator must, in the portal or with az.
# The application's registration is in Entra, and stays: az ad app delete --id <client id> ends every customer's consent.
set -euo pipefail

stack=azure-health-partner-monitor region=() state='' bucket='' secret='' sure='' dry=''
fail() { echo "teardown: $1" >&2; exit 2; }
stop() { echo "teardown: $1" >&2; exit 1; }
while [ $# -gt 0 ]; do
  case $1 in
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    --with-state) state=yes; shift; continue ;;
    --yes) sure=yes; shift; continue ;;
    --dry-run) dry=yes; shift; continue ;;
  esac
  [ $# -ge 2 ] || fail "$1 needs a value, or is unknown; --help has all"
  case $1 in
    --stack) stack=$2 ;;
    --region) region=(--region "$2") ;;
    --bucket) bucket=$2 ;;
    --secret) secret=$2 ;;
    *) fail "unknown option $1; --help has all" ;;
  esac
  shift 2
done
[ -z "$bucket$secret" ] || [ -n "$state" ] || fail '--bucket and --secret belong to --with-state'
[ -z "$secret" ] || [ -n "$bucket" ] || fail '--secret belongs to --bucket'

exec 3>&1
run() {
  { printf '+'; printf ' %q' "$@"; printf '\n'; } >&3
  [ -n "$dry" ] || "$@"
}

command -v aws >/dev/null || stop 'aws is not installed'
# Not `run`: what follows reads, even in a dry run.
aws sts get-caller-identity "${region[@]}" >/dev/null 2>&1 || stop 'sign in first: aws sso login, or aws configure'
look() { aws cloudformation describe-stacks "${region[@]}" --stack-name "$stack" --query "Stacks[0].$1" --output text; }
if [ -z "$bucket" ]; then
  bucket=$(look "Outputs[?OutputKey=='StateBucket'].OutputValue | [0]") ||
    stop "there is no stack $stack here; for documents that it left: --with-state --bucket NAME"
  secret=$(look "Parameters[?ParameterKey=='SecretName'].ParameterValue | [0]")
  for one in bucket secret; do
    # What is not there is called so.
    [ "${!one}" != None ] || printf -v "$one" ''
  done
  ends="the monitor in the stack $stack"
fi

cat <<END
This ends ${ends:-what the stack $stack left}.
Customers' role assignments and consents stay in their tenants; --help says how they are ended first.
$(if [ -n "$state" ]; then
  echo "ALL DOCUMENTS of customers in the bucket ${bucket:-(none)} and the secret ${secret:-(none)} are deleted, and can be had back by nobody."
else
  echo "The documents stay, in the bucket ${bucket:-(none)}, and so does the secret ${secret:-(none)}."
fi)
END
if [ -z "$sure" ] && [ -z "$dry" ]; then
  read -r -p "Type the stack's name to go on: " answer || answer=''
  [ "$answer" = "$stack" ] || stop 'nothing was changed'
fi

if [ -n "${ends:-}" ]; then
  run aws cloudformation delete-stack "${region[@]}" --stack-name "$stack"
  run aws cloudformation wait stack-delete-complete "${region[@]}" --stack-name "$stack"
fi
if [ -z "$state" ]; then
  echo "To end what stays: infra/aws/teardown.sh --with-state --bucket ${bucket:-NAME}${secret:+ --secret $secret}"
  exit 0
fi

if [ -n "$bucket" ]; then
  # A bucket is deleted when it is empty, of former versions too. Keys come in a file: they are too many for an argument.
  list=(aws s3api list-object-versions "${region[@]}" --bucket "$bucket" --max-items 1000 --output json
    --query '{Objects: [Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}}')
  while batch=$("${list[@]}") && [[ $batch == *'"Key"'* ]]; do
    kept=$(run aws s3api delete-objects "${region[@]}" --bucket "$bucket" --delete file:///dev/stdin \
      --query 'Errors[].[Code, Key]' --output text <<<"$batch")
    case $kept in '' | None) ;; *) stop "S3 keeps some of them: $kept" ;; esac
    [ -z "$dry" ] || break
  done
  run aws s3api delete-bucket "${region[@]}" --bucket "$bucket"
fi
if [ -n "$secret" ]; then
  run aws secretsmanager delete-secret "${region[@]}" --secret-id "$secret" --force-delete-without-recovery --output text
fi
