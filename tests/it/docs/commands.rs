//! Every command of the documentation: those against the demo are run, those that need more are read by the command line's
//! own parser. What is not run is listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Block, cli_page, pages};
use crate::cli::{Demo, cli};

/// The lines of a block that are commands: continued lines joined, without comments.
fn lines(block: &Block) -> Vec<String> {
    let joined = block.text.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// True for a block that works with what only a cloud, a container or an init system has, whether it is marked or not.
fn needs_more(block: &Block) -> bool {
    // What builds, measures or goes on for ever.
    const LONG: [&str; 7] = ["demo", "serve", "sandbox", "bench", "rehearse", "package", "measure-start"];
    const TOOLS: [&str; 14] = [
        "az",
        "azd",
        "func",
        "sam",
        "aws",
        "gh",
        "git",
        "docker",
        "podman",
        "systemctl",
        "systemd-analyze",
        "sudo",
        "just",
        "bash",
    ];
    let tool = |line: &String| {
        let words = words(line);
        let first = words.iter().find(|word| !word.contains('=')).map(String::as_str).unwrap_or_default();
        let builds = first == "cargo" && words.get(1).is_some_and(|word| word != "run");
        let long = ours(line).is_some_and(|call| call.first().is_some_and(|command| LONG.contains(&command.as_str())));
        builds || long || TOOLS.contains(&first) || first.starts_with("infra/") || first.starts_with("./infra/")
    };
    block.kind.starts_with("sh ") || lines(block).iter().any(tool)
}

/// The words of a line as a shell splits them, up to a pipe, a redirection or a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), String::new(), None, false);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => (quote, any) = (Some(c), true),
            (None, '|' | '>' | ';' | '&') => break,
            (None, '#') if !any => break,
            (None, c) if c.is_whitespace() => {
                if any {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (_, c) => {
                word.push(c);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// What follows `cargo run --` or `health-monitor` in a line, if it is a call of ours.
fn ours(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    // Settings may stand before a command.
    let start = words.iter().position(|word| !word.contains('=') || word.starts_with('-'))?;
    let words = &words[start..];
    match words.first().map(String::as_str) {
        Some("health-monitor") => Some(words[1..].to_vec()),
        Some("cargo") if words.get(1).is_some_and(|word| word == "run") => {
            let dashes = words.iter().position(|word| word == "--")?;
            // Another of the package's programs has options of its own.
            (!words[..dashes].contains(&"--example".to_owned())).then(|| words[dashes + 1..].to_vec())
        }
        _ => None,
    }
}

/// True for what people fill in, such as `<app>`.
fn filled(arguments: &[String]) -> Vec<String> {
    let fill = |word: &String| match word.contains('<') {
        true => "00000000-0000-4000-8000-000000000001".to_owned(),
        false => word.clone(),
    };
    arguments.iter().map(fill).collect()
}

#[test]
fn every_command_and_option_is_one_that_the_program_takes() {
    let (mut read, mut faults) = (BTreeSet::new(), Vec::new());
    for page in pages() {
        let (blocks, prose) = page.parts();
        let calls = blocks.iter().filter(|block| block.kind.starts_with("sh")).flat_map(|block| {
            lines(block).into_iter().filter_map(|line| ours(&line)).map(|call| (block.line, call)).collect::<Vec<_>>()
        });
        let inline = prose.iter().flat_map(|(number, line)| {
            let codes = line.split('`').skip(1).step_by(2);
            codes.filter_map(ours).map(|call| (*number, call)).collect::<Vec<_>>()
        });
        for (line, call) in calls.chain(inline) {
            let call = filled(&call);
            // clap reads up to `--help`: an unknown command or option before it is refused.
            let output = cli().args(&call).arg("--help").output().expect("the command runs");
            if !output.status.success() {
                faults.push(format!("{}:{line}: {call:?}: {}", page.path, String::from_utf8_lossy(&output.stderr)));
            }
            read.insert(call);
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(read.len() > 25, "{} calls", read.len());
}

#[test]
fn every_command_is_on_the_page_of_commands_and_options_in_prose_are_known() {
    let everything = cli_page::everything();
    let page = pages().into_iter().find(|page| page.path == "docs/command-line.md").expect("the page");
    for (path, _) in everything.iter().filter(|(path, _)| path.len() == 1) {
        assert!(page.text.contains(&format!("`{}", path[0])), "{} is not mentioned", path[0]);
    }
    // `command --option` in prose: the option is the command's.
    let help: BTreeMap<String, &str> = everything.iter().map(|(path, help)| (path.join(" "), help.as_str())).collect();
    for page in pages() {
        for (number, line) in page.parts().1 {
            for code in line.split('`').skip(1).step_by(2) {
                let words = words(code);
                let two = words.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
                let known = help.get(&two).or_else(|| help.get(words.first()?));
                let Some(help) = known.filter(|_| words.len() > 1) else { continue };
                for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                    let option = option.split('=').next().unwrap_or_default();
                    assert!(help.contains(option), "{}:{number}: `{code}`: no {option}", page.path);
                }
            }
        }
    }
}

/// A demo that runs, and what stands for the words in angle brackets.
struct Stage {
    demo: Demo,
    values: BTreeMap<&'static str, String>,
    port: String,
}

impl Stage {
    fn start(folder: &Path) -> Self {
        let state = folder.join("state/demo");
        let mut demo = Demo::start(&state);
        demo.line("What happens now");
        let after = |line: &str, word: &str| {
            let rest = line.split(word).nth(1).unwrap_or_default();
            rest.split(['/', ' ']).next().unwrap_or_default().to_owned()
        };
        let incidents = demo.line("/api/v1/incidents");
        let workspace = demo.line("logs query");
        let port = after(&incidents, "localhost:");
        let ask = |arguments: &[&str]| {
            let mut command = cli();
            command.current_dir(folder).args(arguments).args([
                "--json",
                "--settings",
                "state/demo/local.settings.json",
            ]);
            let output = command.output().expect("it runs");
            serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")
        };
        let tenant = ask(&["customers"])["value"][0]["tenantId"].as_str().expect("an id").to_owned();
        let health = ask(&["health", &tenant]);
        let values = BTreeMap::from([
            ("<tenant-id>", tenant),
            ("<subscription-id>", health["subscriptions"][0]["subscriptionId"].as_str().expect("an id").to_owned()),
            ("<workspace>", after(&workspace, "--workspace ")),
            ("<invite>", ask(&["invite", "Woodgrove"])["id"].as_str().expect("an id").to_owned()),
            (
                "<tracking-id>",
                ask(&["incidents", "--all"])["value"][0]["trackingId"].as_str().expect("an id").to_owned(),
            ),
        ]);
        Self { demo, values, port }
    }
}

#[test]
fn every_block_against_the_demo_does_what_it_says() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("skipped: there is no curl on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a directory");
    let mut stage = Stage::start(folder.path());
    let program = env!("CARGO_BIN_EXE_cli");
    let (mut ran, mut left, mut faults) = (0, Vec::new(), Vec::new());
    // What ends a customer is told last.
    let pages = pages();
    let mut blocks: Vec<(&str, Block)> =
        pages.iter().flat_map(|page| page.parts().0.into_iter().map(|block| (page.path.as_str(), block))).collect();
    blocks.sort_by_key(|(_, block)| ["offboard", "-X DELETE"].iter().any(|word| block.text.contains(word)));
    for (page, block) in blocks {
        if block.kind.starts_with("sh") && needs_more(&block) {
            left.push(format!("{page}:{} ({})", block.line, block.kind));
            continue;
        }
        let program_of = match block.kind.as_str() {
            "sh" => "",
            "python" => "python3",
            "javascript" => "node",
            _ => continue,
        };
        if !program_of.is_empty() {
            match script(program_of, &block.text, &stage.port) {
                None => left.push(format!("{page}:{} (no {program_of} on this machine)", block.line)),
                Some(Ok(said)) => assert!(!said.trim().is_empty(), "{page}:{} says what it found", block.line),
                Some(Err(why)) => faults.push(format!("{page}:{}: {why}", block.line)),
            }
            ran += 1;
            continue;
        }
        let mut text = block.text.replace("cargo run --quiet --", program).replace("cargo run --", program);
        text = text.replace("localhost:7071", &format!("localhost:{}", stage.port));
        for (name, value) in &stage.values {
            text = text.replace(name, value);
        }
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &text])
            .current_dir(folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            // curl tells a refused request by its exit code, as `-f` does.
            .env("CURL_HOME", curl_home(folder.path()))
            .stdin(Stdio::null())
            .output()
            .expect("bash runs");
        // 3: done, but something could not be read; in a demo that has run for a minute that may be.
        if !matches!(output.status.code(), Some(0 | 3)) {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            faults.push(format!("{page}:{}: {:?}\n{text}\n{out}{err}", block.line, output.status.code()));
        }
        ran += 1;
    }
    stage.demo.line("What happens now");
    assert_eq!(stage.demo.interrupt(), Some(0));
    println!("{ran} blocks ran; not run: {left:#?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(ran >= 10, "{ran} blocks");
}

/// Runs a script of another language against the demo. None: that language is not on this machine.
fn script(program: &str, text: &str, port: &str) -> Option<Result<String, String>> {
    let mut command = Command::new(program);
    if program == "node" {
        command.args(["--input-type=module", "-e", text]);
    } else {
        command.args(["-c", text]);
    }
    let output = command.env("BASE", format!("http://localhost:{port}")).output().ok()?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some(if output.status.success() { Ok(out.into_owned()) } else { Err(format!("{out}{err}")) })
}

/// A folder with curl's settings: a status of 400 or more is a failure that shows its body.
fn curl_home(folder: &Path) -> std::path::PathBuf {
    std::fs::write(folder.join(".curlrc"), "fail-with-body\nsilent\nshow-error\n").expect("written");
    folder.to_owned()
}
