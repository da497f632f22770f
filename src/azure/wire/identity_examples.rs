//! Azure's own example payloads of what onboarding reads: subscriptions, tenants and role assignments.
//! They are no part of this repository; `AZURE_EXAMPLES` names their directory, without it the tests say so and end.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::roles::RoleAssignment;
use super::subscriptions::{Subscription, SubscriptionState, Tenant};

fn examples(folder: &str) -> Option<Vec<(String, Value)>> {
    #[expect(clippy::disallowed_methods, reason = "a test's own switch, no setting of the program")]
    let Ok(root) = std::env::var("AZURE_EXAMPLES") else {
        println!("skipped: AZURE_EXAMPLES names no directory");
        return None;
    };
    let files = std::fs::read_dir(PathBuf::from(root).join(folder)).expect("the folder of examples");
    let files =
        files.map(|file| file.expect("a file").path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a readable file");
        (path.file_name().expect("a name").to_string_lossy().into_owned(), serde_json::from_str(&text).expect("JSON"))
    };
    Some(files.map(read).collect())
}

/// Every successful body of an example, one row per member of `value` where it is a listing.
fn rows<T: DeserializeOwned>(name: &str, example: &Value) -> Vec<T> {
    let bodies = ["200", "201"].into_iter().filter_map(|status| example.pointer(&format!("/responses/{status}/body")));
    let rows = bodies.flat_map(|body| match body.get("value") {
        Some(Value::Array(rows)) => rows.clone(),
        _ => vec![body.clone()],
    });
    rows.map(|row| serde_json::from_value(row).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

#[test]
fn azures_examples_of_subscriptions_and_tenants_are_read_in_full() {
    let Some(examples) = examples("subscriptions") else { return };
    let mut read = 0;
    for (name, example) in &examples {
        if name.starts_with("GetSubscription") {
            for row in rows::<Subscription>(name, example) {
                assert!(
                    row.subscription_id.is_some() && row.tenant_id.is_some() && row.display_name.is_some(),
                    "{name}"
                );
                assert_eq!(row.state, Some(SubscriptionState::Enabled), "{name}");
                read += 1;
            }
        } else if name.starts_with("GetTenants") {
            for row in rows::<Tenant>(name, example) {
                assert!(
                    row.tenant_id.is_some() && row.display_name.is_some() && row.default_domain.is_some(),
                    "{name}"
                );
                read += 1;
            }
        }
    }
    assert_eq!(read, 6);
}

#[test]
fn azures_examples_of_role_assignments_are_read_in_full() {
    let Some(examples) = examples("authorization") else { return };
    let mut read = 0;
    for (name, example) in &examples {
        if name.starts_with("RoleAssignments_") && !name.contains("Validate") {
            for row in rows::<RoleAssignment>(name, example) {
                let properties = row.properties.unwrap_or_else(|| panic!("{name}: no properties"));
                assert!(row.id.is_some() && properties.principal_id.is_some() && properties.scope.is_some(), "{name}");
                assert!(properties.role_definition_id.is_some(), "{name}");
                read += 1;
            }
        }
    }
    assert!(read >= 7, "{read}");
}
