//! The command line as a person uses it: the demo, twice, and the other commands pointed at it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::free_port;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command line, with nothing of this machine's own settings.
pub fn cli() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cli"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A running demo and the lines that it has said.
pub struct Demo {
    process: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Demo {
    pub fn start(state: &Path) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut process = cli()
            .args(["demo", "--listen", &address, "--state"])
            .arg(state)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines, said: Vec::new() }
    }

    /// The first line, said or still to come, that contains the text.
    pub fn line(&mut self, wanted: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.said.iter().find(|line| line.contains(wanted)) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("no line with {wanted:?} in {:#?}", self.said),
            }
        }
    }

    /// Presses Ctrl-C and gives the exit code.
    pub fn interrupt(mut self) -> Option<i32> {
        let kill = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status().expect("kill");
        assert!(kill.success());
        self.line("Ended.");
        self.process.wait().expect("it ends").code()
    }
}

impl Drop for Demo {
    /// A test that fails leaves no demo behind.
    fn drop(&mut self) {
        // After an orderly end there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(arguments: &[&str], state: &Path) -> Output {
    let settings = state.join("local.settings.json");
    cli().args(arguments).arg("--settings").arg(settings).output().expect("the command runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("no JSON: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

#[test]
fn the_demo_runs_ends_with_ctrl_c_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("demo");
    let mut demo = Demo::start(&state);
    demo.line("onboarded Northwind Traders");
    let link = demo.line("come in as a new customer");
    assert!(link.contains("/api/consent/start?invite="), "{link}");
    demo.line("/api/v1/incidents");
    demo.line("What happens now");

    let customers = run(&["customers", "--json"], &state);
    let listed = json(&customers);
    assert_eq!(customers.status.code(), Some(0), "everything was read: {listed}");
    assert_eq!(listed["value"].as_array().map(Vec::len), Some(3));
    let tenant = listed["value"][0]["tenantId"].as_str().expect("an id").to_owned();

    let health = run(&["health", &tenant, "--json"], &state);
    assert_eq!((health.status.code(), json(&health)["tenantId"].as_str()), (Some(0), Some(tenant.as_str())));
    let table = run(&["health", &tenant], &state);
    assert!(String::from_utf8_lossy(&table.stdout).contains("subscriptions read in full"));
    let subscription = json(&health)["subscriptions"][0]["subscriptionId"].as_str().expect("an id").to_owned();
    let live = run(&["health", &tenant, "--subscription", &subscription, "--refresh", "--json"], &state);
    assert_eq!(live.status.code(), Some(0));
    let polled = run(&["poll", "--json"], &state);
    assert_eq!((polled.status.code(), json(&polled)["value"].as_array().map(Vec::len)), (Some(0), Some(3)));
    assert_eq!(run(&["incidents", "--all", "--json"], &state).status.code(), Some(0));
    let report = run(&["report", &tenant, "--format", "csv"], &state);
    assert_eq!(report.status.code(), Some(3), "the month before onboarding is a gap");
    assert!(
        String::from_utf8_lossy(&report.stdout).starts_with("row,month,subscriptionId,service,region,impactMinutes")
    );
    let report = run(&["report", &tenant, "--json", "--from", "2020-01", "--to", "2020-02"], &state);
    assert_eq!(json(&report)["rows"].as_array().map(Vec::len), Some(0));
    assert_eq!(run(&["report", &tenant, "--from", "soon"], &state).status.code(), Some(2));
    let doctor = run(&["doctor", "--json"], &state);
    assert_eq!(doctor.status.code(), Some(0), "{}", json(&doctor));
    invites_are_made_listed_and_withdrawn(&state);
    a_customer_is_shown_his_receipt_erased_and_connected_again(&state);
    demo.line("-> told to customers, Contoso: eventOpened");
    demo.line("-> told to desk: eventOpened");
    what_was_told_is_in_the_log_and_in_the_files(&state);
    whoever_stops_reading_sees_no_crash(&state);

    assert_eq!(demo.interrupt(), Some(0));
    // Without the sandbox, what was kept is still answered; asking Azure fails and says so.
    assert_eq!(run(&["customers", "--json"], &state).status.code(), Some(0));
    assert_eq!(run(&["doctor", "--json"], &state).status.code(), Some(1));

    let mut again = Demo::start(&state);
    again.line("onboarded Contoso, known from an earlier run");
    again.line("What happens now");
    assert_eq!(again.interrupt(), Some(0));
}

/// Runs a command that must be done, and gives its JSON.
fn answer(arguments: &[&str], state: &Path) -> Value {
    let output = run(&[arguments, &["--json"]].concat(), state);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    json(&output)
}

/// Runs a command that is wrong input, and gives what it says.
fn wrong(arguments: &[&str], state: &Path) -> String {
    let output = run(arguments, state);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{arguments:?}: {said}");
    said
}

fn what_was_told_is_in_the_log_and_in_the_files(state: &Path) {
    let told = answer(&["notices", "list", "--state", "delivered"], state);
    let told = told["value"].as_array().expect("notices");
    for channel in ["desk", "customers"] {
        assert!(told.iter().any(|notice| notice["channel"] == channel && notice["word"] == "eventOpened"), "{told:?}");
        let lines = std::fs::read_to_string(state.join(format!("told-{channel}.jsonl"))).expect("the channel's file");
        assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
        assert!(lines.contains("Virtual Machines unreachable"), "{lines}");
    }
    let times: Vec<_> = told.iter().map(|notice| notice["endedAt"].as_str().expect("a time")).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "the newest first: {times:?}");
    assert_eq!(answer(&["routes", "test", "everything"], state)["taken"], true);
    assert!(wrong(&["routes", "test", "nothing"], state).contains("`routes show` has them"));
}

fn whoever_stops_reading_sees_no_crash(state: &Path) {
    let settings = state.join("local.settings.json");
    let mut process = cli()
        .args(["customers", "--settings"])
        .arg(settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    drop(process.stdout.take());
    let output = process.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

fn invites_are_made_listed_and_withdrawn(state: &Path) {
    let invited = answer(&["invite", "Woodgrove"], state);
    assert!(invited["link"].as_str().is_some_and(|link| link.contains("invite=")));
    let id = invited["id"].as_str().expect("an id");
    let stands = |id: &str| {
        let listed = answer(&["invites"], state);
        let row = listed["value"].as_array().expect("invites").iter().find(|row| row["id"] == id).cloned();
        row.unwrap_or_else(|| panic!("{id} in {listed}"))["state"].clone()
    };
    assert_eq!(stands(id), "open");
    for time in ["once", "twice"] {
        let withdrawn = run(&["withdraw", id], state);
        assert_eq!(withdrawn.status.code(), Some(0), "{time}: {}", String::from_utf8_lossy(&withdrawn.stderr));
        assert_eq!(stands(id), "withdrawn", "{time}");
    }
    let table = run(&["invites"], state);
    assert!(String::from_utf8_lossy(&table.stdout).contains("Woodgrove"));

    let listed = answer(&["invites"], state);
    let used = listed["value"].as_array().expect("invites").iter().find(|row| row["state"] == "used");
    let used = used.expect("the demo's customers came in by invite")["id"].as_str().expect("an id");
    assert!(wrong(&["withdraw", used], state).contains("came in with this invite"));
    assert_eq!(stands(used), "used");
    for id in ["nobody-made-this", "../customers"] {
        assert!(wrong(&["withdraw", id], state).contains("`invites` lists them"));
    }
}

fn a_customer_is_shown_his_receipt_erased_and_connected_again(state: &Path) {
    let customers = || {
        let listed = json(&run(&["customers", "--json"], state));
        listed["value"].as_array().expect("customers").clone()
    };
    let northwind = customers().into_iter().find(|row| row["displayName"] == "Northwind Traders").expect("onboarded");
    let tenant = northwind["tenantId"].as_str().expect("an id");
    let receipt = answer(&["receipt", tenant], state);
    let grants = receipt["grants"].as_array().expect("grants");
    assert_eq!((grants.len(), grants[0]["role"].as_str()), (3, Some("Reader")), "{receipt}");
    let assignment = grants[0]["roleAssignmentId"].as_str().expect("an id");
    let shown = run(&["receipt", tenant], state);
    let taken_back = format!("az role assignment delete --ids {assignment}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&taken_back), "{taken_back}");

    // Nobody delegates anything in the demo.
    for arguments in [&["customers", "discover"][..], &["customers", "discover", "--accept", tenant]] {
        assert_eq!(answer(arguments, state), serde_json::json!({"value": []}));
    }

    let erased = run(&["offboard", tenant, "--erase"], state);
    assert_eq!(erased.status.code(), Some(0), "{}", String::from_utf8_lossy(&erased.stderr));
    assert!(customers().iter().all(|row| row["tenantId"] != *tenant));
    let gone = wrong(&["receipt", tenant], state);
    assert!(gone.contains("is no customer"), "{gone}");

    // His role assignments stand, so he can be connected without our pages.
    let scope = grants[0]["scope"].as_str().expect("a scope");
    let subscription = scope.strip_prefix("/subscriptions/").expect("a subscription's");
    let told = answer(&["customers", "connect", tenant, "--subscription", subscription], state);
    let principal = told["servicePrincipalId"].as_str().expect("he has consented");
    let command = told["commands"][0].as_str().expect("a command");
    assert!(command.contains(scope) && command.contains(principal), "{command}");
    assert_eq!(told["commands"].as_array().map(Vec::len), Some(1));
    let verify = ["customers", "connect", tenant, "--subscription", subscription, "--label", "Back again", "--verify"];
    assert_eq!(answer(&verify, state)["subscriptions"], serde_json::json!([subscription]));
    assert_eq!(answer(&["poll", tenant], state)["value"][0]["gaps"], 0);
    let back = customers().into_iter().find(|row| row["tenantId"] == *tenant).expect("connected");
    assert_eq!(back["displayName"], "Back again");

    let nobody = "00000000-0000-4000-8000-00000000ffff";
    for arguments in [
        &["receipt", nobody][..],
        &["offboard", nobody],
        &["offboard", nobody, "--erase"],
        &["poll", nobody],
        &["customers", "connect", nobody],
        &["customers", "connect", nobody, "--verify"],
    ] {
        assert!(wrong(arguments, state).contains(nobody), "{arguments:?}");
    }
    let unreadable = run(&["customers", "connect", tenant, "--subscription", nobody, "--verify"], state);
    assert_eq!(unreadable.status.code(), Some(1), "what is not granted yet is no wrong input");
    for arguments in [
        &["receipt", "contoso"][..],
        &["offboard", "contoso", "--erase"],
        &["customers", "connect", "contoso"],
        &["customers", "connect", tenant, "--subscription", "production"],
        &["customers", "discover", "--accept", "contoso"],
    ] {
        assert!(wrong(arguments, state).contains("invalid value"), "{arguments:?}");
    }
}

#[test]
fn a_second_demo_beside_the_first_ends_and_leaves_its_settings_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let state = directory.path().join("demo");
    let mut demo = Demo::start(&state);
    demo.line("What happens now");
    let settings = || std::fs::read_to_string(state.join("local.settings.json")).expect("written");
    let before = settings();
    let values: Value = serde_json::from_str(&before).expect("JSON");
    let base = values["Values"]["PUBLIC_BASE_URL"].as_str().expect("an address");
    let address = base.trim_end_matches('/').replace("http://localhost", "127.0.0.1");
    let second = cli().args(["demo", "--listen", &address, "--state"]).arg(&state).output().expect("the command runs");
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(String::from_utf8_lossy(&second.stderr).contains("--listen chooses another address"), "{second:?}");
    assert_eq!(settings(), before);
}

#[test]
fn wrong_input_is_exit_code_2_and_says_what_would_be_right() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = run(&["customers"], directory.path());
    assert_eq!(missing.status.code(), Some(2));
    let said = String::from_utf8_lossy(&missing.stderr);
    for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"] {
        assert!(said.contains(name), "{said}");
    }
    assert!(said.contains("`register create --write "), "without a file of settings, how one is made: {said}");
    assert_eq!(run(&["health", "not-a-guid"], directory.path()).status.code(), Some(2));
    assert_eq!(run(&["no-such-command"], directory.path()).status.code(), Some(2));

    // An address at which nobody answers.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let settings = serde_json::json!({"Values": {
        "AZURE_TENANT_ID": "00000000-0000-4000-8000-00000000aaaa",
        "AZURE_CLIENT_ID": "00000000-0000-4000-8000-00000000cccc",
        "AZURE_CLIENT_SECRET": "s",
        "AZURE_AUTHORITY_HOST": nobody,
        "AZURE_RESOURCE_MANAGER_URL": nobody,
        "PUBLIC_BASE_URL": nobody,
        "STATE_STORE_URL": format!("file:{}", directory.path().join("documents").display()),
    }});
    std::fs::write(directory.path().join("local.settings.json"), settings.to_string()).expect("written");
    let unknown = run(&["health", "00000000-0000-4000-8000-00000000ffff"], directory.path());
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("customers"));
    let none = run(&["customers"], directory.path());
    assert_eq!(none.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&none.stdout).contains("No customers yet"));
    for (state, said) in [("pending", "No notice waits"), ("dead", "No notice was given up")] {
        let none = run(&["notices", "list", "--state", state], directory.path());
        assert!(String::from_utf8_lossy(&none.stdout).contains(said), "{none:?}");
    }
    // A machine that reaches nobody has nothing wrong with its credential.
    let doctor = run(&["doctor", "--json"], directory.path());
    let checks: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    let row = |what: &str| checks.as_array().into_iter().flatten().find(|row| row["what"] == what).expect("checked");
    for what in ["Entra", "credential"] {
        assert!(row(what)["mend"].as_str().is_some_and(|mend| mend.contains("AZURE_AUTHORITY_HOST")), "{checks}");
    }
    assert!(row("Resource Manager")["found"].as_str().is_some_and(|found| found.contains("not asked")), "{checks}");
    assert_eq!((&row("public address")["verdict"], doctor.status.code()), (&"doubtful".into(), Some(1)), "{checks}");
}

#[test]
fn bench_measures_against_an_azure_in_another_process() {
    let output = cli().args(["bench", "--quick", "--only", "ceiling", "--json"]).output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = rows.as_array().expect("rows");
    let measured = |what: &str| {
        let row = rows.iter().find(|row| row["what"].as_str().is_some_and(|text| text.starts_with(what)));
        row.and_then(|row| row["measured"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(measured("Azure SDK for Python").contains("60 subscriptions/s"), "the peers stand beside it: {rows:?}");
    let ceiling = measured("Loopback Azure's own ceiling, 2.6 KB events, 16 in flight");
    let share: f64 = ceiling.split(' ').next().and_then(|text| text.parse().ok()).expect("a share");
    assert!(share > 1.0 && share < 104.0, "nobody is faster than the latency: {ceiling}");
}
