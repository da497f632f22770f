//! The registration: made, checked, mended, given credentials and roles; by the program and by the script.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use health_monitor::model::{ObjectId, SubscriptionId};
use health_monitor::outside::{Clock as _, SystemClock};
use health_monitor::sandbox::{Fault, HostKind, Role, Sandbox, World};
use serde_json::Value;

const SCOPES: &str = "Application.ReadWrite.All Directory.Read.All";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An administrator's desk: a simulated Azure without the registration, and `az` on the path, signed in.
struct Desk {
    sandbox: Sandbox,
    directory: tempfile::TempDir,
    subscription: SubscriptionId,
    admin: ObjectId,
    graph_token: String,
}

impl Desk {
    async fn start() -> Self {
        let mut world = World::new(31);
        let home = world.application.home;
        let admin = world.user(home, "Ada Admin");
        let subscription = world.subscription(home, "Operations");
        world.assign(subscription, admin, Role::Owner);
        world.unregister();
        let sandbox = Sandbox::start(world, Arc::new(SystemClock)).await.expect("free ports");
        let directory = tempfile::tempdir().expect("a directory");
        let graph_token = sandbox.user_token(admin, SCOPES);
        let manager_token = sandbox.user_token(admin, "user_impersonation");
        let az = format!(
            "#!/bin/sh\necho \"$*\" >> '{log}'\ncase \"$*\" in\n\
             *'get-access-token --resource https://graph.microsoft.com '*) echo '{{\"accessToken\": \"{graph_token}\", \"tenant\": \"{home}\"}}' ;;\n\
             *'get-access-token --resource https://management.azure.com '*) echo '{{\"accessToken\": \"{manager_token}\", \"tenant\": \"{home}\"}}' ;;\n\
             *) echo \"unexpected: $*\" >&2; exit 1 ;;\nesac\n",
            log = directory.path().join("az.log").display(),
        );
        program(&directory.path().join("bin/az"), &az);
        Self { sandbox, directory, subscription, admin, graph_token }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("local.settings.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
        command.env_clear().stdin(Stdio::null()).current_dir(self.directory.path());
        command.env("PATH", self.directory.path().join("bin"));
        let known = self.sandbox.settings();
        for name in ["AZURE_AUTHORITY_HOST", "AZURE_RESOURCE_MANAGER_URL", "MICROSOFT_GRAPH_URL"] {
            command.env(name, &known[name]);
        }
        command.env("PUBLIC_BASE_URL", "https://health.fabrikam.example");
        command.args(arguments).arg("--settings").arg(self.file());
        command
    }

    /// Runs the program while the sandbox goes on; no token may show in what it prints.
    async fn run(&self, arguments: &[&str]) -> Output {
        self.finish(self.command(arguments)).await
    }

    async fn finish(&self, mut command: Command) -> Output {
        let output =
            tokio::task::spawn_blocking(move || command.output().expect("the command runs")).await.expect("ran");
        assert!(!text(&output).contains(&self.graph_token), "the administrator's token shows");
        output
    }

    async fn register(&self, arguments: &[&str]) -> Output {
        self.run(&[&["register"], arguments].concat()).await
    }

    /// Findings of `register check` that are not as they should be.
    async fn faults(&self) -> (Option<i32>, Vec<String>) {
        let output = self.register(&["check", "--json"]).await;
        let findings: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        let rows = findings.as_array().expect("findings").iter();
        let bad = rows.filter(|row| row["verdict"] == "bad").map(|row| row["what"].as_str().unwrap().to_owned());
        (output.status.code(), bad.collect())
    }
}

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn fixture(name: &str) -> String {
    root().join("tests/fixtures/certificates").join(name).display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_made_checked_and_serves() {
    let desk = Desk::start().await;
    // Neither a new object that has not spread nor a busy Graph is a failure.
    desk.sandbox.change(|world| {
        world.application.registration.replication_reads = 1;
        world.fault(Fault::throttled(1).host(HostKind::Graph).path("/applications").times(1));
    });
    let file = desk.file();
    let made = desk.register(&["create", "--write", file.to_str().unwrap()]).await;
    assert_eq!(made.status.code(), Some(0), "{}", text(&made));
    let printed: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let (application, secret) =
        desk.sandbox.change(|world| (world.application.clone(), world.client_secret().to_owned()));
    assert_eq!(printed["appId"], application.client_id.to_string());
    assert_eq!(printed["tenant"], application.home.to_string());
    assert!(!text(&made).contains(&secret), "what is in the file is not shown");
    let settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(settings["Values"]["AZURE_CLIENT_SECRET"], secret);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        application.redirect_uris,
        ["callback", "admin-callback"].map(|end| format!("https://health.fabrikam.example/api/consent/{end}"))
    );

    assert_eq!(desk.faults().await, (Some(0), vec![]));
    let mut doctor = desk.command(&["doctor", "--json"]);
    doctor.env("STATE_STORE_URL", format!("file:{}", desk.directory.path().join("documents").display()));
    let doctor = desk.finish(doctor).await;
    let checks: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_else(|_| panic!("{}", text(&doctor)));
    let verdict = |what: &str| {
        let row = checks.as_array().unwrap().iter().find(|row| row["what"] == what);
        row.unwrap_or_else(|| panic!("{what} in {checks}"))["verdict"].clone()
    };
    let addresses = checks.as_array().unwrap().iter().find(|row| row["what"] == "redirect URIs").expect("addresses");
    for uri in &application.redirect_uris {
        assert!(addresses["found"].as_str().unwrap().contains(uri.as_str()), "{uri}: {addresses}");
    }
    for what in ["redirect URIs", "store", "writing", "Entra", "credential", "credential's end", "Resource Manager"] {
        assert_eq!(verdict(what), "good", "{what}: {checks}");
    }
    assert!(!text(&doctor).contains(&secret));

    // The end of the credential is told 30 days ahead, and as a fault when it is reached.
    for (days, wanted, code) in [(40, "good", 0), (29, "doubtful", 0), (-1, "bad", 1)] {
        let end = SystemClock.now() + chrono::TimeDelta::days(days);
        let mut doctor = desk.command(&["doctor", "--json"]);
        doctor.env("STATE_STORE_URL", "memory:").env("AZURE_CLIENT_SECRET_EXPIRES", end.to_rfc3339());
        let doctor = desk.finish(doctor).await;
        let checks: Value = serde_json::from_slice(&doctor.stdout).unwrap_or_else(|_| panic!("{}", text(&doctor)));
        let row = checks.as_array().unwrap().iter().find(|row| row["what"] == "credential's end").unwrap().clone();
        assert_eq!((row["verdict"].as_str(), doctor.status.code()), (Some(wanted), Some(code)), "{row}");
    }
    // A wrong credential is told with its remedy.
    desk.sandbox.change(|world| world.entra.client_refused = Some(7_000_222));
    let mut doctor = desk.command(&["doctor"]);
    doctor.env("STATE_STORE_URL", "memory:");
    let doctor = desk.finish(doctor).await;
    assert_eq!(doctor.status.code(), Some(1));
    assert!(text(&doctor).contains("the client secret has ended"), "{}", text(&doctor));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_registration_is_named_and_mended() {
    let desk = Desk::start().await;
    let file = desk.file();
    let made = desk.register(&["create", "--write", file.to_str().unwrap()]).await;
    assert!(made.status.success(), "{}", text(&made));
    let again = desk.register(&["create"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("there is an application of this name already"), "{}", text(&again));

    desk.sandbox.change(|world| {
        let home = world.application.home;
        world.withdraw_consent(home);
        world.application.redirect_uris = vec!["https://elsewhere.example/back".to_owned()];
        let document = &mut world.application.registration.document;
        document.insert("signInAudience".to_owned(), "AzureADMyOrg".into());
        document.insert("requiredResourceAccess".to_owned(), Value::Array(Vec::new()));
        document.remove("servicePrincipalLockConfiguration");
    });
    let wrong = ["audience", "redirect URIs", "permission", "instance lock", "service principal"];
    assert_eq!(desk.faults().await, (Some(1), wrong.map(str::to_owned).to_vec()));

    let mended = desk.register(&["create", "--adopt", "--write", file.to_str().unwrap()]).await;
    assert!(mended.status.success(), "{}", text(&mended));
    assert_eq!(desk.faults().await, (Some(0), vec![]));
    let uris = desk.sandbox.change(|world| world.application.redirect_uris.clone());
    assert!(uris.contains(&"https://elsewhere.example/back".to_owned()), "what was there stays: {uris:?}");

    // Without the address of the admin consent people still sign in: only the check finds it.
    desk.sandbox.change(|world| world.application.redirect_uris.retain(|uri| !uri.ends_with("/admin-callback")));
    let checked = desk.register(&["check"]).await;
    assert_eq!(checked.status.code(), Some(1));
    let missing = "not registered: https://health.fabrikam.example/api/consent/admin-callback";
    assert!(text(&checked).contains(missing), "{}", text(&checked));
    let mended = desk.register(&["create", "--adopt", "--secret-days", "90"]).await;
    assert!(mended.status.success(), "{}", text(&mended));
    assert_eq!(desk.faults().await, (Some(0), vec![]));

    desk.sandbox.change(|world| world.application.secrets.clear());
    assert_eq!(desk.faults().await, (Some(1), vec!["our credential".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_federated_credentials_and_roles_are_added_once() {
    let desk = Desk::start().await;
    let file = desk.file();
    let certificate = fixture("app.pem");
    let made = desk.register(&["create", "--certificate", &certificate, "--write", file.to_str().unwrap()]).await;
    assert!(made.status.success(), "{}", text(&made));
    assert!(desk.sandbox.change(|world| world.application.secrets.is_empty()), "no secret beside it");
    let settings: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(settings["Values"]["AZURE_CLIENT_CERTIFICATE_PATH"], certificate);
    assert_eq!(desk.faults().await, (Some(0), vec![]));

    for (said, count) in [("added", 2), ("was there already", 2)] {
        let added = desk.register(&["add-certificate", &fixture("stranger.pem")]).await;
        assert!(added.status.success() && text(&added).contains(said), "{}", text(&added));
        assert_eq!(desk.sandbox.change(|world| world.application.registration.certificates.len()), count);
    }
    let principal = "00000000-0000-4000-8000-00000000dddd";
    for said in ["added", "was there already"] {
        let added = desk.register(&["add-federated", "--managed-identity", principal]).await;
        assert!(added.status.success() && text(&added).contains(said), "{}", text(&added));
    }
    let (home, federated) =
        desk.sandbox.change(|world| (world.application.home, world.application.registration.federated.clone()));
    assert_eq!(federated.len(), 1);
    assert_eq!((federated[0].issuer.as_str(), federated[0].subject.as_str()), (&*desk.sandbox.issuer(home), principal));
    assert_eq!(federated[0].audience, "api://AzureADTokenExchange");

    let scope = format!("/subscriptions/{}", desk.subscription);
    for (role, wanted) in [("reader", Role::Reader), ("monitoring-metrics-publisher", Role::MonitoringMetricsPublisher)]
    {
        for said in ["added", "was there already"] {
            let assigned = desk.register(&["assign", role, "--scope", &scope]).await;
            assert!(assigned.status.success() && text(&assigned).contains(said), "{}", text(&assigned));
        }
        let there = desk.sandbox.change(|world| {
            let principal = world.service_principal(world.application.home);
            let ours = world.role_assignments.iter().filter(|one| Some(one.principal) == principal);
            ours.filter(|one| one.role == wanted.id()).count()
        });
        assert_eq!(there, 1, "{role}");
    }
    for scope in ["/subscriptions/../x", "https://evil.example", "/subscriptions/x?y", "subscriptions/x"] {
        assert_eq!(desk.register(&["assign", "reader", "--scope", scope]).await.status.code(), Some(2), "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_right_is_told_and_nothing_is_made() {
    let desk = Desk::start().await;
    let weak = desk.sandbox.user_token(desk.admin, "User.Read");
    let mut command = desk.command(&["register", "create", "--access-token-stdin"]);
    command.env("AZURE_TENANT_ID", desk.sandbox.change(|world| world.application.home.to_string()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(weak.as_bytes()).expect("written");
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().expect("ends")).await.expect("ran");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("Authorization_RequestDenied") && !text(&output).contains(&weak),
        "{}",
        text(&output)
    );
    assert!(!desk.sandbox.change(|world| world.application.registration.exists));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_az_printed_is_taken_and_takes_the_place_of_another_credential() {
    let desk = Desk::start().await;
    let printed = desk.directory.path().join("rbac.json");
    fs::write(
        &printed,
        r#"{"appId": "00000000-0000-4000-8000-00000000cccc", "displayName": "azure-cli", "name": "old",
            "password": "from~az", "tenant": "00000000-0000-4000-8000-00000000aaaa"}"#,
    )
    .unwrap();
    fs::write(
        desk.file(),
        r#"{"IsEncrypted": false, "Values": {"PARTNER_NAME": "F", "AZURE_FEDERATED_TOKEN_FILE": "/t"}}"#,
    )
    .unwrap();
    let taken = desk.register(&["accept", "rbac.json", "--write", "local.settings.json"]).await;
    assert!(taken.status.success() && !text(&taken).contains("from~az"), "{}", text(&taken));
    let settings: Value = serde_json::from_str(&fs::read_to_string(desk.file()).unwrap()).unwrap();
    insta::assert_json_snapshot!(settings["Values"], @r#"
    {
      "AZURE_CLIENT_ID": "00000000-0000-4000-8000-00000000cccc",
      "AZURE_CLIENT_SECRET": "from~az",
      "AZURE_FEDERATED_TOKEN_FILE": "",
      "AZURE_TENANT_ID": "00000000-0000-4000-8000-00000000aaaa",
      "PARTNER_NAME": "F"
    }
    "#);
    fs::write(&printed, r#"{"appId": "secret-in-the-wrong-place"}"#).unwrap();
    let refused = desk.register(&["accept", "rbac.json"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(!text(&refused).contains("secret-in-the-wrong-place"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_asks_nobody_and_says_what_would_be_done() {
    let desk = Desk::start().await;
    let mut command = desk.command(&[
        "register",
        "create",
        "--dry-run",
        "--name",
        "O'Hara Health",
        "--managed-identity=00000000-0000-4000-8000-00000000dddd",
    ]);
    command.env("AZURE_TENANT_ID", "00000000-0000-4000-8000-00000000aaaa");
    for name in ["AZURE_AUTHORITY_HOST", "AZURE_RESOURCE_MANAGER_URL", "MICROSOFT_GRAPH_URL"] {
        command.env_remove(name);
    }
    let shown = desk.finish(command).await;
    assert!(shown.status.success(), "{}", text(&shown));
    assert!(desk.sandbox.requests().is_empty() && !desk.directory.path().join("az.log").exists());
    insta::assert_snapshot!(String::from_utf8_lossy(&shown.stdout), @r##"
    # With az:
    APP=$(az ad app create --display-name 'O'\''Hara Health' --sign-in-audience AzureADMultipleOrgs --web-redirect-uris https://health.fabrikam.example/api/consent/callback https://health.fabrikam.example/api/consent/admin-callback --requested-access-token-version 2 --query appId --output tsv)
    az ad app permission add --id "$APP" --api 797f4846-ba00-4fd7-ba43-dac1f8f63013 --api-permissions 41094075-9dad-400e-a0bd-54e686782033=Scope
    az rest --method PATCH --url "https://graph.microsoft.com/v1.0/applications(appId='$APP')" --body '{"servicePrincipalLockConfiguration":{"allProperties":true,"isEnabled":true}}'
    az ad sp create --id "$APP"
    az ad app federated-credential create --id "$APP" --parameters '{"audiences":["api://AzureADTokenExchange"],"issuer":"https://login.microsoftonline.com/00000000-0000-4000-8000-00000000aaaa/v2.0","name":"managed-identity-00000000-0000-4000-8000-00000000dddd","subject":"00000000-0000-4000-8000-00000000dddd"}'

    # Or as calls:
    POST https://graph.microsoft.com/v1.0/applications
    {
      "api": {
        "requestedAccessTokenVersion": 2
      },
      "displayName": "O'Hara Health",
      "requiredResourceAccess": [
        {
          "resourceAccess": [
            {
              "id": "41094075-9dad-400e-a0bd-54e686782033",
              "type": "Scope"
            }
          ],
          "resourceAppId": "797f4846-ba00-4fd7-ba43-dac1f8f63013"
        }
      ],
      "servicePrincipalLockConfiguration": {
        "allProperties": true,
        "isEnabled": true
      },
      "signInAudience": "AzureADMultipleOrgs",
      "web": {
        "implicitGrantSettings": {
          "enableAccessTokenIssuance": false,
          "enableIdTokenIssuance": false
        },
        "redirectUris": [
          "https://health.fabrikam.example/api/consent/callback",
          "https://health.fabrikam.example/api/consent/admin-callback"
        ]
      }
    }
    POST https://graph.microsoft.com/v1.0/servicePrincipals
    {
      "appId": "{appId}"
    }
    POST https://graph.microsoft.com/v1.0/applications/{id}/federatedIdentityCredentials
    {
      "audiences": [
        "api://AzureADTokenExchange"
      ],
      "issuer": "https://login.microsoftonline.com/00000000-0000-4000-8000-00000000aaaa/v2.0",
      "name": "managed-identity-00000000-0000-4000-8000-00000000dddd",
      "subject": "00000000-0000-4000-8000-00000000dddd"
    }
    "##);
}

/// Runs the script against an `az` that answers as told and writes down how it was called.
fn script(answers: &str, arguments: &[&str]) -> (Output, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("az.log");
    let az = format!("#!/bin/sh\necho \"az $*\" >> '{}'\ncase \"$*\" in\n{answers}\nesac\n", log.display());
    program(&directory.path().join("az"), &az);
    let output = Command::new("bash")
        .arg(root().join("infra/azure/register-app.sh"))
        .args(arguments)
        .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
        .output()
        .expect("bash runs");
    (output, fs::read_to_string(log).unwrap_or_default())
}

const APP: &str = "00000000-0000-4000-8000-00000000cccc";
const ANSWERS: &str = "\
*'ad app create'*) echo 00000000-0000-4000-8000-00000000cccc ;;
*'ad app show'*'--query id '*) echo 00000000-0000-4000-8000-00000000eeee ;;
*'ad app show'*) echo https://elsewhere.example/back ;;
*'ad sp create'*) echo 00000000-0000-4000-8000-00000000ffff ;;
*microsoftGraphResourceId*) echo https://graph.microsoft.com/ ;;
*activeDirectory*) echo https://login.microsoftonline.com ;;
*'cloud show --query name'*) echo AzureCloud ;;
*'account show'*) echo 00000000-0000-4000-8000-00000000aaaa ;;
*'--query password'*) echo the-new-secret ;;";

#[test]
fn the_script_makes_the_same_registration_with_az_alone() {
    let (output, log) = script(
        ANSWERS,
        &[
            "--name",
            "Fabrikam \"Health\"",
            "--base-url",
            "https://health.fabrikam.example/",
            "--role",
            "Reader",
            "--scope",
            "/subscriptions/x",
        ],
    );
    assert!(output.status.success(), "{}", text(&output));
    let printed: health_monitor::register::Printed = serde_json::from_slice(&output.stdout).expect("the shape of az");
    assert_eq!((printed.app_id.to_string().as_str(), printed.password.as_deref()), (APP, Some("the-new-secret")));
    assert_eq!(printed.display_name.as_deref(), Some("Fabrikam \"Health\""));
    let end = log.lines().find_map(|line| line.split_once("--end-date ")).expect("an end").1[..10].to_owned();
    insta::assert_snapshot!(log.replace(&end, "END"), @r##"
    az account show --query tenantId --output tsv
    az ad app list --filter displayName eq 'Fabrikam "Health"' --query [].appId --output tsv
    az ad app create --display-name Fabrikam "Health" --sign-in-audience AzureADMultipleOrgs --query appId --output tsv
    az ad app update --id 00000000-0000-4000-8000-00000000cccc --sign-in-audience AzureADMultipleOrgs --web-redirect-uris https://health.fabrikam.example/api/consent/callback https://health.fabrikam.example/api/consent/admin-callback --enable-id-token-issuance false --enable-access-token-issuance false --requested-access-token-version 2 --required-resource-accesses [{"resourceAppId":"797f4846-ba00-4fd7-ba43-dac1f8f63013","resourceAccess":[{"id":"41094075-9dad-400e-a0bd-54e686782033","type":"Scope"}]}]
    az ad app show --id 00000000-0000-4000-8000-00000000cccc --query id --output tsv
    az cloud show --query endpoints.microsoftGraphResourceId --output tsv
    az rest --method PATCH --url https://graph.microsoft.com/v1.0/applications/00000000-0000-4000-8000-00000000eeee --body {"servicePrincipalLockConfiguration":{"isEnabled":true,"allProperties":true}}
    az ad sp list --filter appId eq '00000000-0000-4000-8000-00000000cccc' --query [].id --output tsv
    az ad sp create --id 00000000-0000-4000-8000-00000000cccc --query id --output tsv
    az ad app credential reset --id 00000000-0000-4000-8000-00000000cccc --append --end-date END --query password --output tsv
    az role assignment create --assignee-object-id 00000000-0000-4000-8000-00000000ffff --assignee-principal-type ServicePrincipal --role Reader --scope /subscriptions/x --output none
    "##);
}

#[test]
fn the_script_mends_what_is_there_and_takes_other_credentials() {
    let there = format!(
        "*'ad app list'*) echo {APP} ;;\n*'ad sp list'*) echo 00000000-0000-4000-8000-00000000ffff ;;\n{ANSWERS}"
    );
    let principal = "00000000-0000-4000-8000-00000000dddd";
    let base = ["--base-url", "https://health.fabrikam.example"];
    let (output, log) = script(&there, &[&base[..], &["--managed-identity", principal]].concat());
    assert!(output.status.success(), "{}", text(&output));
    assert!(!log.contains("ad app create") && !log.contains("ad sp create") && !log.contains("--end-date"), "{log}");
    assert!(log.contains("admin-callback https://elsewhere.example/back"), "what was there stays: {log}");
    assert!(
        log.contains(&format!("\"subject\":\"{principal}\",\"audiences\":[\"api://AzureADTokenExchange\"]")),
        "{log}"
    );
    let (output, log) = script(&there, &[&base[..], &["--certificate", &fixture("app-public.pem")]].concat());
    assert!(output.status.success() && log.contains("--cert @"), "{}", text(&output));
    for wrong in
        [&[][..], &["--base-url"], &["--base-url", "https://x", "--secret-days", "9", "--certificate", "/etc/hosts"]]
    {
        let (output, log) = script(ANSWERS, wrong);
        assert_eq!((output.status.code(), log.as_str()), (Some(2), ""), "{}", text(&output));
    }
    let several = format!("*'ad app list'*) printf 'a\\nb\\n' ;;\n{ANSWERS}");
    let (output, log) = script(&several, &base);
    assert!(output.status.code() == Some(2) && !log.contains("update"), "{}", text(&output));
}

#[test]
fn the_script_trusts_an_identity_once_and_mends_a_wrong_trust() {
    let principal = "00000000-0000-4000-8000-00000000dddd";
    let issuer = "https://login.microsoftonline.com/00000000-0000-4000-8000-00000000aaaa/v2.0";
    let arguments = ["--base-url", "https://health.fabrikam.example", "--managed-identity", principal];
    let trusted = |audience: &str| {
        let row = format!("printf 'mine\\t{issuer}\\t{audience}\\n'");
        script(&format!("*'federated-credential list'*) {row} ;;\n{ANSWERS}"), &arguments).1
    };
    let right = trusted("api://AzureADTokenExchange");
    assert!(!right.contains("credential create") && !right.contains("credential update"), "{right}");
    let wrong = trusted("api://AzureADTokenExchangeUSGov");
    assert!(wrong.contains("credential update") && wrong.contains("--federated-credential-id mine"), "{wrong}");
    // Another cloud has another audience and another login.
    let government = ANSWERS
        .replace("echo AzureCloud", "echo AzureUSGovernment")
        .replace("https://login.microsoftonline.com", "https://login.microsoftonline.us");
    let (output, log) = script(&government, &arguments);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        log.contains("api://AzureADTokenExchangeUSGov") && log.contains("https://login.microsoftonline.us/"),
        "{log}"
    );
    // Before there is an app in Azure there is an application without credential and without addresses.
    let bare = ANSWERS.replace("*'ad app show'*) echo https://elsewhere.example/back ;;\n", "");
    let (output, log) = script(&bare, &["--no-credential"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!log.contains("--web-redirect-uris") && !log.contains("credential"), "{log}");
}
