//! `metrics publish`: custom metrics of Azure Monitor, with our application's own identity.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use health_monitor::azure::{MetricDocument, MetricTarget, Region, ResourcePath, Series, Service, minute};
use health_monitor::daemon::{self, explain, health_metrics};
use health_monitor::model::Timestamp;
use health_monitor::outside::{Clock as _, SystemClock};
use health_monitor::query::standing;
use serde_json::json;

use crate::Common;
use crate::asking::{Asking, explained, patiently};
use crate::output::{self, WITH_GAPS, WrongInput};

const NEEDS: &str = "the role Monitoring Metrics Publisher on the resource";

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Publish values for a resource of your own
    Publish(Options),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["name", "health", "file"])))]
pub struct Options {
    /// The metric
    #[arg(long, requires = "value")]
    name: Option<String>,
    /// Its value now (several times for several measurements)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    value: Vec<f64>,
    /// A dimension with its value (several times for several)
    #[arg(long = "dimension", value_name = "NAME=VALUE", requires = "name")]
    dimensions: Vec<String>,
    /// What groups metrics
    #[arg(long, default_value = health_metrics::NAMESPACE)]
    namespace: String,
    /// When it was measured; now without it
    #[arg(long, value_name = "RFC3339", requires = "name")]
    time: Option<Timestamp>,
    /// The health of all customers, as it is kept
    #[arg(long, conflicts_with = "parameters")]
    health: bool,
    /// Documents in Azure's own shape, one or one per line; - reads standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The resource's full id; HEALTH_METRICS_RESOURCE_ID without it
    #[arg(long, visible_alias = "resource", value_name = "ID", requires = "region")]
    resource_id: Option<ResourcePath>,
    /// The resource's region; HEALTH_METRICS_REGION without it
    #[arg(long, requires = "resource_id")]
    region: Option<Region>,
    /// Print what would be published, and publish nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    asking: Asking,
}

pub async fn run(common: &Common, task: Task) -> anyhow::Result<ExitCode> {
    let Task::Publish(options) = task;
    let documents = documents(common, &options).await?;
    if options.dry_run {
        for document in &documents {
            println!("{}", serde_json::to_string(document)?);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let caller = options.asking.caller(common).await?;
    let chosen = options.resource_id.clone().zip(options.region.clone());
    let target = chosen.map(|(resource, region)| MetricTarget { resource, region }).or_else(|| caller.metrics.clone());
    let target = target.ok_or_else(|| {
        WrongInput("--resource-id and --region name what metrics are published for (or HEALTH_METRICS_RESOURCE_ID and HEALTH_METRICS_REGION)".to_owned())
    })?;
    let job =
        async |patience: &mut daemon::Patience<'_>| daemon::publish(&caller.azure, &target, &documents, patience).await;
    let (result, waited) = patiently(&options.asking, NEEDS, job).await;
    let published = match result {
        Ok(published) => published,
        Err(error) => {
            let explain = |asker: &explain::Asker<'_>| explain::metrics(&error, asker);
            let tenant = caller.identity.tenant_id;
            return Err(explained(&error, &caller, tenant, Service::Metrics, waited, explain).await);
        }
    };
    for (metric, why) in &published.dropped {
        eprintln!("health-monitor: {metric} was dropped: {why}");
    }
    if common.json {
        let dropped: Vec<_> =
            published.dropped.iter().map(|(metric, why)| json!({"metric": metric, "reason": why})).collect();
        output::json(&json!({"published": published.documents, "requests": published.requests, "dropped": dropped}))?;
    } else {
        let metrics = output::count(published.documents, "metric");
        println!("{metrics} published for {} ({}).", target.resource, target.region);
    }
    Ok(match (published.dropped.is_empty(), published.documents) {
        (true, _) => ExitCode::SUCCESS,
        (false, 0) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(WITH_GAPS),
    })
}

async fn documents(common: &Common, options: &Options) -> anyhow::Result<Vec<MetricDocument>> {
    let now = SystemClock.now();
    if options.health {
        let app = output::app(common)?;
        return Ok(health_metrics::documents(&standing::all(&app).await?, minute(now)));
    }
    if let Some(name) = &options.name {
        let pairs: Vec<(&str, &str)> =
            options.dimensions.iter().map(|text| pair(text)).collect::<Result<_, WrongInput>>()?;
        let (names, values): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
        let series = |value: f64| Series::of(values.iter().map(|value| (*value).to_owned()).collect(), value);
        let mut all = options.value.iter().map(|value| series(*value));
        let mut whole = all.next().context("clap asks for a value")?;
        all.for_each(|one| whole.add(&one));
        let at = options.time.unwrap_or(now);
        return Ok(vec![MetricDocument::new(at, &options.namespace, name, &names, vec![whole])]);
    }
    let file = options.file.as_deref().context("clap asks for one of the three")?;
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    let documents: Result<Vec<MetricDocument>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    let wrong = |error| WrongInput(format!("{}: no documents of metrics: {error}", file.display()));
    Ok(documents.map_err(wrong)?)
}

fn pair(text: &str) -> Result<(&str, &str), WrongInput> {
    text.split_once('=').ok_or_else(|| WrongInput(format!("--dimension {text}: NAME=VALUE is expected")))
}
