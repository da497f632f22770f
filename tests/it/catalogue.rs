//! Every row of the error catalogue ("Identity, consent and onboarding contract", 2.6 and 5.6), raised by the sandbox, with the
//! page or state that it leads to. What comes out is `docs/error-catalogue.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use health_monitor::sandbox::visitor::{Choice, Page};
use health_monitor::sandbox::{Fault, HostKind, RefusedAt, Role, SignInRefusal};

use crate::onboarding::Case;

/// A row of section 2.6: what it means, the codes, and the OAuth error and status that come with them.
type EntraRow = (&'static str, &'static [u32], &'static str, u16);

const ENTRA: &[EntraRow] = &[
    ("no consent for application and resource", &[65_001], "invalid_grant", 400),
    ("the user declined", &[65_004], "access_denied", 400),
    ("an administrator must consent", &[90_094, 90_095], "access_denied", 400),
    ("a permission is missing in our registration", &[65_005, 650_056, 650_057], "invalid_request", 400),
    ("Resource Manager is absent in the tenant", &[650_052, 500_011], "invalid_resource", 400),
    ("the user is not assigned to the application", &[50_105], "access_denied", 400),
    ("the application is not in the tenant", &[700_016], "unauthorized_client", 400),
    ("the service principal is missing", &[7_000_229], "invalid_client", 401),
    ("the application is disabled", &[7_000_112], "unauthorized_client", 400),
    ("the account is not in this tenant", &[50_020, 50_034, 51_004, 16_003, 50_014], "invalid_grant", 400),
    ("the wrong kind of account", &[500_208, 90_072], "access_denied", 400),
    ("restrictions between tenants", &[500_021, 500_022, 500_212, 500_213], "access_denied", 400),
    (
        "Conditional Access, device or risk",
        &[53_000, 53_001, 53_002, 53_003, 53_004, 530_032, 50_131, 50_158, 50_097, 50_129],
        "interaction_required",
        400,
    ),
    ("multi-factor authentication is needed", &[50_072, 50_074, 50_076, 50_078, 50_079], "interaction_required", 400),
    ("the password or the account's state", &[50_055, 50_057, 50_126, 50_053], "invalid_grant", 400),
    (
        "the session or grant has expired or was revoked",
        &[50_058, 50_173, 700_082, 70_043, 70_008, 70_000, 50_089],
        "invalid_grant",
        400,
    ),
    (
        "the code was used, is of another tenant or malformed",
        &[54_005, 501_481, 50_147, 700_005, 9_002_313, 900_144, 900_561],
        "invalid_grant",
        400,
    ),
    ("the scope is malformed", &[70_011, 28_002, 28_003, 700_022, 700_023], "invalid_scope", 400),
    ("the redirect URI is wrong", &[50_011, 900_971], "invalid_request", 400),
    ("the application is for one tenant only", &[50_194], "invalid_request", 400),
    ("the tenant is unknown", &[90_002, 50_128, 50_059, 90_019], "invalid_request", 400),
    ("another national cloud", &[90_038, 900_382, 900_432, 1_000_104], "invalid_request", 400),
    ("client credentials without a tenant", &[9_001_023], "invalid_request", 400),
    ("our secret is wrong, expired or missing", &[7_000_215, 7_000_222, 7_000_218, 700_025], "invalid_client", 401),
    ("our assertion is not accepted", &[700_027, 50_012, 50_013, 700_030, 50_048], "invalid_client", 401),
    ("our federated assertion is not accepted", &[70_021, 700_211, 700_212, 700_213], "invalid_client", 401),
    ("the same request came too often", &[50_196], "invalid_grant", 400),
    (
        "passing trouble of Entra",
        &[90_055, 90_024, 90_033, 90_006, 90_012, 50_033, 90_090],
        "temporarily_unavailable",
        400,
    ),
];

/// A row of section 5.6: the code, its status, and what else the message says.
const ARM: &[(&str, u16, &str)] = &[
    ("AuthenticationFailed", 401, ""),
    ("InvalidAuthenticationToken", 401, ""),
    ("ExpiredAuthenticationToken", 401, ""),
    ("InvalidAuthenticationTokenTenant", 401, ""),
    ("RequestDisallowedByAzure", 403, "Users must use MFA. See https://aka.ms/MFAforAzure."),
    ("RequestDisallowedByAzure", 403, "The region is not available."),
    ("insufficient_claims", 401, ""),
    ("AuthorizationFailed", 403, "The client does not have authorization."),
    ("AuthorizationFailed", 403, "The scope is invalid, or an ABAC condition is not fulfilled."),
    ("DenyAssignmentAuthorizationFailed", 403, "The access is denied because of the deny assignment."),
    ("RequestDisallowedByPolicy", 403, "Resource was disallowed by policy."),
    ("RequestDisallowedByPolicy", 403, "Users must use MFA for Create operation."),
    ("PrincipalNotFound", 400, ""),
    ("UnmatchedPrincipalType", 400, ""),
    ("InvalidPrincipalId", 400, ""),
    ("RoleDefinitionDoesNotExist", 400, ""),
    ("RoleAssignmentUpdateNotPermitted", 400, ""),
    ("RoleAssignmentLimitExceeded", 400, ""),
    ("RoleAssignmentExists", 409, ""),
    ("ReadOnlyDisabledSubscription", 409, ""),
    ("ScopeLocked", 409, ""),
    ("SubscriptionNotFound", 404, ""),
    ("InvalidSubscriptionId", 400, ""),
    ("MissingSubscriptionRegistration", 409, ""),
    ("TooManyRequests", 429, ""),
];

/// `status "title"`, and the first sentence of what a refused subscription is told.
fn told(page: &Page) -> String {
    let heading = page.body.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default();
    let note = page.body.split("<div class=\"note\"><p>").nth(1).and_then(|rest| rest.split("</p>").next());
    let note = note.map(|text| {
        let plain: String = text.split('<').map(|part| part.split_once('>').map_or(part, |(_, rest)| rest)).collect();
        format!(": {}", plain.split_once(". ").map_or(plain.as_str(), |(first, _)| first).trim_end_matches(['.', ':']))
    });
    format!("{} \"{heading}\"{}", page.status, note.unwrap_or_default()).replace("&#39;", "'")
}

/// A customer that is watched, to see what background work makes of a refusal.
async fn watched() -> Case {
    let case = Case::start_in(&[], |world, tenant| {
        world.onboarded(tenant);
    })
    .await;
    case.app.watch_all().await;
    case.app.poll(case.tenant).await;
    case
}

/// The gap that the next poll finds, with the refusal in place; then all is as it was.
async fn background(case: &Case) -> String {
    case.app.clock.advance(Duration::from_secs(7_200));
    case.app.poll(case.tenant).await;
    let snapshot = case.app.snapshot(case.tenant).await;
    let gap = snapshot.coverage[&case.subscription].events.gap.as_ref();
    let said = gap.map_or("read".to_owned(), |gap| serde_json::to_value(gap.reason).expect("a word").to_string());
    case.app.sandbox.change(|world| {
        world.entra.refusal = None;
        world.faults.clear();
    });
    case.app.clock.advance(Duration::from_secs(7_200));
    case.app.poll(case.tenant).await;
    let snapshot = case.app.snapshot(case.tenant).await;
    assert!(snapshot.coverage[&case.subscription].events.gap.is_none(), "it heals without onboarding anew");
    said.trim_matches('"').to_owned()
}

#[tokio::test]
async fn every_row_of_the_error_catalogue_leads_to_a_page_or_a_state() {
    let mut text = String::from(
        "# What each error leads to\n\nWritten by `tests/it/catalogue.rs`, which raises every row against the sandbox.\n\n\
         ## Entra (section 2.6)\n\nOn Microsoft's own page nothing comes back to us: the sign-in session ends after ten minutes. In \
         the background the state is the gap of the customer's coverage.\n\n\
         | codes | meaning | in the answer to the browser | when the code is redeemed | for our own token |\n|---|---|---|---|---|\n",
    );
    let watching = watched().await;
    for (meaning, codes, error, status) in ENTRA {
        // Codes of a row that lead to the same are one line.
        let mut lines: BTreeMap<[String; 3], Vec<String>> = BTreeMap::new();
        for code in *codes {
            let refusal = |at| SignInRefusal { at, status: *status, error, code: *code, subcode: None, claims: None };
            let mut outcomes = [String::new(), String::new(), String::new()];
            for at in [RefusedAt::SignInPage, RefusedAt::Callback, RefusedAt::Redemption] {
                let case = &watching;
                case.app.sandbox.change(|world| world.entra.refusal = Some(refusal(at)));
                let page = case.choose(&mut case.app.visitor(), "/api/consent/start").await;
                case.app.sandbox.change(|world| world.entra.refusal = None);
                match at {
                    RefusedAt::SignInPage => {
                        assert!(page.text().contains(&format!("AADSTS{code}")), "{}", page.text());
                        assert!(!page.url.path().starts_with("/api/"), "it is Microsoft's own page");
                    }
                    RefusedAt::Callback => outcomes[0] = told(&page),
                    _ => outcomes[1] = told(&page),
                }
                assert!(page.status >= 400, "{code} at {at:?}: {}", page.text());
            }
            watching.app.sandbox.change(|world| world.entra.refusal = Some(refusal(RefusedAt::AppToken)));
            outcomes[2] = background(&watching).await;
            assert_ne!(outcomes[2], "read", "{code} keeps us from reading");
            lines.entry(outcomes).or_default().push(code.to_string());
        }
        for ([browser, redeemed, own], codes) in lines {
            let _ = writeln!(text, "| {} | {meaning} | {browser} | {redeemed} | {own} |", codes.join(", "));
        }
    }

    text.push_str(
        "\n## Resource Manager (section 5.6)\n\n| status | code | message | when a role is assigned | when health is read |\n\
         |---|---|---|---|---|\n",
    );
    let granting = Case::start().await;
    for (code, status, message) in ARM {
        let fault = || {
            let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
            Fault::status(*status).body(body, "application/json").host(HostKind::Arm)
        };
        let mut visitor = granting.app.visitor();
        let chooser = granting.choose(&mut visitor, "/api/consent/start").await;
        granting.app.sandbox.change(|world| {
            world.faults = vec![fault().method("PUT").path("roleAssignments")];
            if *code == "RoleAssignmentExists" {
                let principal = world.service_principal(granting.tenant).expect("consented");
                world.assign(granting.subscription, principal, Role::Reader);
            }
            if *code == "RoleAssignmentUpdateNotPermitted" {
                world.faults = vec![fault().method("PUT").path("roleAssignments").times(1)];
            }
        });
        let page = told(&visitor.grant(&chooser, Choice::All).await.expect("a page"));
        granting.app.sandbox.change(|world| {
            world.faults.clear();
            if let Some(principal) = world.service_principal(granting.tenant) {
                world.unassign(granting.subscription, principal);
            }
        });
        watching.app.sandbox.change(|world| world.faults = vec![fault()]);
        let own = background(&watching).await;
        let _ = writeln!(text, "| {status} | `{code}` | {message} | {page} | {own} |");
    }

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/error-catalogue.md");
    if fs::read_to_string(&path).unwrap_or_default() != text {
        let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/error-catalogue.md");
        fs::write(&found, &text).expect("target can be written");
        panic!("docs/error-catalogue.md is not what comes out; look at {} and copy it", found.display());
    }
}
