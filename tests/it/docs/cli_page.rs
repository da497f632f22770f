//! `docs/cli.md` is what `--help` says, command by command.

use std::fmt::Write as _;
use std::fs;

use super::root;
use crate::cli::cli;

/// What the command says about itself.
pub fn help(path: &[String]) -> String {
    let output = cli().args(path).arg("--help").output().expect("the command runs");
    assert!(output.status.success(), "{path:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The names below `Commands:`.
pub fn commands(help: &str) -> Vec<String> {
    let Some((_, rest)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Every command with its help, the program itself first.
pub fn everything() -> Vec<(Vec<String>, String)> {
    let (mut all, mut open) = (Vec::new(), vec![Vec::new()]);
    while let Some(path) = open.pop() {
        let help = help(&path);
        // The last is taken first.
        for name in commands(&help).into_iter().rev() {
            open.push(path.iter().cloned().chain([name]).collect());
        }
        all.push((path, help));
    }
    all
}

#[test]
fn the_page_of_the_command_line_is_what_the_commands_say() {
    let mut page = String::from(
        "# The command line\n\nWritten by `tests/it/docs/cli_page.rs`, from the commands' own `--help`. `health-monitor` is \
         `cargo run --` in a clone.\n",
    );
    for (path, help) in everything() {
        let name = if path.is_empty() { "health-monitor".to_owned() } else { path.join(" ") };
        let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n"));
    }
    if fs::read_to_string(root().join("docs/cli.md")).unwrap_or_default() != page {
        let found = root().join("target/docs/cli.md");
        fs::create_dir_all(root().join("target/docs")).expect("target can be written");
        fs::write(&found, page).expect("target can be written");
        panic!("docs/cli.md is not what comes out; look at {} and copy it", found.display());
    }
}
