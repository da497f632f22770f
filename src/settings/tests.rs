//! What is taken, what is refused, and what a message says.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::*;

const HASH: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
const KEY_ONE: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const KEY_TWO: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

/// The least that a door needs, with changes. An empty value takes a setting away.
fn read(door: Door, changes: &[(&str, &str)]) -> Result<Settings, Faults> {
    let mut values = BTreeMap::from([
        ("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa"),
        ("AZURE_CLIENT_ID", "00000000-0000-4000-8000-00000000cccc"),
        ("AZURE_CLIENT_SECRET", "the-secret"),
        ("SESSION_KEYS", KEY_ONE),
    ]);
    if door == Door::Lambda {
        values.extend([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "the-aws-secret"),
            ("HEALTH_POLL_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-poll"),
            ("HEALTH_NOTICES_QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/111122223333/health-notices"),
        ]);
    }
    values.extend(changes.iter().copied());
    Settings::from_lookup(door, |name| values.get(name).map(|value| (*value).to_owned()))
}

fn faults(door: Door, changes: &[(&str, &str)]) -> Vec<(String, String)> {
    let Err(faults) = read(door, changes) else { panic!("{changes:?} were taken") };
    faults.0.into_iter().map(|fault| (fault.name, fault.found)).collect()
}

/// The one fault that these changes make, as (setting, found).
fn fault(changes: &[(&str, &str)]) -> (String, String) {
    let mut faults = faults(Door::Standalone, changes);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn store(changes: &[(&str, &str)]) -> StoreSettings {
    read(Door::Standalone, changes).unwrap().store
}

#[test]
fn the_least_that_must_be_set_gives_the_documented_defaults() {
    let settings = read(Door::Standalone, &[("SESSION_KEYS", "")]).unwrap();
    assert_eq!(settings.public_base_url.as_str(), "http://localhost:7071/");
    assert_eq!(settings.redirect_uri(), "http://localhost:7071/api/consent/callback");
    assert!(!settings.public_is_https());
    assert_eq!(settings.cloud.name, "AzurePublic");
    assert_eq!(settings.poll_schedule, "0 * * * * *");
    assert_eq!(settings.onboarding, Onboarding::Invite);
    assert!(matches!(settings.store, StoreSettings::Directory(path) if path.as_os_str() == "./state"));
    assert!(settings.api_keys.is_empty() && settings.session_keys.is_empty());
}

#[test]
fn every_fault_is_reported_at_once() {
    let all = [
        ("AZURE_TENANT_ID", "contoso"),
        ("AZURE_CLIENT_ID", ""),
        ("AZURE_CLIENT_SECRET", " "),
        ("AZURE_CLOUD", "AzureMoon"),
        ("PUBLIC_BASE_URL", "ftp://x"),
        ("STATE_STORE_URL", "sqlite:x"),
        ("SESSION_KEYS", "short"),
        ("POLL_SCHEDULE", "each minute"),
        ("PARTNER_API_KEYS", "portal"),
        ("ONBOARDING", "closed"),
    ];
    let found: Vec<_> = faults(Door::Functions, &all).into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, all.map(|(name, _)| name));
    let message = read(Door::Functions, &all).unwrap_err().to_string();
    insta::assert_snapshot!(message, @r#"
    10 of the settings must be mended:
      AZURE_TENANT_ID: found 7 characters that are no GUID; expected the GUID of the partner's tenant
      AZURE_CLIENT_ID: found nothing; expected the application (client) id of the multi-tenant registration
      AZURE_CLIENT_SECRET: found nothing; expected the value (not the id) of a client secret of the application, or another credential: AZURE_CLIENT_CERTIFICATE_PATH, MANAGED_IDENTITY_CLIENT_ID, AZURE_FEDERATED_TOKEN_FILE
      AZURE_CLOUD: found "AzureMoon"; expected AzurePublic, AzureUSGovernment or AzureChina
      PUBLIC_BASE_URL: found "ftp://x"; expected an https address, or http on a loopback host
      STATE_STORE_URL: found "sqlite:x"; expected file:<directory>, memory:, az://<container> or s3://<bucket>/<prefix>
      SESSION_KEYS: found an entry number 1 that is something else; expected base64 of 32 random bytes, several separated by commas, such as from: openssl rand -base64 32
      POLL_SCHEDULE: found "each minute"; expected an NCRONTAB expression of six fields, such as 0 * * * * * for each minute
      PARTNER_API_KEYS: found an entry number 1 that is something else; expected name:sha256hex, several separated by commas; the hash from: printf %s KEY | sha256sum
      ONBOARDING: found "closed"; expected invite or open
    "#);
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let settings =
        read(Door::Standalone, &[("AZURE_CLOUD", ""), ("ONBOARDING", "  "), ("STATE_STORE_URL", "")]).unwrap();
    assert_eq!(settings.cloud.name, "AzurePublic");
    assert_eq!(settings.onboarding, Onboarding::Invite);
}

#[test]
fn a_secret_is_in_no_message_and_in_no_debug_output() {
    let secret = "c2VjcmV0LW9mLW1pbmU=secret-of-mine";
    let places = [
        ("AZURE_TENANT_ID", secret.to_owned()),
        ("AZURE_CLIENT_ID", secret.to_owned()),
        ("SESSION_KEYS", secret.to_owned()),
        ("PARTNER_API_KEYS", format!("portal:{secret}")),
        ("PUBLIC_BASE_URL", format!("https://user:{secret}@contoso.com")),
        ("AZURE_AUTHORITY_HOST", format!("https://contoso.com/?key={secret}")),
        ("STATE_STORE_URL", format!("az://health?sig={secret}")),
        ("STATE_STORE_URL", format!("AccountName=a;AccountKey={secret}")),
    ];
    for (name, value) in places {
        let faults = read(Door::Standalone, &[(name, &value)]).unwrap_err();
        assert!(faults.0.iter().any(|fault| fault.name == name));
        assert!(!format!("{faults} {faults:?}").contains(secret), "{name}: {faults}");
    }
    for connection in ["AccountKey={}", "AccountName=contoso;AccountKey={}", "AccountName={};AccountKey=AAAA", "{}"] {
        let connection = connection.replace("{}", secret);
        let changes = [("STATE_STORE_URL", "az://health"), ("AzureWebJobsStorage", &connection)];
        let faults = read(Door::Standalone, &changes).unwrap_err();
        assert!(!format!("{faults} {faults:?}").contains(secret), "{faults}");
    }
    let settings = read(
        Door::Standalone,
        &[
            ("AZURE_CLIENT_SECRET", secret),
            ("STATE_STORE_URL", "az://health"),
            ("AzureWebJobsStorage", "AccountName=contoso;AccountKey=c2VjcmV0"),
        ],
    )
    .unwrap();
    let shown = format!("{settings:?}");
    for hidden in [secret, "c2VjcmV0", KEY_ONE, "1, 1, 1"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[test]
fn plain_http_is_for_loopback_only() {
    for name in ["AZURE_AUTHORITY_HOST", "AZURE_RESOURCE_MANAGER_URL", "PUBLIC_BASE_URL"] {
        for good in ["https://contoso.com", "http://localhost:7071", "http://127.0.0.1:1", "http://[::1]:1/base"] {
            assert!(read(Door::Standalone, &[(name, good)]).is_ok(), "{name}={good}");
        }
        for bad in [
            "http://contoso.com",
            "http://localhost.contoso.com",
            "http://10.0.0.1",
            "file:///etc",
            "contoso.com",
            "https://",
        ] {
            assert_eq!(fault(&[(name, bad)]).0, name, "{bad}");
        }
        for bad in ["https://a@contoso.com", "https://contoso.com/?a=b", "https://contoso.com/#a"] {
            assert_eq!(
                fault(&[(name, bad)]),
                (name.to_owned(), "an address with a user, a query or a fragment".to_owned())
            );
        }
    }
    let settings = read(Door::Standalone, &[("PUBLIC_BASE_URL", "https://contoso.com/health/")]).unwrap();
    assert_eq!(settings.redirect_uri(), "https://contoso.com/health/api/consent/callback");
    assert_eq!(settings.admin_redirect_uri(), "https://contoso.com/health/api/consent/admin-callback");
    assert!(settings.public_is_https());
}

#[test]
fn each_cloud_has_its_endpoints_and_one_can_be_overridden() {
    let changes = [("AZURE_CLOUD", "azureusgovernment"), ("AZURE_RESOURCE_MANAGER_URL", "http://127.0.0.1:4000")];
    let cloud = read(Door::Standalone, &changes).unwrap().cloud;
    assert_eq!(cloud.name, "AzureUSGovernment");
    assert_eq!(cloud.authority_host.as_str(), "https://login.microsoftonline.us/");
    assert_eq!(cloud.resource_manager.as_str(), "http://127.0.0.1:4000/");
    assert_eq!(cloud.resource_manager_audience, "https://management.usgovcloudapi.net");
    assert_eq!(fault(&[("AZURE_CLOUD", "AzureGermany")]), ("AZURE_CLOUD".into(), "\"AzureGermany\"".into()));
}

#[test]
fn a_store_is_a_directory_memory_a_container_or_a_bucket() {
    for (text, path) in
        [("file:./x", "./x"), ("file:/var/x", "/var/x"), ("file:///var/x", "/var/x"), ("file:C:\\x", "C:\\x")]
    {
        let StoreSettings::Directory(found) = store(&[("STATE_STORE_URL", text)]) else { panic!("{text}") };
        assert_eq!(found.as_os_str(), path);
    }
    assert!(matches!(store(&[("STATE_STORE_URL", "memory:")]), StoreSettings::Memory));
    #[cfg(feature = "lambda")]
    for (text, wanted) in [("s3://b", ("b", "")), ("s3://my.b/a/c/", ("my.b", "a/c"))] {
        let StoreSettings::S3 { bucket, prefix, .. } = store(&[("STATE_STORE_URL", text)]) else { panic!("{text}") };
        assert_eq!((bucket.as_str(), prefix.as_str()), wanted);
    }
    #[cfg(not(feature = "lambda"))]
    assert_eq!(fault(&[("STATE_STORE_URL", "s3://b")]), ("STATE_STORE_URL".into(), "\"s3://b\"".into()));
    for bad in [
        "file:",
        "az://A",
        "az://ab",
        "az://a--b",
        "az://-ab",
        "az://abc/def",
        "s3://",
        "s3:///x",
        "s3://b?x",
        "./state",
    ] {
        let changes = [("STATE_STORE_URL", bad), ("AzureWebJobsStorage", "UseDevelopmentStorage=true")];
        assert_eq!(fault(&changes).0, "STATE_STORE_URL", "{bad}");
    }
}

fn account(connection: &str) -> StorageAccount {
    let changes = [("STATE_STORE_URL", "az://health"), ("AzureWebJobsStorage", connection)];
    let StoreSettings::AzureBlob { container, account } = store(&changes) else { panic!("no container") };
    assert_eq!(container, "health");
    account
}

#[test]
fn connection_strings_are_read_as_azure_writes_them() {
    assert!(matches!(account("UseDevelopmentStorage=true"), StorageAccount::Development));
    assert!(matches!(account("usedevelopmentstorage=True;"), StorageAccount::Development));
    for (connection, wanted) in [
        ("AccountName=contoso;AccountKey=c2VjcmV0", None),
        (
            "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=c2VjcmV0;EndpointSuffix=core.chinacloudapi.cn",
            Some("https://contoso.blob.core.chinacloudapi.cn/"),
        ),
        (
            "accountkey=c2VjcmV0 ; accountname=contoso;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;",
            Some("http://127.0.0.1:10000/devstoreaccount1"),
        ),
    ] {
        let StorageAccount::Key { account, key, endpoint } = account(connection) else { panic!("{connection}") };
        assert_eq!((account.as_str(), key.expose_secret()), ("contoso", "c2VjcmV0"));
        assert_eq!(endpoint.as_ref().map(Url::as_str), wanted);
    }
    for (connection, found) in [
        ("nonsense", "neither AccountName nor AccountKey"),
        ("AccountKey=c2VjcmV0", "no AccountName"),
        ("AccountName=contoso;AccountKey=", "no AccountKey"),
        ("AccountName=contoso;AccountKey=?", "an AccountKey that is not base64"),
        (
            "AccountName=Con_toso;AccountKey=c2VjcmV0",
            "an AccountName that is not 3 to 24 lower-case letters and digits",
        ),
        (
            "AccountName=contoso;AccountKey=c2VjcmV0;BlobEndpoint=http://contoso.com",
            "a BlobEndpoint that is neither https nor http on a loopback host",
        ),
    ] {
        let changes = [("STATE_STORE_URL", "az://health"), ("AzureWebJobsStorage", connection)];
        assert_eq!(fault(&changes), ("AzureWebJobsStorage".to_owned(), found.to_owned()), "{connection}");
    }
}

#[test]
fn a_managed_identity_is_read_with_the_platform_s_endpoint() {
    let account = |changes: &[(&str, &str)]| {
        let changes: Vec<_> = changes.iter().copied().chain([("STATE_STORE_URL", "az://health")]).collect();
        match store(&changes) {
            StoreSettings::AzureBlob {
                account: StorageAccount::ManagedIdentity { account, client_id, endpoint, identity_endpoint },
                ..
            } => (account, client_id, endpoint.map(String::from), identity_endpoint.map(String::from)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        account(&[
            ("AzureWebJobsStorage__accountName", "contoso"),
            ("AzureWebJobsStorage__clientId", "an-id"),
            ("IDENTITY_ENDPOINT", "http://localhost:8081/msi/token"),
        ]),
        ("contoso".into(), Some("an-id".into()), None, Some("http://localhost:8081/msi/token".into()))
    );
    let uri = "https://contoso.blob.core.usgovcloudapi.net/";
    let read = account(&[("AzureWebJobsStorage__blobServiceUri", uri)]);
    assert_eq!(read, ("contoso".into(), None, Some(uri.into()), None));
}

#[test]
fn a_storage_account_is_named_once_when_it_is_needed() {
    let (name, found) = fault(&[("STATE_STORE_URL", "az://health")]);
    assert_eq!((name.as_str(), found.as_str()), ("AzureWebJobsStorage", "nothing"));
    let (name, found) = fault(&[
        ("STATE_STORE_URL", "az://health"),
        ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
        ("AzureWebJobsStorage__accountName", "contoso"),
    ]);
    let wanted = "a connection string beside AzureWebJobsStorage__accountName";
    assert_eq!((name.as_str(), found.as_str()), ("AzureWebJobsStorage", wanted));
    // Another store does not ask for it, since the Functions host has it for itself.
    assert!(read(Door::Functions, &[("AzureWebJobsStorage", "nonsense")]).is_ok());
}

#[test]
fn session_keys_are_several_and_never_none_on_a_host() {
    let keys = read(Door::Functions, &[("SESSION_KEYS", &format!("{KEY_ONE}, {KEY_TWO}"))]).unwrap().session_keys;
    assert_eq!(keys.iter().map(|key| key.bytes()[0]).collect::<Vec<_>>(), [1, 2]);
    for door in [Door::Functions, Door::Lambda] {
        assert!(faults(door, &[("SESSION_KEYS", "")]).contains(&("SESSION_KEYS".into(), "nothing".into())));
    }
    assert_eq!(fault(&[("SESSION_KEYS", ",")]), ("SESSION_KEYS".into(), "no key".into()));
    let (_, found) = fault(&[("SESSION_KEYS", &format!("{KEY_ONE},AAAA"))]);
    assert_eq!(found, "an entry number 2 that is something else");
}

#[test]
fn the_example_s_session_key_serves_this_machine_only() {
    let (_, example) = NAMES.iter().find(|(name, _)| *name == "SESSION_KEYS").unwrap();
    assert!(read(Door::Functions, &[("SESSION_KEYS", example)]).is_ok());
    let changes = [("SESSION_KEYS", *example), ("PUBLIC_BASE_URL", "https://contoso.com")];
    assert_eq!(fault(&changes), ("SESSION_KEYS".into(), "the key of the example".into()));
}

#[test]
fn api_keys_are_hashes_and_needed_on_lambda() {
    let text = format!("portal:{HASH}, ops:{}", HASH.to_lowercase());
    let keys = read(Door::Standalone, &[("PARTNER_API_KEYS", &text)]).unwrap().api_keys;
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["portal", "ops"]);
    assert!(keys.iter().all(|key| key.sha256 == HASH.to_lowercase()));
    assert_eq!(fault(&[("PARTNER_API_KEYS", ",")]), ("PARTNER_API_KEYS".into(), "no key".into()));
    assert_eq!(fault(&[("PARTNER_API_KEYS", &format!(":{HASH}"))]).0, "PARTNER_API_KEYS");
    let found = faults(Door::Lambda, &[]);
    assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["STATE_STORE_URL", "PARTNER_API_KEYS"]);
}

#[test]
fn a_lambda_knows_its_queue_and_its_role() {
    let all = [("STATE_STORE_URL", "memory:"), ("PARTNER_API_KEYS", &format!("portal:{HASH}"))];
    let settings = read(Door::Lambda, &all).unwrap();
    assert!(!format!("{settings:?}").contains("the-aws-secret"));
    let aws = settings.aws.unwrap();
    assert_eq!((aws.account.region.as_str(), aws.health_poll_queue.path()), ("eu-west-1", "/111122223333/health-poll"));
    for bad in
        ["", "http://sqs.contoso.com/1/q", "https://contoso.com/q", "https://contoso.com/1/q.fifo", "health-poll"]
    {
        let changes: Vec<_> = all.iter().copied().chain([("HEALTH_POLL_QUEUE_URL", bad)]).collect();
        let found = faults(Door::Lambda, &changes);
        assert_eq!(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), ["HEALTH_POLL_QUEUE_URL"], "{bad}");
    }
    assert!(read(Door::Standalone, &[]).unwrap().aws.is_none());
}

#[test]
fn the_example_of_every_setting_is_taken() {
    let example = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Settings::from_lookup(Door::Functions, example).unwrap();
    Settings::from_lookup(Door::Standalone, example).unwrap();
}

#[test]
fn every_setting_that_is_read_is_in_the_list_of_names() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for (store, also) in [
        ("az://health", "AzureWebJobsStorage__accountName"),
        ("memory:", "AZURE_CLIENT_SECRET"),
        ("memory:", "AZURE_CLIENT_CERTIFICATE_PATH"),
        ("memory:", "MANAGED_IDENTITY_CLIENT_ID"),
    ] {
        let _ = Settings::from_lookup(Door::Lambda, |name| {
            asked.borrow_mut().insert(name.to_owned());
            match name {
                "STATE_STORE_URL" => Some(store.to_owned()),
                name if name == also => Some("contoso".to_owned()),
                _ => None,
            }
        });
    }
    for name in asked.into_inner() {
        // The platform sets these, nobody else.
        assert!(
            name.starts_with("IDENTITY_") || name.starts_with("AWS_") || NAMES.iter().any(|(known, _)| *known == name),
            "{name}"
        );
    }
}

#[test]
fn the_number_of_requests_in_flight_is_bounded() {
    assert_eq!(read(Door::Standalone, &[]).unwrap().requests_in_flight, 64);
    assert_eq!(read(Door::Standalone, &[("AZURE_REQUESTS_IN_FLIGHT", "16")]).unwrap().requests_in_flight, 16);
    for wrong in ["0", "1001", "many"] {
        assert_eq!(fault(&[("AZURE_REQUESTS_IN_FLIGHT", wrong)]).0, "AZURE_REQUESTS_IN_FLIGHT");
    }
}

#[test]
fn whose_header_is_believed_follows_the_host_unless_it_is_set() {
    let caller = |door, set: &str| {
        let keys = format!("portal:{HASH}");
        let all = [("CLIENT_ADDRESS_HEADER", set), ("PARTNER_API_KEYS", &keys), ("STATE_STORE_URL", "memory:")];
        read(door, &all).unwrap().caller
    };
    let header = |name: &str| Caller::Header(name.to_owned());
    assert_eq!(caller(Door::Functions, ""), header("x-forwarded-for"));
    assert_eq!(caller(Door::Standalone, ""), Caller::Connection);
    assert_eq!(caller(Door::Lambda, ""), Caller::Connection);
    assert_eq!(caller(Door::Functions, "none"), Caller::Connection);
    assert_eq!(caller(Door::Standalone, "X-Azure-ClientIP"), header("x-azure-clientip"));
    assert_eq!(fault(&[("CLIENT_ADDRESS_HEADER", "a b")]).0, "CLIENT_ADDRESS_HEADER");
}

#[test]
fn rate_limits_are_read_by_name_and_off_is_none() {
    let limits = |text: &str| read(Door::Standalone, &[("RATE_LIMITS", text)]).unwrap().rate_limits;
    assert_eq!(limits(""), RateLimits { per_client: 60, total: 1_200, lookups_per_client: 10, lookups_total: 120 });
    assert_eq!(limits("client=5, totalLookups=7").per_client, 5);
    assert_eq!(limits("client=5, totalLookups=7").lookups_total, 7);
    assert_eq!(limits("off"), RateLimits { per_client: 0, total: 0, lookups_per_client: 0, lookups_total: 0 });
    for wrong in ["60", "client", "client=x", "client=-1", "clients=5", "client=9999999999"] {
        assert_eq!(fault(&[("RATE_LIMITS", wrong)]).0, "RATE_LIMITS", "{wrong}");
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/certificates/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_certificate_is_taken_in_each_shape_and_its_end_is_known() {
    for (file, password) in [
        ("app.pem", ""),
        ("app-pkcs1.pem", ""),
        ("app.pfx", "fixture-password"),
        ("app-legacy.pfx", "fixture-password"),
    ] {
        let changes = [
            ("AZURE_CLIENT_SECRET", ""),
            ("AZURE_CLIENT_CERTIFICATE_PATH", &*fixture(file)),
            ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password),
            ("AZURE_CLIENT_CERTIFICATE_ALGORITHM", "RS256"),
        ];
        let settings = read(Door::Standalone, &changes).unwrap();
        let credential = &settings.identity.credential;
        assert!(matches!(credential, Credential::Certificate(_)), "{file}");
        assert_eq!(credential.expiry(), Expiry::At("2026-06-01T00:00:00Z".parse().unwrap()), "{file}");
        assert!(!format!("{settings:?}").contains("fixture-password"));
    }
}

#[test]
fn a_file_that_cannot_sign_is_told_what_is_wrong_with_it() {
    let path = "AZURE_CLIENT_CERTIFICATE_PATH";
    for (file, password, name, found) in [
        ("none.pem", "", path, "a file that cannot be read: entity not found"),
        ("README.md", "", path, "a file that is neither PEM nor PKCS#12"),
        ("app-public.pem", "", path, "a file without a private key"),
        ("mismatch.pem", "", path, "a private key that belongs to another certificate"),
        ("elliptic.pem", "", path, "a private key that is not RSA of at least 2048 bits"),
        ("encrypted-key.pem", "", path, "a PEM file with an encrypted private key"),
        (
            "app.pfx",
            "wrong-password",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD",
            "a PKCS#12 file that does not open with the password",
        ),
        (
            "app-legacy.pfx",
            "",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD",
            "a PKCS#12 file that does not open with the password",
        ),
    ] {
        let changes =
            [("AZURE_CLIENT_SECRET", ""), (path, &*fixture(file)), ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)];
        assert_eq!(fault(&changes), (name.into(), found.into()), "{file}");
    }
}

#[test]
fn exactly_one_credential_is_taken_and_all_that_are_set_are_named() {
    let changes = [("MANAGED_IDENTITY_CLIENT_ID", "x"), ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/token")];
    let (name, found) = fault(&changes);
    assert_eq!(name, "AZURE_CLIENT_SECRET");
    let all = "AZURE_CLIENT_SECRET and MANAGED_IDENTITY_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE at once";
    assert_eq!(found, all);
    let (name, _) = fault(&[("AZURE_CLIENT_CERTIFICATE_PASSWORD", "p")]);
    assert_eq!(name, "AZURE_CLIENT_CERTIFICATE_PASSWORD");
    let (name, found) = fault(&[("AZURE_CLIENT_SECRET_EXPIRES", "a-secret")]);
    assert_eq!((name.as_str(), found.as_str()), ("AZURE_CLIENT_SECRET_EXPIRES", "8 characters that are no date"));
    let reference = "@Microsoft.KeyVault(VaultName=v;SecretName=client-secret)";
    let (_, found) = fault(&[("AZURE_CLIENT_SECRET", reference)]);
    assert_eq!(found, "a Key Vault reference that Azure could not resolve");
    let dated = read(Door::Standalone, &[("AZURE_CLIENT_SECRET_EXPIRES", "2027-05-31")]).unwrap();
    assert_eq!(dated.identity.credential.expiry(), Expiry::At("2027-05-31T00:00:00Z".parse().unwrap()));
    assert_eq!(read(Door::Standalone, &[]).unwrap().identity.credential.expiry(), Expiry::Unknown);
}

#[test]
fn a_managed_identity_needs_what_the_platform_sets() {
    let identity =
        [("AZURE_CLIENT_SECRET", ""), ("MANAGED_IDENTITY_CLIENT_ID", "00000000-0000-4000-8000-0000000000dd")];
    let names: Vec<_> = faults(Door::Functions, &identity).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"]);
    let platform = [("IDENTITY_ENDPOINT", "http://172.16.0.2:8081/msi/token"), ("IDENTITY_HEADER", "the-header")];
    let settings = read(Door::Functions, &[identity, platform].concat()).unwrap();
    assert!(matches!(settings.identity.credential, Credential::ManagedIdentity { .. }));
    assert!(!format!("{settings:?}").contains("the-header"));
}
