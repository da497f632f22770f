//! The script that deploys to AWS, against an `aws` and a `sam` that write down how they were called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const URL: &str = "https://abc.lambda-url.eu-west-1.on.aws/";

/// The exit code, what was printed, and the calls, of a run in a tree of its own.
fn deploy(answers: &str, arguments: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    for folder in ["infra/aws", "target", "bin"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("infra/aws/deploy.sh"), at("infra/aws/deploy.sh")).unwrap();
    fs::write(at("target/lambda.zip"), "a zip").unwrap();
    fs::write(at("secret.json"), "{}").unwrap();
    for program in ["aws", "sam"] {
        let log = at("calls");
        let text =
            format!("#!/bin/sh\necho \"{program} $*\" >> '{}'\ncase \"$*\" in\n{answers}\nesac\n", log.display());
        fs::write(at("bin").join(program), text).unwrap();
        fs::set_permissions(at("bin").join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("bash")
        .arg(at("infra/aws/deploy.sh"))
        .args(arguments.iter().map(|argument| argument.replace("SECRET", at("secret.json").to_str().unwrap())))
        .env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()))
        .output()
        .unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let calls = fs::read_to_string(at("calls")).unwrap_or_default();
    (output.status.code(), said, calls.lines().map(str::to_owned).collect())
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

#[test]
fn a_deployment_makes_the_secret_first_and_names_the_redirect_uris() {
    let answers = format!("*describe-secret*) exit 254 ;;\n{}", answers());
    let (code, said, calls) = deploy(&answers, &["--secret-file", "SECRET", "TenantId=a", "PartnerName=Fabrikam Ltd"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        order(&calls),
        [
            "aws sts get-caller-identity",
            "aws secretsmanager describe-secret",
            "aws secretsmanager create-secret",
            "sam deploy --template-file",
            "aws lambda update-function-configuration",
        ]
    );
    let deployed = calls.iter().find(|call| call.starts_with("sam")).unwrap();
    assert!(deployed.ends_with("--parameter-overrides TenantId=a PartnerName=Fabrikam Ltd"), "{deployed}");
    assert!(calls.iter().any(|call| call.contains("create-secret --name health-monitor --secret-string file:///")));
    for path in ["callback", "admin-callback"] {
        assert!(said.contains(&format!("{}api/consent/{path}\n", URL)), "{said}");
    }
}

#[test]
fn a_function_url_is_told_to_the_function_and_a_secret_that_is_there_is_changed() {
    let arguments = ["--region", "eu-west-1", "--secret-file", "SECRET", "SecretName=theirs", "Front=FunctionUrl"];
    let (code, said, calls) = deploy(&answers(), &arguments);
    assert_eq!(code, Some(0), "{said}");
    let deployments: Vec<_> = calls.iter().filter(|call| call.starts_with("sam")).collect();
    assert_eq!(deployments.len(), 2);
    assert!(deployments[1].ends_with("Front=FunctionUrl PublicBaseUrl=https://abc.lambda-url.eu-west-1.on.aws"));
    assert!(calls.iter().any(|call| call.contains("put-secret-value --region eu-west-1 --secret-id theirs")));
    assert!(calls.iter().all(|call| call.contains("--region eu-west-1")), "{calls:?}");
}

#[test]
fn a_later_deployment_keeps_parameters_and_the_secret() {
    let (code, said, calls) = deploy(&answers(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(order(&calls), ["aws sts get-caller-identity", "sam deploy --template-file"]);
    assert!(calls.iter().all(|call| !call.contains("--parameter-overrides")), "{calls:?}");
}

#[test]
fn a_tear_down_says_what_outlives_it_and_wrong_arguments_do_nothing() {
    let (code, said, calls) = deploy(&answers(), &["--destroy"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(calls.iter().any(|call| call.contains("delete-stack --stack-name azure-health-partner-monitor")));
    assert!(said.contains("delete-bucket --bucket the-bucket"), "{said}");
    for wrong in [&["--stack"][..], &["--nothing"], &["TenantId"], &["--secret-file", "/nothing"]] {
        let (code, said, calls) = deploy(&answers(), wrong);
        assert_eq!((code, calls.len()), (Some(2), 0), "{wrong:?} {said}");
    }
    let (code, said, calls) = deploy("*get-caller-identity*) exit 255 ;;", &[]);
    assert_eq!((code, calls.len()), (Some(2), 1), "{said}");
}
