//! The scripts against an `az` and a `func` that answer as told and write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::root;

const CLIENT: &str = "00000000-0000-4000-8000-00000000cccc";
const PRINCIPAL: &str = "00000000-0000-4000-8000-00000000dddd";

/// What `az` answers in a subscription where nothing is yet, apart from the registration that it has just made.
const NOTHING: &str = "\
*'group exists'*) echo false ;;
*'account show'*tenantId*) echo 00000000-0000-4000-8000-00000000aaaa ;;
*'ad app list'*'[0].appId'*) echo 00000000-0000-4000-8000-00000000cccc ;;
*'ad sp show'*) echo 00000000-0000-4000-8000-00000000eeee ;;
*outputs.functionAppName*) echo healthmon-x1 ;;
*outputs.baseUrl*) echo https://healthmon-x1.azurewebsites.net ;;
*outputs.vaultName*) echo healthmon-x1 ;;
*outputs.identityPrincipalId*) echo 00000000-0000-4000-8000-00000000dddd ;;";

/// The scripts in a tree of their own, with programs that only write down.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for directory in ["infra/azure", "target/package", "bin"] {
            fs::create_dir_all(stage.path(directory)).unwrap();
        }
        for name in ["deploy.sh", "teardown.sh", "github-oidc.sh", "main.bicepparam"] {
            fs::copy(root().join("infra/azure").join(name), stage.path("infra/azure").join(name)).unwrap();
        }
        for name in ["func", "cargo", "curl"] {
            stage.program(&format!("bin/{name}"), &format!("echo \"{name} $*\""));
        }
        stage.program("bin/openssl", "echo a-fresh-key");
        // It has tests of its own.
        stage.program("infra/azure/register-app.sh", "echo \"register-app.sh $*\"");
        stage
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// A program that writes down how it was called, and prints what `body` says.
    fn program(&self, name: &str, body: &str) {
        let called = Path::new(name).file_name().unwrap().to_string_lossy().into_owned();
        let log = self.path("log");
        let keys = "env | grep ^MONITOR_ | sort | tr '\\n' ' '";
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *'deployment group what-if'*|*'deployment group create'*) {keys} >>'{log}' ;; esac\n\
             [ '{called}' = openssl ] || echo \"{called} $*\" >>'{log}'\n{body}\n",
            log = log.display()
        );
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs a script, with nobody to answer its questions; gives its answer and all calls.
    fn play(&self, script: &str, answers: &str, arguments: &[&str]) -> (Output, String) {
        self.play_and_say("", script, answers, arguments)
    }

    /// The same, and somebody types this.
    fn play_and_say(&self, typed: &str, script: &str, answers: &str, arguments: &[&str]) -> (Output, String) {
        self.program("bin/az", &format!("case \"$*\" in\n{answers}\n*) ;;\nesac"));
        let _ = fs::remove_file(self.path("log"));
        fs::write(self.path("typed"), typed).unwrap();
        let output = Command::new("bash")
            .arg(self.path("infra/azure").join(script))
            .args(arguments)
            .env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()))
            .stdin(fs::File::open(self.path("typed")).unwrap())
            .output()
            .unwrap();
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        (output, self.plain(&log))
    }

    fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The first words of each call.
fn steps(log: &str) -> Vec<String> {
    log.lines()
        .map(|line| line.split_once("az ").map_or(line, |(_, rest)| rest))
        .map(|line| line.split(" --").next().unwrap_or_default().to_owned())
        .collect()
}

const FIRST: &[&str] =
    &["--yes", "--resource-group", "monitor", "--location", "westeurope", "--partner-name", "A \"B\" & Sons"];

#[test]
fn a_first_deployment_registers_deploys_trusts_and_publishes_in_this_order() {
    let stage = Stage::new();
    let (output, log) = stage.play("deploy.sh", NOTHING, FIRST);
    assert!(output.status.success(), "{}", said(&output));
    insta::assert_snapshot!(log, @r###"
    az account show --query tenantId --output tsv
    cargo run --quiet -- package
    az group exists --name monitor --output tsv
    az group create --name monitor --location westeurope --output none
    register-app.sh --name Azure Health Partner Monitor --no-credential
    az ad app list --filter displayName eq 'Azure Health Partner Monitor' --query [0].appId --output tsv
    az ad sp show --id 00000000-0000-4000-8000-00000000cccc --query id --output tsv
    az resource list --resource-group monitor --resource-type Microsoft.KeyVault/vaults --query [0].id --output tsv
    az keyvault list-deleted --resource-type vault --query [?contains(properties.vaultId, '/resourceGroups/monitor/')].name | [0] --output tsv
    MONITOR_ALERT_EMAILS= MONITOR_CLIENT_ID=00000000-0000-4000-8000-00000000cccc MONITOR_PARTNER_NAME=A "B" & Sons MONITOR_PRINCIPAL_ID=00000000-0000-4000-8000-00000000eeee MONITOR_PUBLIC_BASE_URL= MONITOR_SESSION_KEY=a-fresh-key az deployment group what-if --resource-group monitor --name health-monitor --parameters infra/azure/main.bicepparam
    MONITOR_ALERT_EMAILS= MONITOR_CLIENT_ID=00000000-0000-4000-8000-00000000cccc MONITOR_PARTNER_NAME=A "B" & Sons MONITOR_PRINCIPAL_ID=00000000-0000-4000-8000-00000000eeee MONITOR_PUBLIC_BASE_URL= MONITOR_SESSION_KEY=a-fresh-key az deployment group create --resource-group monitor --name health-monitor --parameters infra/azure/main.bicepparam --output none
    az deployment group show --resource-group monitor --name health-monitor --query properties.outputs.functionAppName.value --output tsv
    az deployment group show --resource-group monitor --name health-monitor --query properties.outputs.baseUrl.value --output tsv
    az deployment group show --resource-group monitor --name health-monitor --query properties.outputs.vaultName.value --output tsv
    az deployment group show --resource-group monitor --name health-monitor --query properties.outputs.identityPrincipalId.value --output tsv
    register-app.sh --name Azure Health Partner Monitor --base-url https://healthmon-x1.azurewebsites.net --managed-identity 00000000-0000-4000-8000-00000000dddd
    func azure functionapp publish healthmon-x1 --no-build
    curl --fail --silent --show-error --retry 12 --retry-delay 10 --retry-all-errors --max-time 20 https://healthmon-x1.azurewebsites.net/api/probe/live
    "###);
    let text = said(&output);
    assert!(!text.contains("a-fresh-key"), "the key is nowhere to be read");
    for next in
        ["https://healthmon-x1.azurewebsites.net/api/consent/start", "/api/v1/invites", "az functionapp keys list"]
    {
        assert!(text.contains(next), "{next}: {text}");
    }
}

#[test]
fn a_dry_run_prints_the_same_commands_and_runs_none() {
    let stage = Stage::new();
    let (_, log) = stage.play("deploy.sh", NOTHING, FIRST);
    let (output, nothing) = stage.play("deploy.sh", NOTHING, &[&["--dry-run"], FIRST].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(nothing, "");
    let text = stage.plain(&String::from_utf8_lossy(&output.stdout));
    let text = text.replace("\\<functionAppName\\>", "healthmon-x1");
    let printed: String = text
        .lines()
        .filter_map(|line| line.strip_prefix("+ "))
        .filter(|line| !line.starts_with("cd "))
        .map(|line| line.strip_prefix("env FUNCTIONS_WORKER_RUNTIME=custom ").unwrap_or(line))
        .map(|line| line.strip_prefix("infra/azure/").unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(steps(&printed), steps(&log));
}

#[test]
fn deploying_again_makes_nothing_anew_and_keeps_the_keys() {
    let stage = Stage::new();
    let there = format!(
        "*'group exists'*) echo true ;;\n*'resource list'*vaults*) echo /vaults/v ;;\n\
         *'resource show --ids /vaults/v/secrets/session-keys'*) echo /vaults/v/secrets/session-keys ;;\n{NOTHING}"
    );
    let (output, log) = stage.play("deploy.sh", &there, FIRST);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!log.contains("group create --name monitor --location") && !log.contains("list-deleted"), "{log}");
    assert!(log.contains("MONITOR_SESSION_KEY= az deployment group create"), "{log}");
    // A vault without the keys, such as one of a deployment that broke off, gets them.
    let (_, log) = stage.play("deploy.sh", &there.replace("echo /vaults/v/secrets/session-keys", "exit 3"), FIRST);
    assert!(log.contains("MONITOR_SESSION_KEY=a-fresh-key az deployment group create"), "{log}");
    // One that was torn down comes back, with its keys.
    let gone = format!("*'group exists'*) echo true ;;\n*list-deleted*) echo old-vault ;;\n{NOTHING}");
    let (_, log) = stage.play("deploy.sh", &gone, FIRST);
    assert!(log.contains("az keyvault recover --name old-vault"), "{log}");
    assert!(log.contains("MONITOR_SESSION_KEY= az deployment group create"), "{log}");
}

#[test]
fn a_pipeline_with_a_registration_touches_nothing_in_entra() {
    let stage = Stage::new();
    let pipeline =
        ["--client-id", CLIENT, "--principal-id", PRINCIPAL, "--publish", "az", "--no-build", "--base-url", ""];
    let (output, log) = stage.play("deploy.sh", NOTHING, &[FIRST, &pipeline].concat());
    assert!(output.status.success(), "{}", said(&output));
    for never in ["az ad ", "register-app", "cargo", "func "] {
        assert!(!log.contains(never), "{never}: {log}");
    }
    assert!(
        log.contains(&format!(
            "MONITOR_CLIENT_ID={CLIENT} MONITOR_PARTNER_NAME=A \"B\" & Sons MONITOR_PRINCIPAL_ID={PRINCIPAL}"
        )),
        "{log}"
    );
    assert!(
        log.contains(
            "config-zip --resource-group monitor --name healthmon-x1 --src target/azure-health-partner-monitor.zip"
        ),
        "{log}"
    );
}

#[test]
fn deploying_stops_before_it_changes_anything_that_it_cannot_finish() {
    let stage = Stage::new();
    let (output, log) = stage.play("deploy.sh", &format!("*'account show'*) exit 1 ;;\n{NOTHING}"), FIRST);
    assert_eq!((output.status.code(), steps(&log)), (Some(1), vec!["account show".to_owned()]), "{}", said(&output));
    assert!(said(&output).contains("az login"), "{}", said(&output));
    // Nobody who could answer is no yes.
    let (output, log) = stage.play("deploy.sh", NOTHING, &FIRST[1..]);
    assert!(output.status.code() == Some(1) && !log.contains("deployment group create"), "{}", said(&output));
    for (typed, goes_on) in [("n\n", false), ("\n", false), ("y\n", true)] {
        let (_, log) = stage.play_and_say(typed, "deploy.sh", NOTHING, &FIRST[1..]);
        assert_eq!(log.contains("deployment group create"), goes_on, "{typed:?}");
    }
    // A package that cannot be built is found before Azure is asked for anything.
    stage.program("bin/cargo", "exit 101");
    let (output, log) = stage.play("deploy.sh", NOTHING, FIRST);
    assert!(!output.status.success() && !log.contains("group create"), "{log}");
}

#[test]
fn wrong_use_is_told_with_exit_code_2_and_help_with_0() {
    let stage = Stage::new();
    let wrong: &[(&str, &[&str])] = &[
        ("deploy.sh", &[]),
        ("deploy.sh", &["--resource-group", "g"]),
        ("deploy.sh", &["--resource-group"]),
        ("deploy.sh", &["--resource-group", "g", "--partner-name", "n", "--colour", "red"]),
        ("deploy.sh", &["--resource-group", "g", "--partner-name", "n", "--publish", "ftp"]),
        ("deploy.sh", &["--resource-group", "g", "--partner-name", "n", "--base-url", "http://x"]),
        ("deploy.sh", &["--resource-group", "g", "--partner-name", "n", "--principal-id", "p"]),
        ("deploy.sh", &["--resource-group", "g", "--partner-name", "n", "--parameters", "/nowhere"]),
        ("teardown.sh", &[]),
        ("teardown.sh", &["--with-everything"]),
        ("github-oidc.sh", &["--resource-group", "g"]),
        ("github-oidc.sh", &["--resource-group", "g", "--repository", "alone"]),
    ];
    for (script, arguments) in wrong {
        let (output, log) = stage.play(script, NOTHING, arguments);
        assert_eq!((output.status.code(), log.as_str()), (Some(2), ""), "{script} {arguments:?}: {}", said(&output));
    }
    for script in ["deploy.sh", "teardown.sh", "github-oidc.sh"] {
        let (output, log) = stage.play(script, NOTHING, &["--help"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && log.is_empty() && text.contains("--dry-run"), "{text}");
        // Every option that is read is explained.
        let source = fs::read_to_string(stage.path("infra/azure").join(script)).unwrap();
        for option in
            source.lines().filter_map(|line| line.trim().strip_suffix(";;")?.split_once(") ")).map(|(name, _)| name)
        {
            assert!(!option.starts_with("--") || text.contains(option), "{script}: {option}");
        }
    }
}

/// What `az` answers where a deployment runs.
const RUNNING: &str = "\
*'group exists'*) echo true ;;
*\"application'=='azure-health\"*) ;;
*'resource list'*\"[?!(tags\"*) ;;
*'resource list'*Web/sites*) echo healthmon-x1 ;;
*'resource list'*KeyVault/vaults*) echo healthmon-x1 ;;
*'resource list'*\"type!='Microsoft.Storage\"*) printf '/sites/x\\n/vaults/x\\n' ;;
*'resource list'*Storage/storageAccounts*) echo /storage/x ;;
*'resource list'*userAssignedIdentities*) echo /identities/x ;;
*'appsettings list'*) echo 00000000-0000-4000-8000-00000000cccc ;;
*'identity show'*) echo 00000000-0000-4000-8000-00000000dddd ;;
*'federated-credential list'*) echo managed-identity-x ;;";

/// Calls that change something.
fn changes(log: &str) -> Vec<&str> {
    log.lines().filter(|line| ["delete", "purge", "create", "update"].iter().any(|word| line.contains(word))).collect()
}

#[test]
fn tearing_down_keeps_the_state_and_ends_the_trust() {
    let stage = Stage::new();
    let (output, log) = stage.play("teardown.sh", RUNNING, &["--resource-group", "monitor", "--yes"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        changes(&log),
        [
            "az ad app federated-credential delete --id 00000000-0000-4000-8000-00000000cccc --federated-credential-id managed-identity-x",
            "az role assignment delete --assignee 00000000-0000-4000-8000-00000000dddd --scope /storage/x",
            "az resource delete --ids /sites/x /vaults/x --output none",
        ]
    );
    let text = said(&output);
    assert!(
        text.contains("role assignments and consents stay") && text.contains("The state stays: /storage/x"),
        "{text}"
    );
    let help = stage.play("teardown.sh", RUNNING, &["--help"]).0;
    assert!(said(&help).contains("purpose=leave"), "how customers end it first");
}

#[test]
fn tearing_down_with_the_state_takes_the_group_but_only_where_nothing_else_lives() {
    let stage = Stage::new();
    let all = ["--resource-group", "monitor", "--yes", "--with-state", "--with-registration"];
    let (output, log) = stage.play("teardown.sh", RUNNING, &all);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        changes(&log),
        [
            "az group delete --name monitor --yes",
            "az keyvault purge --name healthmon-x1",
            "az ad app delete --id 00000000-0000-4000-8000-00000000cccc",
        ]
    );
    let shared = RUNNING
        .replace("*'resource list'*\"[?!(tags\"*) ;;", "*'resource list'*\"[?!(tags\"*) echo somebodys-database ;;");
    let (output, log) = stage.play("teardown.sh", &shared, &all);
    assert_eq!((output.status.code(), changes(&log).len()), (Some(1), 0), "{}", said(&output));
    assert!(said(&output).contains("somebodys-database"));
    // A dry run, or nobody who types the name, changes nothing.
    for arguments in
        [&["--resource-group", "monitor", "--with-state", "--dry-run"][..], &["--resource-group", "monitor"]]
    {
        let (_, log) = stage.play("teardown.sh", RUNNING, arguments);
        assert_eq!(changes(&log), Vec::<&str>::new(), "{arguments:?}");
    }
    let typed = |name: &str| {
        changes(&stage.play_and_say(name, "teardown.sh", RUNNING, &["--resource-group", "monitor"]).1).len()
    };
    assert_eq!((typed("y\n"), typed("monitor\n")), (0, 3), "only the whole name is a yes");
}

#[test]
fn a_repository_is_trusted_for_one_environment_and_made_once() {
    let stage = Stage::new();
    let arguments = ["--repository", "contoso/monitor", "--resource-group", "monitor"];
    let fresh = "*'ad app create'*) echo the-client ;;\n*'ad sp create'*) echo the-principal ;;\n*'group show'*) echo /groups/monitor ;;";
    let (output, log) = stage.play("github-oidc.sh", fresh, &arguments);
    assert!(output.status.success(), "{}", said(&output));
    assert!(log.contains("\"subject\":\"repo:contoso/monitor:environment:production\""), "{log}");
    assert!(log.contains("\"issuer\":\"https://token.actions.githubusercontent.com\""), "{log}");
    assert_eq!(log.matches("az role assignment create").count(), 2, "{log}");
    assert!(log.contains("Administrator --condition-version 2.0"), "{log}");
    assert!(said(&output).contains("AZURE_CLIENT_ID=the-client"), "{}", said(&output));
    let there = format!(
        "*'ad app list'*) echo the-client ;;\n*'ad sp list'*) echo the-principal ;;\n*'federated-credential list'*) echo x ;;\n{fresh}"
    );
    let (_, log) = stage.play("github-oidc.sh", &there, &arguments);
    assert!(!log.contains("app create") && !log.contains("sp create") && !log.contains("credential create"), "{log}");
    // Nobody who is signed in, or a list that cannot be had: nothing is made, let alone twice.
    for fails in ["account show", "ad app list", "ad sp list", "federated-credential list", "group show"] {
        let (output, log) = stage.play("github-oidc.sh", &format!("*'{fails}'*) exit 1 ;;\n{there}"), &arguments);
        assert_eq!((output.status.code(), changes(&log).len()), (Some(1), 0), "{fails}: {log}");
    }
    // The workflow is the environment that is trusted, and asks for what the script prints.
    let workflow = crate::infra::file(".github/workflows/deploy-azure.yml");
    assert!(workflow.contains("environment: production\n") && workflow.contains("id-token: write"));
    for variable in super::between(&workflow, "vars.", " }}") {
        let optional = ["PUBLIC_BASE_URL", "ALERT_EMAILS"];
        assert!(optional.contains(&variable) || said(&output).contains(variable), "{variable} is printed");
    }
}
