//! The command line: run everything here, poll now, ask, check the set-up, build the package.

mod ask;
mod asking;
#[cfg(feature = "sandbox")]
mod bench;
mod connect;
#[cfg(feature = "sandbox")]
mod demo;
mod doctor;
mod logs;
mod measure_start;
mod metrics;
mod notices;
mod output;
mod package;
mod register;
#[cfg(feature = "sandbox")]
mod rehearse;
mod report;
mod routes;
mod run;
mod send_mail;
mod token;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use health_monitor::consent::invite::NewInvite;
use health_monitor::model::{AccessTier, SubscriptionId, TenantId};

/// Watches the Azure health of your customers with your own application identity.
#[derive(Debug, Parser)]
#[command(name = "health-monitor", bin_name = "health-monitor", version, about, after_help = EXIT_CODES)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done; 1 failed; 2 wrong arguments or settings; 3 done, but something could not be read.

Settings come from the environment and, below it, from the `Values` of local.settings.json (or --settings FILE). To try
everything without Azure, start `demo`; while it runs (or after it), point the other commands at it:
  --settings state/demo/local.settings.json";

#[derive(Debug, Clone, Args)]
struct Common {
    /// Settings file, in the shape of local.settings.json; the environment wins
    #[arg(long, global = true, value_name = "FILE", default_value = "local.settings.json")]
    settings: PathBuf,
    /// Print JSON for machines instead of tables
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything, live, against a simulated Azure: no account, no configuration, no network
    #[cfg(feature = "sandbox")]
    Demo(demo::Options),
    /// Run the whole product in this process: pages, API, timer and queues
    Serve {
        /// Where to listen
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7071")]
        listen: std::net::SocketAddr,
    },
    /// Ask a running `serve` on this machine whether it lives: exit code 0 or 1, as a container's health check wants it
    Probe {
        /// Where it listens
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7071")]
        listen: std::net::SocketAddr,
        /// Whether it is ready as well: store and credential usable, the timer not overdue
        #[arg(long)]
        ready: bool,
    },
    /// Poll customers now and say what changed
    Poll {
        /// Only these customers (tenant ids)
        tenants: Vec<TenantId>,
    },
    /// Show the health of a customer
    Health {
        /// The customer's tenant id
        tenant: TenantId,
        /// Only this subscription
        #[arg(long, value_name = "ID")]
        subscription: Option<SubscriptionId>,
        /// Read Azure now, before answering
        #[arg(long, requires = "subscription")]
        refresh: bool,
    },
    /// List the customers, each with its health in one word
    Customers {
        #[command(subcommand)]
        task: Option<connect::Task>,
    },
    /// List incidents: each tracking id over all customers
    Incidents {
        /// Resolved ones too
        #[arg(long)]
        all: bool,
    },
    /// Who is told of what: check, set, dry run, test
    Routes {
        #[command(subcommand)]
        task: routes::Task,
    },
    /// Make an invite and print its link
    Invite {
        /// What to call the customer
        label: String,
        /// Only this tenant may use it
        #[arg(long, value_name = "ID")]
        tenant: Option<TenantId>,
        /// Offer only this subscription (several times for several)
        #[arg(long = "subscription", value_name = "ID")]
        subscriptions: Vec<SubscriptionId>,
        /// Ask for more than the base: securityAdvisories, tenantEvents
        #[arg(long = "tier", value_name = "TIER", value_parser = ask::tier)]
        tiers: Vec<AccessTier>,
        /// How many days the link works
        #[arg(long, value_name = "DAYS", default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
    },
    /// List invites, the newest first
    Invites,
    /// Take an invite back
    Withdraw {
        /// The invite's id, as `invites` lists it
        id: String,
    },
    /// Show for how long a customer's services were impaired, per month, subscription, service and region
    Report(report::Options),
    /// Show what a customer granted, and how it is taken back
    Receipt {
        /// The customer's tenant id
        tenant: TenantId,
    },
    /// Stop watching a customer
    Offboard {
        /// The customer's tenant id
        tenant: TenantId,
        /// Erase everything that is kept of the customer
        #[arg(long)]
        erase: bool,
    },
    /// List the users of a tenant from Microsoft Graph, all pages, with our application's own identity
    Users(users::Options),
    /// Send a message through Microsoft Graph on behalf of a mailbox, with our application's own identity
    SendMail(send_mail::Options),
    /// Query Log Analytics with our application's own identity
    Logs {
        #[command(subcommand)]
        task: logs::Task,
    },
    /// Publish custom metrics of Azure Monitor with our application's own identity
    Metrics {
        #[command(subcommand)]
        task: Box<metrics::Task>,
    },
    /// Show the delivery log: what waits, was told, was given up; send anew
    Notices {
        #[command(subcommand)]
        action: notices::Action,
    },
    /// Check the set-up from end to end and say what to mend
    Doctor(token::Options),
    /// Make the partner's app registration, and check it later
    Register(register::Options),
    /// Build target/package and its zip: what Azure Functions (or, with --lambda, AWS) is given
    Package(package::Options),
    /// Measure how soon a built handler answers after its start, and its memory when idle
    MeasureStart(measure_start::Options),
    /// Run the simulated Azure alone, for integration tests of your own
    #[cfg(feature = "sandbox")]
    Sandbox(demo::SandboxOptions),
    /// Measure the engine against a loopback Azure with a fixed latency; use a release build
    #[cfg(feature = "sandbox")]
    Bench(bench::Options),
    /// Rehearse what may go wrong, in virtual time: prints a table
    #[cfg(feature = "sandbox")]
    Rehearse {
        /// faults: a crash at each boundary of a poll and a delivery; delivery: 10,000 notices and what may befall them
        #[arg(value_enum)]
        what: rehearse::What,
    },
}

/// Threads for work with files, which wait for the disk. Each has memory of its own, and hundreds would not make the disk faster.
const FILE_THREADS: usize = 16;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(FILE_THREADS).build();
    match runtime {
        Ok(runtime) => runtime.block_on(perform()),
        Err(error) => {
            eprintln!("health-monitor: no threads can be had: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn perform() -> ExitCode {
    output::end_with_the_reader();
    let Cli { common, command } = Cli::parse();
    let done = match command {
        #[cfg(feature = "sandbox")]
        Command::Demo(options) => demo::run(options).await,
        Command::Serve { listen } => run::serve(&common, listen).await,
        Command::Probe { listen, ready } => run::probe(listen, ready).await,
        Command::Poll { tenants } => run::poll(&common, tenants).await,
        Command::Health { tenant, subscription, refresh } => ask::health(&common, tenant, subscription, refresh).await,
        Command::Customers { task: None } => ask::customers(&common).await,
        Command::Customers { task: Some(task) } => connect::run(&common, task).await,
        Command::Incidents { all } => ask::incidents(&common, all).await,
        Command::Routes { task } => routes::run(&common, task).await,
        Command::Register(options) => register::run(&common, options).await,
        Command::Invite { label, tenant, subscriptions, tiers, days } => {
            let wanted = NewInvite {
                label,
                tenant,
                subscriptions: subscriptions.into_iter().collect(),
                tiers: tiers.into_iter().collect(),
            };
            ask::invite(&common, wanted, days).await
        }
        Command::Invites => ask::invites(&common).await,
        Command::Withdraw { id } => ask::withdraw(&common, &id).await,
        Command::Report(options) => report::run(&common, options).await,
        Command::Receipt { tenant } => ask::receipt(&common, tenant).await,
        Command::Offboard { tenant, erase } => ask::offboard(&common, tenant, erase).await,
        Command::Users(options) => users::run(&common, options).await,
        Command::SendMail(options) => send_mail::run(&common, options).await,
        Command::Logs { task } => logs::run(&common, task).await,
        Command::Metrics { task } => metrics::run(&common, *task).await,
        Command::Doctor(options) => match options.token {
            Some(which) => token::run(&common, options, which).await,
            None if options.has_parameters() => {
                Err(output::WrongInput("--parameters goes with --token SERVICE".to_owned()).into())
            }
            None => doctor::run(&common).await,
        },
        Command::Notices { action } => notices::run(&common, action).await,
        #[cfg(feature = "sandbox")]
        Command::Rehearse { what } => rehearse::run(&common, what).await,
        Command::Package(options) => package::run(&common, options),
        Command::MeasureStart(options) => measure_start::run(&common, &options),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => demo::sandbox(options).await,
        #[cfg(feature = "sandbox")]
        Command::Bench(options) => bench::run(&common, options).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            let faulty_input = error.is::<health_monitor::settings::Faults>() || error.is::<output::WrongInput>();
            eprintln!("health-monitor: {error:#}");
            if error.is::<health_monitor::settings::Faults>() && !common.settings.exists() {
                let file = common.settings.display();
                eprintln!(
                    "There is no {file}: `register create --write {file}` makes it. After `demo`: --settings state/demo/local.settings.json"
                );
            }
            ExitCode::from(if faulty_input { 2 } else { 1 })
        }
    }
}
