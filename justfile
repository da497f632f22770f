# Every recipe is plain cargo, so nothing needs `just`.

# The recipes.
default:
    @just --list --unsorted

# What CI runs: format, lints, tests on every store, the package.
check:
    bash .ci/run

# The tests; those against Azure Blob storage say that they skip.
test *filter:
    cargo test {{ filter }}

# The tests of the store on every backend, Azurite and the S3 of moto included.
test-store:
    .ci/with-azurite .ci/with-moto cargo test --test it store::

# The Lambda door under cargo-lambda's emulator, and the tests of the other door through this one.
test-lambda:
    .ci/check-lambda

# Everything on this machine against a simulated Azure, live.
demo:
    cargo run -- demo

# The product in one process, with the settings of local.settings.json.
run:
    cargo run -- serve

# Poll every customer now.
poll:
    cargo run -- poll

# target/package: what `func start` and `func azure functionapp publish` take.
package:
    cargo run -- package

# target/lambda.zip: what infra/aws/template.yaml deploys.
package-lambda:
    cargo run -- package --lambda

# The library's documentation, and openapi.json, without a fault.
docs:
    .ci/check-docs

# The screenshots of docs/images anew (needs chromium, node and npm).
images:
    docs/images/make

# Look at changed snapshots one by one (needs cargo-insta).
review:
    cargo insta review
