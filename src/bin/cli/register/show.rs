//! `--dry-run`: what would be done, as `az` commands and as calls.

use std::process::ExitCode;

use health_monitor::register::{self, AssignedRole, Federation, az};
use health_monitor::settings::Unregistered;

use super::{Command, day, ends_in, public_certificate};
use crate::output::WrongInput;

/// Prints what a command would do.
pub fn run(settings: &Unregistered, command: &Command) -> anyhow::Result<ExitCode> {
    let graph = format!("{}/v1.0", settings.cloud.graph.as_str().trim_end_matches('/'));
    let app = settings.client_id.map_or_else(|| "$APP".to_owned(), |id| id.to_string());
    let mut commands = Vec::new();
    let mut calls = Vec::new();
    let mut secret = |app: &str, days: u16, commands: &mut Vec<String>| {
        let end = ends_in(days);
        commands.push(az::add_secret(app, &day(end)));
        calls.push(az::call("POST", &format!("{graph}/applications/{{id}}/addPassword"), &register::password(end)));
    };
    match command {
        Command::Create { name, credential, .. } => {
            let uris = settings.redirect_uris();
            commands.extend(az::create(&settings.cloud, name, &uris));
            let days = credential.secret_days.unwrap_or(180);
            if let Some(file) = &credential.certificate {
                commands.push(az::add_certificate("$APP", &file.display().to_string()));
                let certificate = public_certificate(file)?;
                let body = register::keys(&serde_json::Value::Null, &certificate);
                calls.push(az::call("PATCH", &format!("{graph}/applications/{{id}}"), &body));
            } else if let Some(principal) = credential.managed_identity {
                let federation = Federation::of_managed_identity(&settings.cloud, tenant(settings)?, principal);
                commands.push(az::federate("$APP", &federation));
                let url = format!("{graph}/applications/{{id}}/federatedIdentityCredentials");
                calls.push(az::call("POST", &url, &federation.body()));
            } else {
                secret("$APP", days, &mut commands);
            }
            let body = register::application(name, &uris);
            calls.insert(0, az::call("POST", &format!("{graph}/applications"), &body));
            let body = serde_json::json!({"appId": "{appId}"});
            calls.insert(1, az::call("POST", &format!("{graph}/servicePrincipals"), &body));
        }
        Command::AddSecret { days, .. } => secret(&app, *days, &mut commands),
        Command::AddCertificate { file } => {
            let certificate = public_certificate(file)?;
            commands.push(az::add_certificate(&app, &file.display().to_string()));
            let body = register::keys(&serde_json::Value::Null, &certificate);
            calls.push(az::call("PATCH", &format!("{graph}/applications/{{id}}"), &body));
        }
        Command::AddFederated { managed_identity, issuer, subject, name } => {
            let audience = settings.cloud.federation_audience.to_owned();
            let federation = match managed_identity {
                Some(principal) => Federation::of_managed_identity(&settings.cloud, tenant(settings)?, *principal),
                None => {
                    let (issuer, subject) = (issuer.clone().unwrap_or_default(), subject.clone().unwrap_or_default());
                    Federation { name: name.clone(), issuer, subject, audience }
                }
            };
            commands.push(az::federate(&app, &federation));
            let url = format!("{graph}/applications/{{id}}/federatedIdentityCredentials");
            calls.push(az::call("POST", &url, &federation.body()));
        }
        Command::Assign { role, scope, principal } => {
            let wrong = || WrongInput(format!("{scope:?} is no scope of Resource Manager"));
            let scope = register::scope(scope).ok_or_else(wrong)?;
            let role = AssignedRole::from(*role);
            let lookup = format!("PRINCIPAL=$(az ad sp show --id {app} --query id --output tsv)");
            match principal {
                Some(principal) => {
                    commands.push(az::assign(&principal.to_string(), role, &scope));
                    let (name, body) =
                        register::assignment(&settings.cloud, tenant(settings)?, &scope, role, *principal);
                    let url = settings.cloud.manager(&format!(
                        "{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version=2022-04-01"
                    ));
                    calls.push(az::call("PUT", &url, &body));
                }
                None => commands.extend([lookup, az::assign("$PRINCIPAL", role, &scope)]),
            }
        }
        Command::Check => calls.push(format!("GET {graph}/applications(appId='{app}')")),
        Command::Accept { write, .. } => commands.push(format!("# writes {}", write.display())),
    }
    println!("# With az:");
    commands.iter().for_each(|command| println!("{command}"));
    if !calls.is_empty() {
        println!("\n# Or as calls:");
    }
    calls.iter().for_each(|call| println!("{call}"));
    Ok(ExitCode::SUCCESS)
}

fn tenant(settings: &Unregistered) -> Result<health_monitor::model::TenantId, WrongInput> {
    settings
        .tenant_id
        .ok_or_else(|| WrongInput("AZURE_TENANT_ID is not set: which tenant is the partner's?".to_owned()))
}
