//! Watches the Azure health of many customers with a partner's own application identity.
//!
//! The rooms, in reading order: [`model`] (the words), [`settings`] and [`outside`] (what comes in), [`app`] (the parts,
//! wired once), [`functions`] (the function.json files as data), [`azure`] (all that is said to Azure), [`store`]
//! (documents), the uses [`consent`], [`poll`] and [`query`], what the world sees ([`api`], [`pages`]) and the [`hosts`].
//! [`telemetry`] writes the logs, `package` makes the deployable packages.

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
