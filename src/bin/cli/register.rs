//! `register`: makes the partner's app registration, and checks it later.

mod show;
mod token;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::{Args, Subcommand, ValueEnum};
use health_monitor::azure::{Certificate, Operator, PublicCertificate, SigningAlgorithm};
use health_monitor::model::{ClientId, ObjectId, TenantId, Timestamp};
use health_monitor::outside::{Clock as _, SystemClock, SystemRandom, http_client};
use health_monitor::register::{self, AssignedRole, Federation};
use health_monitor::settings::Unregistered;
use secrecy::ExposeSecret as _;
use token::Tokens;

use crate::Common;
use crate::output::{self, WrongInput};

/// The partner's app registration.
#[derive(Debug, Args)]
pub struct Options {
    /// Read the access token from standard input instead of asking `az` for it: of Microsoft Graph; for `assign`, of Resource Manager
    #[arg(long, global = true)]
    access_token_stdin: bool,
    /// Do nothing; print the `az` commands, and the calls that would be made
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register the application with its service principal and a credential; prints appId, displayName, password, tenant
    Create {
        /// What customers see on the consent page
        #[arg(long, default_value = "Azure Health Partner Monitor")]
        name: String,
        /// Take the application of this name that is there, and set what is wrong with it
        #[arg(long)]
        adopt: bool,
        #[command(flatten)]
        credential: NewCredential,
        /// Write the settings of the new registration into this file
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Compare the registration with what it should be
    Check,
    /// Take what `az ad sp create-for-rbac` printed, and write the settings from it
    Accept {
        /// The file with its JSON; `-` for standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Where to write the settings
        #[arg(long, value_name = "FILE", default_value = "local.settings.json")]
        write: PathBuf,
    },
    /// Add a client secret and print it
    AddSecret {
        /// How many days it works
        #[arg(long, value_name = "DAYS", default_value_t = 180, value_parser = clap::value_parser!(u16).range(1..=730))]
        days: u16,
        /// Write it into this settings file
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
    },
    /// Add a certificate beside those that are registered; its private key stays here
    AddCertificate {
        /// PEM or DER; a private key in it is passed over
        file: PathBuf,
    },
    /// Add a federated credential: of a managed identity, or of any issuer
    AddFederated {
        /// The object (principal) id of a user-assigned managed identity in the partner's tenant
        #[arg(long, value_name = "ID", conflicts_with_all = ["issuer", "subject"], required_unless_present = "issuer")]
        managed_identity: Option<ObjectId>,
        /// `iss` of the tokens, exactly
        #[arg(long, requires = "subject")]
        issuer: Option<String>,
        /// `sub` of the tokens, exactly
        #[arg(long, requires = "issuer")]
        subject: Option<String>,
        /// Its name, for another issuer
        #[arg(long, default_value = "health-monitor")]
        name: String,
    },
    /// Assign a role to the application's service principal
    Assign {
        role: Role,
        /// Such as /subscriptions/ID or /subscriptions/ID/resourceGroups/NAME
        #[arg(long)]
        scope: String,
        /// The service principal's object id; without it, Graph is asked
        #[arg(long, value_name = "ID")]
        principal: Option<ObjectId>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Reader,
    MonitoringMetricsPublisher,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct NewCredential {
    /// A client secret that works so many days; the default, with 180
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=730))]
    secret_days: Option<u16>,
    /// A certificate: PEM with or without its key, or DER
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A user-assigned managed identity, by its object (principal) id
    #[arg(long, value_name = "ID")]
    managed_identity: Option<ObjectId>,
}

/// What every command of `register` has.
struct Desk {
    settings: Unregistered,
    operator: Operator,
    tokens: Tokens,
    json: bool,
}

impl Desk {
    fn client_id(&self) -> Result<ClientId, WrongInput> {
        let missing = || WrongInput("AZURE_CLIENT_ID is not set: which application is it?".to_owned());
        self.settings.client_id.ok_or_else(missing)
    }

    async fn tenant_id(&mut self) -> anyhow::Result<TenantId> {
        if let Some(tenant) = self.settings.tenant_id {
            return Ok(tenant);
        }
        let tenant = self.tokens.tenant(&self.settings).await?;
        tenant.ok_or_else(|| WrongInput("AZURE_TENANT_ID is not set: which tenant is the partner's?".to_owned()).into())
    }

    fn managed_identity(&self, tenant: TenantId, principal: ObjectId) -> Federation {
        Federation::of_managed_identity(&self.settings.cloud, tenant, principal)
    }
}

pub async fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let settings = Unregistered::load(&common.settings)?;
    if options.dry_run {
        return show::run(&settings, &options.command);
    }
    let http = http_client().context("the HTTP client")?;
    let operator = Operator::new(settings.cloud.clone(), http, Arc::new(SystemClock), Arc::new(SystemRandom));
    let tokens = Tokens::new(options.access_token_stdin);
    let mut desk = Desk { settings, operator, tokens, json: common.json };
    match options.command {
        Command::Create { name, adopt, credential, write } => create(&mut desk, &name, adopt, credential, write).await,
        Command::Check => check(&mut desk).await,
        Command::Accept { file, write } => accept(&file, &write),
        Command::AddSecret { days, write } => add_secret(&mut desk, days, write).await,
        Command::AddCertificate { file } => {
            let certificate = public_certificate(&file)?;
            let token = desk.tokens.graph(&desk.settings).await?;
            let added = register::add_certificate(&desk.operator, desk.client_id()?, &certificate, &token).await?;
            done(added, &format!("certificate {}, until {}", certificate.thumbprint(), day(certificate.not_after)))
        }
        Command::AddFederated { managed_identity, issuer, subject, name } => {
            let federation = match (managed_identity, issuer, subject) {
                (Some(principal), ..) => {
                    let tenant = desk.tenant_id().await?;
                    desk.managed_identity(tenant, principal)
                }
                (None, Some(issuer), Some(subject)) => {
                    let audience = desk.settings.cloud.federation_audience.to_owned();
                    Federation { name, issuer, subject, audience }
                }
                _ => return Err(WrongInput("--managed-identity, or --issuer and --subject".to_owned()).into()),
            };
            let token = desk.tokens.graph(&desk.settings).await?;
            let registered = register::registered(&desk.operator, desk.client_id()?, &token).await?;
            let added = register::federate(&desk.operator, &registered, &federation, &token).await?;
            done(added, &format!("federated credential of {} at {}", federation.subject, federation.issuer))
        }
        Command::Assign { role, scope, principal } => assign(&mut desk, role.into(), &scope, principal).await,
    }
}

fn done(added: bool, what: &str) -> anyhow::Result<ExitCode> {
    println!("{what}: {}", if added { "added" } else { "was there already" });
    Ok(ExitCode::SUCCESS)
}

fn day(at: Timestamp) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn ends_in(days: u16) -> Timestamp {
    SystemClock.now() + TimeDelta::days(days.into())
}

fn public_certificate(file: &std::path::Path) -> anyhow::Result<PublicCertificate> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    PublicCertificate::from_file(&bytes).map_err(|fault| WrongInput(format!("{}: {fault}", file.display())).into())
}

async fn create(
    desk: &mut Desk,
    name: &str,
    adopt: bool,
    credential: NewCredential,
    write: Option<PathBuf>,
) -> anyhow::Result<ExitCode> {
    // What may be wrong is found before anything is made.
    let certificate = credential.certificate.as_deref().map(public_certificate).transpose()?;
    let token = desk.tokens.graph(&desk.settings).await?;
    let tenant = desk.tenant_id().await?;
    let uris = desk.settings.redirect_uris();
    let (registered, principal) = register::create(&desk.operator, name, &uris, adopt, &token).await?;
    let mut values =
        vec![("AZURE_TENANT_ID", tenant.to_string()), ("AZURE_CLIENT_ID", registered.client_id.to_string())];
    let mut password = None;
    if let (Some(file), Some(certificate)) = (&credential.certificate, &certificate) {
        register::add_certificate(&desk.operator, registered.client_id, certificate, &token).await?;
        let signs = std::fs::read(file).is_ok_and(|it| Certificate::read(&it, "", SigningAlgorithm::default()).is_ok());
        if signs {
            values.push(("AZURE_CLIENT_CERTIFICATE_PATH", std::path::absolute(file)?.display().to_string()));
        } else {
            eprintln!("Set AZURE_CLIENT_CERTIFICATE_PATH to the file that has the private key too.");
        }
    } else if let Some(identity) = credential.managed_identity {
        let federation = desk.managed_identity(tenant, identity);
        register::federate(&desk.operator, &registered, &federation, &token).await?;
        eprintln!(
            "Set MANAGED_IDENTITY_CLIENT_ID to the identity's client id (not its principal id) in the Functions app."
        );
    } else {
        let ends_at = ends_in(credential.secret_days.unwrap_or(180));
        let secret = register::add_secret(&desk.operator, &registered, ends_at, &token).await?;
        values.push(("AZURE_CLIENT_SECRET", secret.expose_secret().to_owned()));
        values.push(("AZURE_CLIENT_SECRET_EXPIRES", day(ends_at)));
        password = Some(secret);
    }
    if let Some(file) = &write {
        register::write_settings(file, &values).with_context(|| file.display().to_string())?;
        eprintln!("{} has the settings of the registration.", file.display());
    }
    eprintln!("Service principal in the partner's tenant: {principal}");
    // What was written to a file is not shown as well.
    let shown = password.as_ref().filter(|_| write.is_none()).map(|secret| secret.expose_secret());
    output::json(&register::printed(&registered, name, tenant, shown))?;
    Ok(ExitCode::SUCCESS)
}

async fn check(desk: &mut Desk) -> anyhow::Result<ExitCode> {
    let token = desk.tokens.graph(&desk.settings).await?;
    let id = desk.client_id()?;
    let tenant = desk.tenant_id().await?;
    let registered = register::registered(&desk.operator, id, &token).await?;
    let federated = desk.operator.federated_credentials(registered.object_id, &token).await?;
    let principal = desk.operator.service_principal(id, &token).await?;
    let uris = desk.settings.redirect_uris();
    let findings = register::compare(
        &register::Known {
            registered: &registered.document,
            federated: &federated,
            principal: principal.map(|(_, enabled)| enabled),
            redirect_uris: &uris,
            credential: desk.settings.credential.as_ref(),
            federation: &desk.managed_identity(tenant, uuid::Uuid::nil().into()),
        },
        SystemClock.now(),
    );
    crate::doctor::report(findings.into_iter().map(Into::into).collect(), desk.json)
}

fn accept(file: &std::path::Path, write: &std::path::Path) -> anyhow::Result<ExitCode> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    // serde's words may repeat what it read, which may be the secret.
    let wrong =
        || WrongInput("not what `az ad sp create-for-rbac` prints: appId, displayName, password, tenant".to_owned());
    let printed: register::Printed = serde_json::from_str(&text).map_err(|_| wrong())?;
    let mut values =
        vec![("AZURE_TENANT_ID", printed.tenant.to_string()), ("AZURE_CLIENT_ID", printed.app_id.to_string())];
    values.extend(printed.password.map(|password| ("AZURE_CLIENT_SECRET", password)));
    register::write_settings(write, &values).with_context(|| write.display().to_string())?;
    println!(
        "{} has the settings of application {}; `register check` sees whether it is right",
        write.display(),
        printed.app_id
    );
    Ok(ExitCode::SUCCESS)
}

async fn add_secret(desk: &mut Desk, days: u16, write: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let token = desk.tokens.graph(&desk.settings).await?;
    let id = desk.client_id()?;
    let tenant = desk.tenant_id().await?;
    let registered = register::registered(&desk.operator, id, &token).await?;
    let ends_at = ends_in(days);
    let secret = register::add_secret(&desk.operator, &registered, ends_at, &token).await?;
    let name = registered.document["displayName"].as_str().unwrap_or_default().to_owned();
    match write {
        Some(file) => {
            let values = [
                ("AZURE_CLIENT_SECRET", secret.expose_secret().to_owned()),
                ("AZURE_CLIENT_SECRET_EXPIRES", day(ends_at)),
            ];
            register::write_settings(&file, &values).with_context(|| file.display().to_string())?;
            eprintln!("{} has the new secret, until {}.", file.display(), day(ends_at));
            output::json(&register::printed(&registered, &name, tenant, None))?;
        }
        None => output::json(&register::printed(&registered, &name, tenant, Some(secret.expose_secret())))?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn assign(
    desk: &mut Desk,
    role: AssignedRole,
    scope: &str,
    principal: Option<ObjectId>,
) -> anyhow::Result<ExitCode> {
    let scope =
        register::scope(scope).ok_or_else(|| WrongInput(format!("{scope:?} is no scope of Resource Manager")))?;
    let principal = match principal {
        Some(principal) => principal,
        None if desk.tokens.are_from_stdin() => {
            return Err(WrongInput("--principal is needed beside --access-token-stdin".to_owned()).into());
        }
        None => {
            let id = desk.client_id()?;
            let token = desk.tokens.graph(&desk.settings).await?;
            let found = desk.operator.service_principal(id, &token).await?;
            found.with_context(|| format!("{id} has no service principal; run `register create --adopt`"))?.0
        }
    };
    let token = desk.tokens.manager(&desk.settings).await?;
    let tenant = desk.tenant_id().await?;
    let (name, body) = register::assignment(&desk.settings.cloud, tenant, &scope, role, principal);
    let made = desk.operator.assign_role(&scope, name, &body, &token).await?;
    done(made, &format!("role {} at {scope}", role.name()))
}

impl From<Role> for AssignedRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Reader => Self::Reader,
            Role::MonitoringMetricsPublisher => Self::MonitoringMetricsPublisher,
        }
    }
}
