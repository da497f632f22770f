//! The door of AWS Lambda.

use std::collections::BTreeMap;

use anyhow::Context as _;
use health_monitor::app::App;
use health_monitor::hosts::lambda::Lambda;
use health_monitor::hosts::{aws, sqs};
use health_monitor::outside::{Outside, SystemClock, http_client};
use health_monitor::settings::{Door, LogSettings, Settings, SettingsSecret};
use health_monitor::{store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let more = match SettingsSecret::from_env()? {
        Some(secret) => {
            aws::secret::read(&http_client()?, &SystemClock, &secret).await.context("SETTINGS_SECRET_ID")?
        }
        None => BTreeMap::new(),
    };
    telemetry::init(&LogSettings::from_env_and(&more)?).map_err(anyhow::Error::from_boxed)?;
    let settings = Settings::from_env_and(Door::Lambda, more)?;
    let own = settings.aws.clone().context("the Lambda door reads AWS settings")?;
    let backend = store::open(&settings.store).context("cannot open the store")?;
    let outside = Outside::real(backend)?;
    let queues = sqs::Queue::all(&outside.http, &outside.clock, &own);
    let app = App::new(settings, outside);
    Lambda::new(app, queues).run().await.map_err(anyhow::Error::from_boxed)
}
