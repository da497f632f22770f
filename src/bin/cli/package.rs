//! The packages that hosts are given: built, put together, zipped and checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use health_monitor::package::{self, BOOTSTRAP, Door, Finding, HANDLER, Machine, TARGET, Wanted};
use serde_json::json;

use crate::Common;
use crate::output;

/// How to package.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Package for AWS Lambda instead: target/lambda/bootstrap and target/lambda.zip
    #[arg(long)]
    lambda: bool,
    /// Look at what is there, and build nothing
    #[arg(long, conflicts_with = "handler")]
    check: bool,
    /// Where to put it [default: target/package, with --lambda target/lambda]; the zip is put beside it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The Rust target; its std must be installed
    #[arg(long, value_name = "TRIPLE", default_value = TARGET)]
    target: String,
    /// Take this handler instead of building one, for `func start` on this machine: no zip, nothing that could be deployed
    #[arg(long, value_name = "FILE")]
    handler: Option<PathBuf>,
}

pub fn run(common: &Common, options: Options) -> anyhow::Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (door, name, folder, zip) = match options.lambda {
        false => (Door::Functions, HANDLER, "target/package", "azure-health-partner-monitor.zip"),
        true => (Door::Lambda, BOOTSTRAP, "target/lambda", "lambda.zip"),
    };
    let out = options.out.unwrap_or_else(|| folder.into());
    let zip = out.with_file_name(zip);
    let to_deploy = options.handler.is_none();
    if !options.check {
        let handler = match options.handler {
            Some(handler) => handler,
            None => package::build(root, door, &options.target)?,
        };
        let bom = package::bom(root, door, &options.target, &handler).context("the bill of materials")?;
        match door {
            Door::Functions => package::assemble(&out, &handler, &bom),
            Door::Lambda => package::assemble_lambda(&out, &handler, &bom),
        }
        .context("the package")?;
        if to_deploy {
            package::zip(&out, &zip).context("the zip")?;
        }
    }

    let mut checks = Vec::new();
    if door == Door::Functions {
        checks.push(package::check(&out));
    }
    if to_deploy {
        let machine = if options.target.starts_with("aarch64") { Machine::Aarch64 } else { Machine::X86_64 };
        let places = package::places(root);
        let places: Vec<_> = places.iter().map(PathBuf::as_path).collect();
        let limits = door.limits();
        checks.push(package::check_handler(&out, Wanted { name, machine, most: limits.handler, places: &places }));
        checks.push(package::check_zip(&zip, &out, limits.zip));
    }
    let findings: Vec<Finding> = checks.into_iter().filter_map(Result::err).flatten().collect();
    if !findings.is_empty() {
        let lines: Vec<_> = findings.iter().map(|finding| format!("\n  {finding}")).collect();
        anyhow::bail!("{} is no package to deploy:{}", out.display(), lines.concat());
    }
    let size = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.len()).ok();
    let (handler, zipped) = (size(&out.join(name)).unwrap_or_default(), size(&zip).filter(|_| to_deploy));
    if common.json {
        let zip = zipped.map(|_| &zip);
        output::json(&json!({"directory": out, "handlerBytes": handler, "zip": zip, "zipBytes": zipped}))?;
    } else {
        println!("{}: handler of {:.1} MB", out.display(), megabytes(handler));
        if let Some(bytes) = zipped {
            println!("{}: {:.2} MB", zip.display(), megabytes(bytes));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
