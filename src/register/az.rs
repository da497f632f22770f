//! The same as command lines of `az`, for people who would rather see what is done and do it themselves. Pure.

use serde_json::{Value, json};

use super::documents::{self, AssignedRole, Federation, MANAGER, USER_IMPERSONATION};
use crate::azure::Cloud;

/// A command line with each word quoted where a shell would read it otherwise.
fn line(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    // A variable of the shell that an earlier line set.
    let variable = word.strip_prefix('$').is_some_and(|rest| rest.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    if variable {
        return format!("\"{word}\"");
    }
    if !word.is_empty() && word.chars().all(harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Makes the registration and its service principal, and sets what `az ad app create` cannot.
pub fn create(cloud: &Cloud, name: &str, redirect_uris: &[String]) -> Vec<String> {
    let mut words =
        vec!["az", "ad", "app", "create", "--display-name", name, "--sign-in-audience", documents::AUDIENCE];
    words.push("--web-redirect-uris");
    words.extend(redirect_uris.iter().map(String::as_str));
    words.extend(["--requested-access-token-version", "2", "--query", "appId", "--output", "tsv"]);
    let permission = format!("{USER_IMPERSONATION}=Scope");
    // `az rest` puts no quotes around what a shell variable holds, so the body is a word of its own.
    let lock = json!({"servicePrincipalLockConfiguration": documents::lock()}).to_string();
    let url = format!("{}/v1.0/applications(appId='$APP')", cloud.graph.as_str().trim_end_matches('/'));
    vec![
        format!("APP=$({})", line(&words)),
        line(&[
            "az",
            "ad",
            "app",
            "permission",
            "add",
            "--id",
            "$APP",
            "--api",
            MANAGER,
            "--api-permissions",
            &permission,
        ]),
        format!("az rest --method PATCH --url \"{url}\" --body {}", quoted(&lock)),
        line(&["az", "ad", "sp", "create", "--id", "$APP"]),
    ]
}

/// Adds a client secret; it is printed once.
pub fn add_secret(app: &str, end: &str) -> String {
    line(&["az", "ad", "app", "credential", "reset", "--id", app, "--append", "--end-date", end])
}

/// Adds a certificate's public part.
pub fn add_certificate(app: &str, file: &str) -> String {
    line(&["az", "ad", "app", "credential", "reset", "--id", app, "--append", "--cert", &format!("@{file}")])
}

/// Adds a federated credential.
pub fn federate(app: &str, federation: &Federation) -> String {
    let parameters = federation.body().to_string();
    line(&["az", "ad", "app", "federated-credential", "create", "--id", app, "--parameters", &parameters])
}

/// Assigns a role to the service principal.
pub fn assign(principal: &str, role: AssignedRole, scope: &str) -> String {
    let words = ["az", "role", "assignment", "create", "--assignee-object-id", principal];
    let more = ["--assignee-principal-type", "ServicePrincipal", "--role", role.name(), "--scope", scope];
    line(&[words.as_slice(), &more].concat())
}

/// A call to Graph or Resource Manager, as it would be made.
pub fn call(method: &str, url: &str, body: &Value) -> String {
    format!("{method} {url}\n{body:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(line(&["az", "--name", "O'Hara & Sons", "$APP", ""]), r#"az --name 'O'\''Hara & Sons' "$APP" ''"#);
        assert_eq!(quoted("$(rm -rf /)"), "'$(rm -rf /)'");
        assert_eq!(quoted("$HOME;x"), "'$HOME;x'");
    }
}
