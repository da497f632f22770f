//! The scripts for AWS, against an `aws`, a `sam` and a `curl` that write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";

/// The exit code, what was printed, and the calls, of a run in a tree of its own; somebody types this.
fn play(script: &str, typed: &str, answers: &str, arguments: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    for folder in ["infra/aws", "target", "bin"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let script = Path::new("infra/aws").join(script);
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(&script), tree.path().join(&script)).unwrap();
    fs::write(at("target/lambda.zip"), "a zip").unwrap();
    fs::write(at("secret.json"), "{\"SESSION_KEYS\": \"never-to-be-seen\"}").unwrap();
    fs::write(at("typed"), typed).unwrap();
    for program in ["aws", "sam", "curl"] {
        let log = at("calls");
        // S3 has something to list once.
        let text = format!(
            "#!/bin/sh\necho \"{program} $*\" >> '{log}'\ncase \"$*\" in\n{answers}\n\
             *list-object-versions*) [ -e '{log}.listed' ] || {{ touch '{log}.listed'; echo '{{\"Key\": \"a\"}}'; }} ;;\nesac\n",
            log = log.display()
        );
        fs::write(at("bin").join(program), text).unwrap();
        fs::set_permissions(at("bin").join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("bash")
        .arg(tree.path().join(script))
        .args(arguments.iter().map(|argument| argument.replace("SECRET", at("secret.json").to_str().unwrap())))
        .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
        .stdin(fs::File::open(at("typed")).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!said.contains("never-to-be-seen"), "{said}");
    let calls = fs::read_to_string(at("calls")).unwrap_or_default();
    (output.status.code(), said, calls.lines().map(str::to_owned).collect())
}

fn deploy(answers: &str, arguments: &[&str]) -> (Option<i32>, String, Vec<String>) {
    play("deploy.sh", "", answers, arguments)
}

fn answers() -> String {
    format!(
        "*OutputKey==\\'Url\\'*) echo {URL} ;;\n*StateBucket*) echo the-bucket ;;\n*FunctionName*) echo the-function ;;"
    )
}

/// What was called, in order, by the first words of each call.
fn order(calls: &[String]) -> Vec<String> {
    let words = |call: &String| call.split(' ').take(3).collect::<Vec<_>>().join(" ");
    calls.iter().map(words).filter(|call| !call.contains("describe-stacks")).collect()
}

const FIRST: &[&str] = &["--secret-file", "SECRET", "TenantId=a", "PartnerName=Fabrikam Ltd", "Front=FunctionUrl"];

/// The answers where there is no secret yet.
fn none_yet() -> String {
    format!("*describe-secret*) exit 254 ;;\n{}", answers())
}

#[test]
fn a_deployment_makes_the_secret_first_and_names_the_redirect_uris() {
    let (code, said, calls) = deploy(&none_yet(), FIRST);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        order(&calls),
        [
            "aws sts get-caller-identity",
            "aws secretsmanager describe-secret",
            "aws secretsmanager create-secret",
            "sam deploy --template-file",
            "sam deploy --template-file",
            "aws lambda update-function-configuration",
            "curl --fail --silent",
        ]
    );
    let deployed = calls.iter().find(|call| call.starts_with("sam")).unwrap();
    assert!(
        deployed.ends_with("--parameter-overrides TenantId=a PartnerName=Fabrikam Ltd Front=FunctionUrl"),
        "{deployed}"
    );
    assert!(calls.iter().any(|call| call.contains("create-secret --name health-monitor --secret-string file:///")));
    for path in ["callback", "admin-callback"] {
        assert!(said.contains(&format!("{}api/consent/{path}\n", URL)), "{said}");
    }
}

#[test]
fn a_function_url_is_told_to_the_function_and_a_secret_that_is_there_is_changed() {
    let arguments = ["--region", "eu-west-1", "--secret-file", "SECRET", "SecretName=theirs", "Front=FunctionUrl"];
    let (code, said, calls) = deploy(&format!("*describe-secret*) echo theirs ;;\n{}", answers()), &arguments);
    assert_eq!(code, Some(0), "{said}");
    let deployments: Vec<_> = calls.iter().filter(|call| call.starts_with("sam")).collect();
    assert_eq!(deployments.len(), 2);
    assert!(deployments[1].ends_with("Front=FunctionUrl PublicBaseUrl=https://abc.lambda-url.eu-west-1.on.aws"));
    assert!(calls.iter().any(|call| call.contains("put-secret-value --region eu-west-1 --secret-id theirs")));
    assert!(calls.iter().all(|call| call.contains("--region eu-west-1") || call.starts_with("curl ")), "{calls:?}");
}

#[test]
fn a_later_deployment_keeps_parameters_and_the_secret() {
    let (code, said, calls) = deploy(&answers(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(order(&calls), ["aws sts get-caller-identity", "sam deploy --template-file", "curl --fail --silent"]);
    assert!(calls.iter().all(|call| !call.contains("--parameter-overrides")), "{calls:?}");
}

#[test]
fn a_dry_run_prints_the_same_commands_and_runs_none() {
    let (_, _, calls) = deploy(&none_yet(), FIRST);
    let (code, said, nothing) = deploy(&none_yet(), &[&["--dry-run"], FIRST].concat());
    assert_eq!((code, nothing), (Some(0), vec![]), "{said}");
    let printed: Vec<String> = said.lines().filter_map(|line| line.strip_prefix("+ ")).map(str::to_owned).collect();
    assert_eq!(order(&printed), order(&calls));
    let told = "sam deploy --template-file infra/aws/template.yaml --stack-name azure-health-partner-monitor --resolve-s3 \
                --capabilities CAPABILITY_IAM --no-confirm-changeset --no-fail-on-empty-changeset --parameter-overrides \
                TenantId=a PartnerName=Fabrikam\\ Ltd Front=FunctionUrl";
    assert!(printed.contains(&told.to_owned()), "{said}");
}

/// What `aws` answers where a stack is.
const STACK: &str =
    "*StateBucket*) echo the-bucket ;;\n*SecretName*) echo the-secret ;;\n*delete-objects*) echo None ;;";

/// The calls that change something, by their first words and what follows them.
fn changes(calls: &[String]) -> Vec<&str> {
    calls.iter().map(String::as_str).filter(|call| call.contains("delete-")).collect()
}

#[test]
fn tearing_down_keeps_documents_and_secret_and_says_how_they_end() {
    let (code, said, calls) = play("teardown.sh", "", STACK, &["--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        changes(&calls),
        [
            "aws cloudformation delete-stack --stack-name azure-health-partner-monitor",
            "aws cloudformation wait stack-delete-complete --stack-name azure-health-partner-monitor",
        ]
    );
    assert!(said.contains("The documents stay, in the bucket the-bucket, and so does the secret the-secret"), "{said}");
    assert!(said.contains("role assignments and consents stay"), "{said}");
    assert!(said.contains("teardown.sh --with-state --bucket the-bucket --secret the-secret"), "{said}");
    assert!(play("teardown.sh", "", STACK, &["--help"]).1.contains("purpose=leave"), "how customers end it first");
}

#[test]
fn tearing_down_with_the_state_empties_the_bucket_of_every_version() {
    let state = [
        "aws s3api delete-objects --bucket the-bucket --delete file:///dev/stdin --query Errors[].[Code, Key] --output text",
        "aws s3api delete-bucket --bucket the-bucket",
        "aws secretsmanager delete-secret --secret-id the-secret --force-delete-without-recovery --output text",
    ];
    let (code, said, calls) = play("teardown.sh", "", STACK, &["--yes", "--with-state"]);
    assert_eq!((code, &changes(&calls)[2..]), (Some(0), &state[..]), "{said}");
    assert_eq!(calls.iter().filter(|call| call.contains("list-object-versions")).count(), 2, "until nothing is listed");
    // What an earlier tear-down left is found by its name.
    let gone = format!("*describe-stacks*) exit 254 ;;\n{STACK}");
    let left = ["--yes", "--with-state", "--bucket", "the-bucket", "--secret", "the-secret"];
    let (code, said, calls) = play("teardown.sh", "", &gone, &left);
    assert_eq!((code, changes(&calls)), (Some(0), state.to_vec()), "{said}");
    let (code, said, calls) = play("teardown.sh", "", &gone, &["--yes", "--with-state"]);
    assert_eq!((code, changes(&calls).len()), (Some(1), 0), "{said}");
    assert!(said.contains("there is no stack"), "{said}");
    // What S3 keeps ends it, with the secret still there.
    let kept = STACK.replace("echo None", "echo AccessDenied a");
    let (code, said, calls) = play("teardown.sh", "", &kept, &["--yes", "--with-state"]);
    assert_eq!((code, changes(&calls).len()), (Some(1), 3), "{said}");
    assert!(said.contains("AccessDenied a"), "{said}");
}

#[test]
fn tearing_down_asks_for_the_whole_name_and_a_dry_run_changes_nothing() {
    for (typed, arguments) in [("", &["--with-state"][..]), ("y\n", &[]), ("", &["--dry-run", "--with-state"])] {
        let (code, said, calls) = play("teardown.sh", typed, STACK, arguments);
        assert_eq!(changes(&calls), Vec::<&str>::new(), "{typed:?} {arguments:?}");
        let dry = arguments.contains(&"--dry-run");
        assert_eq!(code, Some(if dry { 0 } else { 1 }), "{said}");
        assert!(!dry || said.contains("+ aws s3api delete-bucket --bucket the-bucket\n"), "{said}");
    }
    let (_, _, calls) = play("teardown.sh", "azure-health-partner-monitor\n", STACK, &[]);
    assert_eq!(changes(&calls).len(), 2);
}

#[test]
fn wrong_use_of_the_scripts_is_exit_code_2_and_what_is_missing_1() {
    let wrong: &[(&str, &[&str])] = &[
        ("deploy.sh", &["--stack"]),
        ("deploy.sh", &["--nothing"]),
        ("deploy.sh", &["TenantId"]),
        ("deploy.sh", &["--secret-file", "/nothing"]),
        ("teardown.sh", &["--everything"]),
        ("teardown.sh", &["--stack"]),
        ("teardown.sh", &["--bucket", "b"]),
        ("teardown.sh", &["--with-state", "--secret", "s"]),
    ];
    for (script, arguments) in wrong {
        let (code, said, calls) = play(script, "", STACK, arguments);
        assert_eq!((code, calls.len()), (Some(2), 0), "{script} {arguments:?} {said}");
    }
    for script in ["deploy.sh", "teardown.sh"] {
        let (code, said, calls) = play(script, "", "*get-caller-identity*) exit 255 ;;", &[]);
        assert_eq!((code, calls.len()), (Some(1), 1), "{said}");
        assert!(said.contains("sign in first"), "{said}");
        let (code, said, calls) = play(script, "", "", &["--help"]);
        assert!(code == Some(0) && calls.is_empty() && said.contains("--dry-run"), "{said}");
    }
}
