//! docs/notifications.md: every JSON in it is what the program reads.

use std::path::Path;

use health_monitor::model::ChannelConfig;
use health_monitor::notify::{trial, validate};
use serde_json::Value;

#[test]
fn every_example_of_routes_is_sound() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md");
    let text = std::fs::read_to_string(path).expect("the page");
    let blocks: Vec<&str> = text.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "the page has examples");
    for block in blocks {
        let document: Value = serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"));
        // A route by itself is shown without its channels.
        let shown = document["channels"].is_object();
        let whole = match document.get("routes").is_some() || shown {
            true => document,
            false => {
                let names = document["channels"].as_array().cloned().unwrap_or_default();
                let channels: serde_json::Map<_, _> = names
                    .iter()
                    .filter_map(|name| Some((name.as_str()?.to_owned(), serde_json::json!({"kind": "webhook"}))))
                    .collect();
                serde_json::json!({"channels": channels, "routes": [document]})
            }
        };
        let checked = validate::routes(&whole, |name, config| if shown { faults(name, config) } else { Vec::new() });
        assert!(checked.is_ok(), "{block}\n{}", checked.expect_err("faults"));
    }
}

/// What the channel itself has against its options.
fn faults(name: &str, config: &ChannelConfig) -> Vec<(String, String)> {
    trial::faults(name, config, &crate::channels::wire())
}

#[test]
fn the_page_names_every_kind_of_transition() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md");
    let text = std::fs::read_to_string(path).expect("the page");
    for word in validate::WORDS {
        assert!(text.contains(&format!("`{word}`")), "{word} is not explained");
    }
}
