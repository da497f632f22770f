//! The door of AWS Lambda.

use anyhow::Context as _;
use health_monitor::app::App;
use health_monitor::hosts::lambda::Lambda;
use health_monitor::hosts::sqs;
use health_monitor::outside::Outside;
use health_monitor::settings::{Door, LogSettings, Settings};
use health_monitor::{store, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init(&LogSettings::from_env()?).map_err(anyhow::Error::from_boxed)?;
    let settings = Settings::from_env(Door::Lambda)?;
    let aws = settings.aws.clone().context("the Lambda door reads AWS settings")?;
    let backend = store::open(&settings.store).context("cannot open the store")?;
    let outside = Outside::real(backend)?;
    let queues = sqs::Queue::all(&outside.http, &outside.clock, &aws);
    let app = App::new(settings, outside);
    Lambda::new(app, queues).run().await.map_err(anyhow::Error::from_boxed)
}
