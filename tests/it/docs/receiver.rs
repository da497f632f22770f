//! docs/portal-integration.md: the receiver of the page takes what the channel sends, and nothing else.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::openapi::{SECRET, Stage};
use super::pages;

/// Exit code and what was printed. None: there is no Python on this machine.
fn run(script: &str, now: &str, request: &serde_json::Value) -> Option<(bool, String)> {
    let mut command = Command::new("python3");
    command.args(["-c", script]).env("NOTIFY_HOOK_SECRET", SECRET).env("NOW", now);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    process.stdin.take().expect("piped").write_all(request.to_string().as_bytes()).expect("it reads");
    let output = process.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test]
async fn the_receiver_of_the_page_takes_what_is_sent_and_refuses_what_was_changed_or_is_old() {
    let page = pages().into_iter().find(|page| page.path == "docs/portal-integration.md").expect("the page");
    let blocks = page.parts().0;
    let script = &blocks.iter().find(|block| block.kind == "python receiver").expect("the receiver").text;
    let stage = Stage::start().await;
    let received = stage.receivers.received();
    let one = received.last().expect("somebody was told");
    let at = one.headers["webhook-timestamp"].clone();
    let request = |body: &str| json!({"headers": one.headers, "body": body});
    let Some((taken, said)) = run(script, &at, &request(&one.body)) else {
        println!("skipped: there is no python3 on this machine");
        return;
    };
    assert!(taken && said.starts_with(one.headers["webhook-id"].as_str()), "{said}");
    let (taken, said) = run(script, &at, &request(&one.body.replacen("West", "East", 1))).expect("as before");
    assert!(!taken && said.contains("not signed by us"), "{said}");
    let later = (at.parse::<i64>().expect("seconds") + 301).to_string();
    let (taken, said) = run(script, &later, &request(&one.body)).expect("as before");
    assert!(!taken && said.contains("too old"), "{said}");
}
