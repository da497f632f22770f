//! The door of the Azure Functions custom handler.

use anyhow::Context as _;
use health_monitor::app::App;
use health_monitor::outside::Outside;
use health_monitor::settings::{Door, LogSettings, Settings, handler_port};
use health_monitor::{hosts, store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // First of all: the host knocks each 25 ms.
    let port = handler_port()?;
    let listener = hosts::functions::bind(port).await.with_context(|| format!("cannot listen on port {port}"))?;
    telemetry::init(&LogSettings::from_env()?).map_err(anyhow::Error::from_boxed)?;
    let settings = Settings::from_env(Door::Functions)?;
    let backend = store::open(&settings.store).with_context(|| "cannot open the store")?;
    let app = App::new(settings, Outside::real(backend)?);
    hosts::functions::serve(app, listener).await;
    // The host never restarts a handler that ends with 0.
    anyhow::bail!("the server has ended")
}
