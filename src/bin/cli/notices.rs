//! The delivery log, and sending anew.

use std::process::ExitCode;

use health_monitor::model::NoticeId;
use health_monitor::notify::log::{self, ReplayError, State};
use serde_json::json;

use crate::Common;
use crate::output::{self, WrongInput};

/// What to do with notices.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Action {
    /// Show what waits, what was delivered, or what was given up
    List {
        /// pending, delivered or dead
        #[arg(long, default_value = "pending", value_parser = state)]
        state: State,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        top: usize,
    },
    /// Send notices anew that were given up
    Replay {
        /// These
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        ids: Vec<NoticeId>,
        /// All
        #[arg(long)]
        all: bool,
        /// All of this channel
        #[arg(long, requires = "all")]
        channel: Option<String>,
    },
}

fn state(word: &str) -> Result<State, String> {
    State::of_word(word).ok_or_else(|| "the states are pending, delivered and dead".to_owned())
}

pub async fn run(common: &Common, action: Action) -> anyhow::Result<ExitCode> {
    let app = output::app(common)?;
    match action {
        Action::List { state, top } => {
            let mut page = log::page(&app, state, top.max(1), None).await?;
            // People look for the newest.
            page.entries.sort_by_key(|entry| std::cmp::Reverse(entry.ended_at.or(entry.due_at)));
            if common.json {
                output::json(&json!({ "value": page.entries, "more": page.next.is_some() }))?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut table = output::table(&["Notice", "State", "Channel", "Story", "Tries", "When", "Answer"]);
            for entry in &page.entries {
                table.add_row([
                    entry.id.to_string(),
                    entry.state.clone(),
                    entry.channel.clone(),
                    format!("{}: {}", entry.word, entry.title),
                    entry.attempts.to_string(),
                    output::time(entry.ended_at.or(entry.due_at)),
                    entry.detail.clone().unwrap_or_default(),
                ]);
            }
            match (page.entries.is_empty(), state) {
                (false, _) => println!("{table}"),
                (true, State::Pending) => println!("No notice waits."),
                (true, State::Delivered) => println!("No notice was delivered yet."),
                (true, State::Dead) => println!("No notice was given up."),
            }
            if page.next.is_some() {
                println!("There are more; --top shows them.");
            }
        }
        Action::Replay { ids, all, channel } => {
            let mut replayed = 0;
            if all {
                replayed = log::replay_all(&app, channel.as_deref()).await?;
            }
            for id in ids {
                match log::replay(&app, id).await {
                    Err(error @ ReplayError::NotFound(_)) => return Err(WrongInput(error.to_string()).into()),
                    other => other?,
                }
                replayed += 1;
            }
            match common.json {
                true => output::json(&json!({ "replayed": replayed }))?,
                false => {
                    println!("{} to send anew, with the next run of the timer.", output::count(replayed, "notice"))
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
