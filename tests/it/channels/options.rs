//! What is wrong with a channel's options is said at once, in one sentence each, and never with a secret.

use std::collections::BTreeSet;

use health_monitor::notify::channel::KINDS;
use health_monitor::settings::{Door, Settings};

use super::{opened, wire, wire_on};

/// `field why` of every fault.
fn faults(kind: &str, options: &str) -> Vec<String> {
    let faults = opened(kind, options, &wire()).expect_err("there are faults");
    faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.why)).collect()
}

#[test]
fn every_option_is_documented_and_an_unknown_one_is_refused() {
    for kind in KINDS {
        let options = kind.example.trim_end().trim_end_matches('}').to_owned() + r#", "nonsense": 1}"#;
        let faults = faults(kind.name, &options);
        let [only] = faults.as_slice() else { panic!("{}: {faults:?}", kind.name) };
        let known = only.strip_prefix("nonsense is no option; there are ").expect("it says which there are");
        let known: BTreeSet<_> = known.split(", ").collect();
        let documented: BTreeSet<_> = kind.options.iter().map(|(name, _)| *name).collect();
        assert!(known.is_subset(&documented), "{}: {known:?} and {documented:?}", kind.name);
        // `url` is asked for only where `urlSetting` is not.
        assert!(documented.iter().all(|name| known.contains(name) || *name == "url"), "{}: {known:?}", kind.name);
    }
}

#[test]
fn each_fault_is_one_precise_sentence() {
    insta::assert_json_snapshot!(serde_json::json!({
        "unknown kind": faults("pigeon", "{}"),
        "webhook without anything": faults("webhook", "{}"),
        "webhook over http": faults("webhook", r#"{"url": "http://example.com/", "secretSetting": "NOTIFY_HOOK_SECRET"}"#),
        "webhook to the platform": faults("webhook", r#"{"url": "https://169.254.169.254/metadata", "secretSetting": "NOTIFY_HOOK_SECRET"}"#),
        "webhook to ourselves": faults("webhook", r#"{"url": "https://health.fabrikam.com/api/x", "secretSetting": "NOTIFY_HOOK_SECRET"}"#),
        "webhook with a secret written down": faults("webhook", r#"{"url": "https://example.com/", "secretSetting": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}"#),
        "webhook with a setting that is not set": faults("webhook", r#"{"url": "https://example.com/", "secretSetting": "NOTIFY_NOTHING"}"#),
        "webhook with a secret of another kind": faults("webhook", r#"{"url": "https://example.com/", "secretSetting": "NOTIFY_SMTP_PASSWORD"}"#),
        "webhook with headers of ours": faults("webhook", r#"{"url": "https://example.com/", "secretSetting": "NOTIFY_HOOK_SECRET",
            "headers": {"Host": "x", "webhook-id": "x", "Authorization": "Bearer x", "a b": "x", "x-ok": "a\r\nb"}, "timeoutSeconds": 300}"#),
        "teams of a retired connector": faults("teams", r#"{"urlSetting": "NOTIFY_RETIRED"}"#),
        "pagerduty with another secret": faults("pagerduty", r#"{"routingKeySetting": "NOTIFY_SMTP_PASSWORD", "region": "mars"}"#),
        "mail to nobody": faults("graphMail", r#"{"from": "ops", "cc": ["a@b.example, c@d.example"]}"#),
        "mail without TLS": faults("smtp", r#"{"host": "smtp.example.com", "security": "none", "port": 22, "user": "a", "from": "a@b.example", "to": "c@d.example"}"#),
        "mail to a host with a path": faults("smtp", r#"{"host": "smtp.example.com/x", "from": "a@b.example", "to": "c@d.example"}"#),
        "our token to a stranger": faults("eventGrid", r#"{"endpoint": "https://evil.example/api/events"}"#),
        "our token to a neighbour": faults("logAnalytics", r#"{"endpoint": "https://xingest.monitor.azure.com.evil.example", "ruleId": "dcr-1/../x", "stream": "x"}"#),
        "a program by name": faults("command", r#"{"command": ["curl", "https://evil.example"]}"#),
        "a file by its short name": faults("file", r#"{"path": "notices.jsonl"}"#),
    }));
}

#[test]
fn programs_and_files_exist_only_on_a_machine_of_ones_own() {
    let cloud = wire_on(Door::Functions, &[("STATE_STORE_URL", "memory:")]);
    for kind in ["command", "file"] {
        let example = KINDS.iter().find(|one| one.name == kind).unwrap().example;
        let faults = opened(kind, example, &cloud).expect_err("not in a cloud");
        assert!(faults.iter().any(|fault| fault.field == "kind"), "{faults:?}");
    }
}

#[test]
fn private_destinations_are_refused_in_a_cloud() {
    let read = |door, value: &'static str| {
        Settings::from_lookup(door, move |name| match name {
            "PRIVATE_DESTINATIONS" => Some(value.to_owned()),
            "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => Some("00000000-0000-4000-8000-00000000aaaa".to_owned()),
            "AZURE_CLIENT_SECRET" => Some("the-client-secret".to_owned()),
            "SESSION_KEYS" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            "PUBLIC_BASE_URL" => Some("https://health.fabrikam.com".to_owned()),
            "STATE_STORE_URL" => Some("memory:".to_owned()),
            _ => None,
        })
    };
    for value in ["loopback", "private"] {
        assert!(read(Door::Standalone, value).is_ok());
        let faults = read(Door::Functions, value).expect_err("not in a cloud");
        assert!(faults.0.iter().any(|fault| fault.name == "PRIVATE_DESTINATIONS"), "{faults}");
    }
    assert!(read(Door::Standalone, "everything").is_err());
    assert!(read(Door::Functions, "none").is_ok());
}
