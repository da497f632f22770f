//! Who is told of what: check, show and set routes, run them over the past, send a test.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Subcommand;
use health_monitor::app::App;
use health_monitor::model::Routes;
use health_monitor::notify::dry_run::{self, DryRun};
use health_monitor::notify::{trial, validate};
use health_monitor::store::{self, Key, Versioned};
use serde_json::json;

use crate::Common;
use crate::output::{self, WrongInput, word};

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Print the routes and channels as they are stored
    Show,
    /// Check a file with routes: every fault with its place, what was found and what would be right
    Check {
        /// The file (JSON), or - for standard input
        file: PathBuf,
    },
    /// Check a file with routes and put it in the place of the stored ones; nothing changes when it has a fault
    Set {
        /// The file (JSON), or - for standard input
        file: PathBuf,
    },
    /// Show what routes would have told, and to whom, of what happened in the last days; nothing is sent
    DryRun {
        /// Routes from this file (JSON) instead of the stored ones
        file: Option<PathBuf>,
        /// How many days to look back
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
        days: u16,
    },
    /// Send a test to each channel of a route
    Test {
        /// The route's id
        route: String,
    },
}

pub async fn run(common: &Common, task: Task) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    match task {
        Task::Show => show(&app).await,
        Task::Check { file } => {
            let routes = read(&app, &file)?;
            if common.json {
                output::json(&json!({"channels": routes.channels.len(), "routes": routes.routes.len()}))?;
            } else {
                println!("{} channels and {} routes, no fault.", routes.channels.len(), routes.routes.len());
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Set { file } => set(&app, &file).await,
        Task::DryRun { file, days } => {
            let routes = match file {
                Some(file) => read(&app, &file)?,
                None => stored(&app).await?.map(|known| known.value).unwrap_or_default(),
            };
            let run = dry_run::dry_run(&app, &routes, days).await?;
            if common.json {
                output::json(&run)?
            } else {
                print(&run)
            }
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { route } => test(common, &app, &route).await,
    }
}

async fn stored(app: &App) -> Result<Option<Versioned<Routes>>, store::Error> {
    app.store.read::<Routes>(&Key::Routes).await
}

async fn show(app: &App) -> anyhow::Result<ExitCode> {
    let routes = stored(app).await?.map(|known| known.value).unwrap_or_default();
    // The document is for machines and for `set` in any case.
    output::json(&routes)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads and checks a file. Faults are wrong input.
fn read(app: &App, file: &Path) -> anyhow::Result<Routes> {
    let name = file.display();
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).context("standard input")?.into_bytes(),
        false => std::fs::read(file).map_err(|error| WrongInput(format!("{name}: {error}")))?,
    };
    let wire = trial::wire(app);
    let checked = validate::parse(&text, |channel, config| trial::faults(channel, config, &wire));
    checked.map_err(|faults| {
        let lines: Vec<_> = faults.0.iter().map(|fault| format!("\n  {fault}")).collect();
        WrongInput(format!("{name}: nothing was changed{}", lines.concat())).into()
    })
}

async fn set(app: &App, file: &Path) -> anyhow::Result<ExitCode> {
    let known = stored(app).await?;
    let routes = read(app, file)?;
    match &known {
        Some(known) => app.store.replace(&Key::Routes, known, &routes).await,
        None => app.store.create(&Key::Routes, &routes).await,
    }
    .context("the routes")?;
    println!("{} channels and {} routes hold from now on.", routes.channels.len(), routes.routes.len());
    Ok(ExitCode::SUCCESS)
}

fn print(run: &DryRun) {
    if !run.notices.is_empty() {
        let mut table = output::table(&["Found", "Told from", "Route", "Channel", "To", "What", "Severity", "Title"]);
        for line in &run.notices {
            let to = line.customer.map_or_else(|| "partner".to_owned(), |tenant| tenant.to_string());
            table.add_row([
                output::time(Some(line.at)),
                output::time(Some(line.not_before)),
                line.route.clone(),
                line.channel.clone(),
                to,
                line.word.clone(),
                word(&line.severity),
                line.title.clone(),
            ]);
        }
        println!("{table}");
        if run.more {
            println!("... and more; the counts below are of all.");
        }
    }
    println!(
        "From {} to {}: {} transitions, of which {} are history that nobody is told.",
        output::time(Some(run.from)),
        output::time(Some(run.to)),
        run.transitions,
        run.history
    );
    for heard in &run.destinations {
        let notices = output::count(heard.notices, "notice");
        println!("  {} to {}: {notices} in {}", heard.route, heard.channel, output::count(heard.messages, "message"));
    }
    for route in &run.silent_routes {
        println!("  {route} would have told nothing");
    }
    for (word, count) in &run.untold {
        println!("  told to nobody: {count} {word}");
    }
    if run.forgotten > 0 {
        println!(
            "  {} are of events that are forgotten by now: whether their services, regions or tags match cannot be said",
            run.forgotten
        );
    }
}

async fn test(common: &Common, app: &Arc<App>, route: &str) -> anyhow::Result<ExitCode> {
    let trials = match trial::send(app, route).await {
        Err(error @ trial::Error::NoRoute(_)) => {
            return Err(WrongInput(format!("{error}; `routes show` has them")).into());
        }
        other => other?,
    };
    let taken = trials.iter().all(|trial| trial.taken);
    if common.json {
        output::json(&json!({"value": trials, "taken": taken}))?;
    } else {
        let mut table = output::table(&["Channel", "Kind", "Taken", "Answer"]);
        for trial in &trials {
            let taken = if trial.taken { "yes" } else { "no" };
            table.add_row([trial.channel.clone(), trial.kind.clone(), taken.to_owned(), trial.detail.clone()]);
        }
        println!("{table}");
    }
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
