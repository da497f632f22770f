//! The tree tests itself: what must stay together stays together, and who may know whom holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use health_monitor::functions::{FILES, Functions, HOST_JSON, Trigger, parse_schedule};
use health_monitor::hosts::work::{DEADLINE, NOTICES, POLLS, Work};
use health_monitor::settings;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_embedded_functions_are_the_folders_on_disk() {
    let mut on_disk = Vec::new();
    for entry in fs::read_dir(root().join("functions")).unwrap() {
        let entry = entry.unwrap();
        let files: Vec<_> = fs::read_dir(entry.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["function.json"], "{:?} holds its function.json only", entry.path());
        let text = fs::read_to_string(entry.path().join("function.json")).unwrap();
        on_disk.push((entry.file_name().into_string().unwrap(), text));
    }
    on_disk.sort();
    let embedded: Vec<_> = FILES.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
    assert_eq!(embedded, on_disk);
    assert_eq!(HOST_JSON, fs::read_to_string(root().join("host.json")).unwrap());
}

#[test]
fn every_timer_and_queue_function_has_its_work_and_every_queue_its_two_ends() {
    let functions = Functions::embedded();
    let mut read = BTreeSet::new();
    let mut written = BTreeSet::new();
    for function in &functions.list {
        written.extend(function.outputs.iter().map(|output| output.queue.clone()));
        match &function.trigger {
            Trigger::Http { .. } => {}
            Trigger::Timer { schedule, .. } => {
                let work = Work::of_timer(&function.name).expect("the timer has its work");
                assert_eq!(work.function(), function.name);
                let setting = schedule.trim_matches('%');
                let (_, example) = settings::NAMES.iter().find(|(name, _)| *name == setting).expect("it is a setting");
                parse_schedule(example).unwrap();
            }
            Trigger::Queue { queue, .. } => {
                read.insert(queue.clone());
                assert!(Work::of_message(&function.name, "{}").is_some(), "{} has no work", function.name);
            }
        }
    }
    assert_eq!(read, written, "what is written is read, and the reverse");
    assert_eq!(read, BTreeSet::from([NOTICES.to_owned(), POLLS.to_owned()]));
}

#[test]
fn routes_are_disjoint_and_below_their_prefix() {
    let functions = Functions::embedded();
    assert_eq!(functions.host.route_prefix, "api");
    let routes: Vec<_> = functions
        .list
        .iter()
        .filter_map(|function| match &function.trigger {
            Trigger::Http { route, .. } => Some((&function.name, route)),
            _ => None,
        })
        .collect();
    for (index, (name, route)) in routes.iter().enumerate() {
        for (other_name, other) in &routes[index + 1..] {
            assert!(!route.overlaps(other), "{name} and {other_name} overlap");
        }
    }
}

#[test]
fn nothing_is_served_without_a_function() {
    let functions = Functions::embedded();
    let first = |route: String| route.split('/').next().unwrap_or_default().to_owned();
    let allowed: BTreeSet<String> = functions
        .list
        .iter()
        .filter_map(|function| match &function.trigger {
            Trigger::Http { route, .. } => Some(first(route.to_string())),
            _ => None,
        })
        .collect();
    let mut served = BTreeSet::new();
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("api") || path.starts_with("pages")) {
        // The two ways in which routes are written: path!("api" / "v1" / ..) and path("api").and(warp::path("consent")).
        for start in ["path!(", "path(\"api\").and(warp::path("] {
            for (at, _) in text.match_indices(start) {
                let rest = text[at + start.len()..].trim_start().trim_start_matches("\"api\" / ");
                let segment = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
                // Routes below another filter's prefix begin with that prefix.
                if let Some(segment) = segment.filter(|_| start != "path!(" || text[at..].starts_with("path!(\"api\""))
                {
                    assert!(allowed.contains(segment), "{path} serves api/{segment}, which no function has");
                    served.insert(segment.to_owned());
                }
            }
        }
    }
    assert_eq!(served, allowed, "every function has its routes");
}

#[test]
fn we_give_a_call_up_before_the_host_does() {
    // The host kills the whole process at its own deadline: ours leaves it time to hear our answer.
    assert!(DEADLINE + std::time::Duration::from_secs(60) <= Functions::embedded().host.function_timeout);
}

/// Every source file below `src`, with its path from there and its text without comments.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    let without_comments =
        |text: String| text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let read = |path: &PathBuf| without_comments(fs::read_to_string(path).unwrap());
    found.iter().map(|path| (path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned(), read(path))).collect()
}

/// Fails when a file outside `rooms` (prefixes of paths) uses `word` as a path.
fn only(word: &str, rooms: &[&str]) {
    let sources = sources();
    let names = |text: &str| {
        text.match_indices(word).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '"'))
        })
    };
    assert!(sources.iter().any(|(_, text)| names(text)), "nobody uses {word}: the rule is out of date");
    let strangers: Vec<_> = sources
        .iter()
        .filter(|(path, text)| names(text) && !rooms.iter().any(|room| path.starts_with(room)))
        .map(|(path, _)| path)
        .collect();
    assert!(strangers.is_empty(), "{word} is used outside {rooms:?}: {strangers:?}");
}

#[test]
fn only_the_rooms_that_may_do_it_speak_http() {
    only("warp::", &["api", "pages", "hosts", "sandbox"]);
    // hosts/aws and hosts/sqs are what Lambda's host needs of AWS: its secret, and its queues as Storage queues are the Functions host's.
    // outside.rs makes the one client, app.rs hands it on.
    // notify/channel sends to destinations that are not Azure, through its guard; notify/dead_man calls one address that is set.
    // telemetry/otlp exports spans to the collector that is set.
    let rooms = [
        "azure",
        "hosts/aws",
        "hosts/sqs",
        "notify/channel",
        "notify/dead_man",
        "outside.rs",
        "sandbox",
        "telemetry/otlp",
    ];
    only("reqwest::", &rooms);
}

#[test]
fn only_the_store_names_object_store_and_only_doors_use_anyhow() {
    only("object_store::", &["store"]);
    only("anyhow::", &["bin"]);
}

#[test]
fn the_model_knows_nobody() {
    const OTHERS: [&str; 12] = [
        "api",
        "app",
        "azure",
        "consent",
        "functions",
        "hosts",
        "outside",
        "pages",
        "poll",
        "query",
        "settings",
        "store",
    ];
    for (path, text) in sources().iter().filter(|(path, _)| path.starts_with("model")) {
        for other in OTHERS {
            assert!(!text.contains(&format!("crate::{other}")), "{path} knows {other}");
        }
        assert!(!text.contains("async fn"), "{path} has async code");
    }
}

#[test]
fn the_uses_do_not_know_the_hosts_and_the_public_rooms_do_not_know_payloads() {
    for (path, text) in sources() {
        let is_door = ["hosts", "bin", "sandbox", "lib.rs"].iter().any(|room| path.starts_with(room));
        assert!(is_door || !text.contains("crate::hosts"), "{path} knows the hosts");
    }
}
