//! Watches the Azure health of many customers with a partner's own application identity.
//!
//! The programs beside it (a Functions handler, a Lambda, a command line) are thin doors; whatever they do can be done from
//! another program. The rooms, in reading order:
//!
//! | room | is for |
//! |---|---|
//! | [`model`] | the words: customer, event, snapshot, transition, notice. No IO |
//! | [`settings`], [`outside`] | what comes in: variables; clock, randomness, the HTTP client |
//! | [`app`] | the parts, wired once |
//! | [`functions`] | the function.json files as data |
//! | [`azure`] | all that is said to Azure |
//! | [`store`] | documents: directory, memory, Azure Blob, S3 |
//! | [`consent`], [`poll`], [`query`], [`history`], [`notify`], [`life`], [`daemon`], [`register`] | the uses |
//! | [`api`], [`pages`], [`hosts`], [`limits`] | what the world sees, and how work arrives |
//! | [`telemetry`], `package` | logs and traces; the deployable packages |
//!
//! With the feature `sandbox` (on by default) there are a simulated Azure and rehearsals too: `sandbox`, `rehearsal`.
//!
//! # The product in another program
//!
//! Settings come from any lookup, time and randomness from whoever you pass. Nothing is read from the environment or kept in
//! globals, so there may be several in one process.
//!
//! ```
//! use std::sync::Arc;
//!
//! use health_monitor::app::App;
//! use health_monitor::outside::{Outside, SystemClock, SystemRandom, http_client};
//! use health_monitor::query::{self, page::PageAsk};
//! use health_monitor::settings::{Door, Settings};
//! use health_monitor::store::Memory;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = Settings::from_lookup(Door::Standalone, |name| {
//!     let value = match name {
//!         "AZURE_TENANT_ID" => "00000000-0000-4000-8000-00000000aaaa",
//!         "AZURE_CLIENT_ID" => "00000000-0000-4000-8000-00000000cccc",
//!         "AZURE_CLIENT_SECRET" => "not-a-real-secret",
//!         "SESSION_KEYS" => "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
//!         "STATE_STORE_URL" => "memory:",
//!         _ => return None,
//!     };
//!     Some(value.to_owned())
//! })?;
//! let outside = Outside {
//!     clock: Arc::new(SystemClock),
//!     random: Arc::new(SystemRandom),
//!     http: http_client()?,
//!     backend: Arc::new(Memory::default()),
//! };
//! let app = App::new(settings, outside);
//! let customers = query::customers(&app, &PageAsk::default()).await?;
//! assert!(customers.page.rows.is_empty() && customers.known.coverage.complete);
//! # Ok(())
//! # }
//! ```
//!
//! From here [`poll::poll_tenant`] polls one customer, [`hosts::standalone`] runs everything, [`api::routes`] and
//! [`pages::routes`] are warp filters for a server of your own. `examples/watch_one_customer.rs` goes the whole way: a customer
//! comes in, an outage begins, and the message that tells of it is shown.
//!
//! # Parts by themselves
//!
//! What decides is pure and needs no app. Routes that somebody wrote, read with every fault at once:
//!
//! ```
//! use health_monitor::notify::validate;
//! use serde_json::json;
//!
//! let wanted = json!({
//!     "channels": { "ops": { "kind": "teams", "urlSetting": "NOTIFY_TEAMS_OPS" } },
//!     "routes": [{ "id": "everything", "audience": "partner", "channels": ["opps"] }],
//! });
//! let faults = validate::routes(&wanted, |_, _| Vec::new()).expect_err("there is no such channel");
//! assert!(faults.to_string().contains("did you mean ops?"));
//! ```
//!
//! The same holds for [`poll::diff`], [`history::report`] and [`notify::render`].

pub mod api;
pub mod app;
pub mod azure;
pub mod consent;
pub mod daemon;
pub mod functions;
pub mod history;
pub mod hosts;
pub mod life;
pub mod limits;
pub mod model;
pub mod notify;
pub mod outside;
#[cfg(feature = "cli")]
pub mod package;
pub mod pages;
pub mod poll;
pub mod query;
pub mod register;
#[cfg(feature = "sandbox")]
pub mod rehearsal;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod settings;
pub mod store;
pub mod telemetry;
