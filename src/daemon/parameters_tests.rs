use serde_json::json;

use super::*;

const KEY: &[u8] = include_bytes!("../../tests/fixtures/certificates/app.pem");
const ENCRYPTED: &[u8] = include_bytes!("../../tests/fixtures/certificates/encrypted-key.pem");
const PUBLIC: &[u8] = include_bytes!("../../tests/fixtures/certificates/app-public.pem");
const TENANT: &str = "00000000-0000-4000-8000-00000000aaaa";
const CLIENT: &str = "00000000-0000-4000-8000-00000000cccc";

fn parse(text: &str) -> Result<Parameters, Faults> {
    Parameters::parse(text, Path::new("folder/parameters.json"), |path| match path.to_str() {
        Some("server.pem") => Ok(KEY.to_vec()),
        Some("folder/beside.pem") => Ok(KEY.to_vec()),
        Some("encrypted.pem") => Ok(ENCRYPTED.to_vec()),
        Some("server.crt") => Ok(PUBLIC.to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn thumbprint() -> String {
    crate::azure::PublicCertificate::from_file(PUBLIC).expect("the fixture").thumbprint()
}

fn core() -> Value {
    json!({"tenant_id": TENANT, "client_id": CLIENT, "scope": ["https://graph.microsoft.com/.default"],
        "client_secret": "abc~value", "sample_user": "olivia@contoso.example"})
}

fn with_secret() -> Value {
    json!({"authority": format!("https://login.microsoftonline.com/{TENANT}"), "oidc_authority": null, "client_id": CLIENT,
        "scope": ["https://graph.microsoft.com/.default"], "secret": "abc~value",
        "endpoint": "https://graph.microsoft.com/v1.0/users", "note": "anything"})
}

fn with_certificate() -> Value {
    json!({"authority": "https://login.microsoftonline.com/contoso.example", "client_id": CLIENT,
        "scope": "https://graph.microsoft.com/.default", "thumbprint": thumbprint(), "private_key_file": "server.pem",
        "endpoint": "https://graph.microsoft.com/v1.0/users?$select=id,mail&$top=5"})
}

/// The one fault of a file: its key, what was found, what was expected.
fn fault(value: &Value) -> (String, String, String) {
    let faults = parse(&value.to_string()).expect_err("a fault").0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    let Fault { name, found, expected } = faults[0].clone();
    (name.trim_start_matches("parameters.json: ").to_owned(), found, expected)
}

fn changed(mut value: Value, key: &str, to: Value) -> Value {
    value[key] = to;
    value
}

#[test]
fn each_dialect_is_read() {
    let one = parse(&core().to_string()).expect("the first");
    assert_eq!((one.dialect, &one.tenant), (Dialect::TenantAndSecret, &TenantName::Id(TENANT.parse().unwrap())));
    assert_eq!(one.sample_user.as_deref(), Some("olivia@contoso.example"));
    assert!(!format!("{one:?}").contains("abc~value"));
    let two = parse(&with_secret().to_string()).expect("the second");
    assert_eq!(two.dialect, Dialect::AuthorityAndSecret);
    let three = parse(&with_certificate().to_string()).expect("the third");
    assert_eq!(three.dialect, Dialect::AuthorityAndCertificate);
    assert_eq!(three.tenant, TenantName::Domain("contoso.example".to_owned()));
    assert_eq!(three.query, [("$select".to_owned(), "id,mail".to_owned()), ("$top".to_owned(), "5".to_owned())]);
    assert!(matches!(&three.credential, Credential::NamedKey(key) if key.thumbprint() == thumbprint()));
    // Written by Windows, with the key beside the file.
    let beside = changed(with_certificate(), "private_key_file", json!("beside.pem"));
    assert!(parse(&format!("\u{feff}{beside}")).is_ok());
}

#[test]
fn addresses_in_the_file_win_and_their_cloud_is_known() {
    let set = Cloud::named("AzurePublic").expect("known");
    assert_eq!(parse(&with_secret().to_string()).expect("valid").cloud(set.clone()), set);
    let mut gov = changed(with_secret(), "authority", json!(format!("https://login.microsoftonline.us/{TENANT}")));
    gov["endpoint"] = json!("https://graph.microsoft.us/v1.0/users");
    assert_eq!(parse(&gov.to_string()).expect("valid").cloud(set.clone()).name, "AzureUSGovernment");
    let own = json!({"oidc_authority": format!("https://login.contoso.example/{TENANT}/v2.0"), "authority": null,
        "client_id": CLIENT, "secret": "abc~value"});
    let cloud = parse(&own.to_string()).expect("valid").cloud(set.clone());
    assert_eq!(cloud.authority_host.as_str(), "https://login.contoso.example/");
    let old = changed(with_secret(), "authority", json!(format!("https://login.windows.net/{TENANT}/")));
    assert_eq!(parse(&old.to_string()).expect("valid").cloud(set.clone()), set);
    let (name, ..) = fault(&changed(gov, "endpoint", json!("https://graph.microsoft.com/v1.0/users")));
    assert_eq!(name, "endpoint");
}

#[test]
fn what_the_samples_ship_is_known_as_placeholder() {
    let shipped = [
        json!({"tenant_id": "%YOUR_TENANT_ID%", "client_id": "%YOUR_CLIENT_ID%",
            "scope": ["https://graph.microsoft.com/.default"], "client_secret": "%YOUR_CLIENT_SECRET%", "sample_user": "%YOUR_USER%"}),
        json!({"authority": "https://login.microsoftonline.com/Enter_the_Tenant_Name_Here", "client_id": "your_client_id",
            "scope": ["https://graph.microsoft.com/.default"],
            "secret": "The secret generated by AAD during your confidential app registration",
            "endpoint": "https://graph.microsoft.com/v1.0/users"}),
        json!({"authority": "https://login.microsoftonline.com/Enter_the_Tenant_Name_Here", "client_id": "your_client_id",
            "scope": ["https://graph.microsoft.com/.default"],
            "thumbprint": "790E... The thumbprint generated by AAD when you upload your public cert",
            "private_key_file": "server.pem", "endpoint": "https://graph.microsoft.com/v1.0/users"}),
    ];
    for file in shipped {
        let faults = parse(&file.to_string()).expect_err("placeholders").0;
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.found == "the sample's placeholder"), "{faults:?}");
    }
}

#[test]
fn each_fault_says_what_would_be_right_and_never_a_secret() {
    for (file, key, found) in [
        (changed(core(), "tenant_id", json!("common")), "tenant_id", "\"common\""),
        (changed(core(), "tenant_id", json!("contoso")), "tenant_id", "7 characters"),
        (changed(core(), "client_id", json!("abc~value")), "client_id", "9 characters that are no GUID"),
        (changed(core(), "client_secret", json!(TENANT)), "client_secret", "a secret's id"),
        (changed(core(), "client_secret", json!("")), "client_secret", "nothing"),
        (changed(core(), "client_secret", json!(5)), "client_secret", "no text"),
        (changed(core(), "secret", json!("another")), "client_secret", "client_secret and secret at once"),
        (changed(core(), "thumbprint", json!("00")), "client_secret", "client_secret and thumbprint at once"),
        (changed(core(), "scope", json!(["User.Read.All"])), "scope", "User.Read.All"),
        (changed(core(), "scope", json!([])), "scope", "0 scopes"),
        (changed(core(), "scope", json!(5)), "scope", "neither"),
        (changed(with_secret(), "oidc_authority", json!("https://x.example/y/v2.0")), "authority", "at once"),
        (changed(with_secret(), "authority", json!("https://evil.example/t")), "authority", "evil.example"),
        (changed(with_secret(), "authority", json!("http://login.microsoftonline.com/t")), "authority", "https"),
        (
            changed(with_secret(), "authority", json!("https://login.microsoftonline.com")),
            "authority",
            "without a tenant",
        ),
        (changed(with_secret(), "endpoint", json!("https://evil.example/v1.0/users")), "endpoint", "evil.example"),
        (changed(with_secret(), "endpoint", json!("https://graph.microsoft.com/v1.0/me")), "endpoint", "path"),
        (changed(with_certificate(), "thumbprint", json!("790E")), "thumbprint", "40 nor 64"),
        (changed(with_certificate(), "thumbprint", json!("00".repeat(20))), "thumbprint", "another thumbprint"),
        (changed(with_certificate(), "private_key_file", json!("none.pem")), "private_key_file", "not found"),
        (changed(with_certificate(), "private_key_file", json!("encrypted.pem")), "private_key_file", "encrypted"),
        (
            changed(with_certificate(), "private_key_file", json!("server.crt")),
            "private_key_file",
            "without a private key",
        ),
    ] {
        let (name, said, expected) = fault(&file);
        assert!(name == key && said.contains(found) && !expected.is_empty(), "{key}: {name}: {said}");
        assert!(!format!("{said}{expected}").contains("abc~"), "{said}");
    }
}

#[test]
fn what_is_no_json_or_another_file_is_told_so() {
    let found = |text: &str| parse(text).expect_err("a fault").0.remove(0).found;
    assert_eq!(found("{\n  \"a\": \"//\", // the tenant\n}"), "a comment at line 2");
    assert_eq!(found("{\n  /* x */ \"a\": 1}"), "a comment at line 2");
    assert_eq!(found("# settings\n{}"), "a comment at line 1");
    assert!(
        found("{\"client_id\": \"a\"\n \"secret\": \"hush\"}").starts_with("no JSON: expected `,` or `}` at line 2")
    );
    assert!(!found("{\"secret\": hush}").contains("hush"));
    assert_eq!(found(" "), "an empty file");
    assert_eq!(found("[]"), "JSON that is no object");
    assert!(found(r#"{"$schema": "x", "parameters": {}}"#).contains("template"));
    assert!(found(r#"{"appId": "a", "password": "b", "tenant": "c"}"#).contains("create-for-rbac"));
    assert!(found(r#"{"clientId": "a", "clientSecret": "b"}"#).contains("SDK"));
    assert!(found(r#"{"name": "x"}"#).contains("none of the sample's names"));
}
