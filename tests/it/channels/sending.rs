//! What each channel takes for an answer: taken, later, never, gone, as the reference has it.

use std::time::Duration;

use base64::Engine as _;
use health_monitor::notify::channel::{Channel, Parcel, Receipt, Refusal};
use health_monitor::sandbox::{Order, Role};

use super::{MAILBOX, Scene, opened};
use crate::support::smtp::MailServer;
use crate::support::stories;

fn order(status: u16) -> Order {
    Order { status, ..Order::default() }
}

/// In one word, with the wait that was asked for.
fn outcome(result: &Result<Receipt, Refusal>) -> String {
    match result {
        Ok(_) => "taken".to_owned(),
        Err(Refusal::Later { retry_after, .. }) => {
            format!("later{}", retry_after.map(|wait| format!(" {}", wait.as_secs())).unwrap_or_default())
        }
        Err(Refusal::Never { .. }) => "never".to_owned(),
        Err(Refusal::Gone { .. }) => "gone".to_owned(),
    }
}

#[tokio::test]
async fn every_receiver_takes_every_story() {
    let scene = Scene::start().await;
    for kind in ["webhook", "teams", "slack", "pagerduty", "eventGrid", "logAnalytics"] {
        let channel = scene.channel(kind);
        let mut all = stories::typical();
        all.extend([("huge", stories::huge()), ("test", stories::test()), ("resource", stories::resource())]);
        for (story, parcel) in all {
            let receipt = channel.send(&parcel).await;
            assert!(receipt.is_ok(), "{kind} {story}: {receipt:?}");
        }
    }
    let refused: Vec<_> = scene.receivers.received().into_iter().filter(|one| one.status >= 300).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn answers_are_sorted_into_taken_later_never_and_gone() {
    let scene = Scene::start().await;
    let statuses = [200, 202, 204, 301, 307, 400, 401, 403, 404, 408, 410, 413, 415, 429, 500, 502, 503, 504];
    let mut table = serde_json::Map::new();
    for kind in ["webhook", "teams", "slack", "pagerduty", "eventGrid", "logAnalytics"] {
        let channel = scene.channel(kind);
        let mut parcel = stories::outage_began();
        // After an hour a missing role is no longer one that has not spread yet.
        parcel.notices[0].delivery.first_attempt_at = Some(parcel.sent_at - chrono::TimeDelta::hours(2));
        let mut row = serde_json::Map::new();
        for status in statuses {
            scene.receivers.answer_next([order(status)]);
            row.insert(status.to_string(), outcome(&channel.send(&parcel).await).into());
        }
        scene.receivers.answer_next([Order { retry_after: Some("120".to_owned()), ..order(429) }]);
        row.insert("429 in 120 s".to_owned(), outcome(&channel.send(&parcel).await).into());
        table.insert(kind.to_owned(), row.into());
    }
    insta::assert_json_snapshot!(table);
}

#[tokio::test]
async fn a_throttled_200_of_teams_is_no_success() {
    let scene = Scene::start().await;
    let body =
        "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x";
    scene.receivers.answer_next([Order { body: body.to_owned(), ..order(200) }]);
    let result = scene.channel("teams").send(&stories::outage_began()).await;
    assert_eq!(outcome(&result), "later");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let scene = Scene::start().await;
    let elsewhere = scene.receivers.url("/hook?elsewhere");
    scene.receivers.answer_next([Order { location: Some(elsewhere), ..order(307) }]);
    let result = scene.channel("webhook").send(&stories::outage_began()).await;
    assert_eq!(outcome(&result), "later");
    assert_eq!(scene.receivers.received().len(), 1, "nobody went on");
}

#[tokio::test]
async fn a_destination_that_does_not_answer_or_is_not_there_is_tried_later() {
    let mut scene = Scene::start().await;
    scene.wire.guard = scene.wire.guard.clone().with_patience(Duration::from_millis(150));
    // A socket that takes connections and says nothing, and one that is closed.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let closed = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (silent_port, closed_port) = (silent.local_addr().unwrap().port(), closed.local_addr().unwrap().port());
    drop(closed);
    for (port, why) in [(silent_port, "no answer within 0.15 s"), (closed_port, "no connection")] {
        let options = format!(r#"{{"url": "http://127.0.0.1:{port}/", "secretSetting": "NOTIFY_HOOK_SECRET"}}"#);
        let channel = opened("webhook", &options, &scene.wire).expect("right options");
        let refusal = channel.send(&stories::outage_began()).await.expect_err("nobody answers");
        assert_eq!(refusal, Refusal::Later { why: why.to_owned(), retry_after: None });
    }
}

/// Checks a delivery as a receiver with this secret does.
fn verifies(secret: &str, received: &health_monitor::sandbox::Received) -> bool {
    let key = base64::engine::general_purpose::STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let header = |name: &str| received.headers[name].clone();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), received.body);
    header("webhook-signature").split(' ').any(|one| {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(one.strip_prefix("v1,").unwrap_or_default())
            .unwrap_or_default();
        aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &bytes).is_ok()
    })
}

#[tokio::test]
async fn a_receiver_can_check_each_attempt_with_the_old_and_the_new_secret() {
    let scene = Scene::start().await;
    let options = format!(
        r#"{{"url": "{}", "secretSetting": "NOTIFY_HOOK_NEXT", "formerSecretSetting": "NOTIFY_HOOK_SECRET"}}"#,
        scene.receivers.url("/hook")
    );
    let channel = opened("webhook", &options, &scene.wire).expect("right options");
    let parcel = stories::outage_began();
    channel.send(&parcel).await.expect("taken");
    scene.app.clock.advance(Duration::from_secs(300));
    channel.send(&parcel).await.expect("taken");
    let received = scene.receivers.received();
    for one in &received {
        assert!(verifies("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", one), "the new secret");
        assert!(verifies("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", one), "the former one");
        assert!(!verifies("whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB", one), "no other");
        assert_eq!(one.headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert_eq!(one.headers["webhook-id"], parcel.id.to_string());
        assert_eq!(one.json()["id"], parcel.id.to_string());
    }
    let at = |index: usize| received[index].headers["webhook-timestamp"].parse::<i64>().unwrap();
    assert_eq!(at(1) - at(0), 300, "each attempt has its own time");
}

#[tokio::test]
async fn an_incident_triggers_is_acknowledged_and_resolves_one_alert() {
    let scene = Scene::start().await;
    let channel = scene.channel("pagerduty");
    let key = format!("azure-health:{}:KSYM-9_8", stories::contoso());
    for (parcel, state) in [
        (stories::outage_began(), "triggered"),
        (stories::outage_changed(), "triggered"),
        (stories::acknowledged(), "acknowledged"),
        (stories::outage_ended(), "resolved"),
        (stories::outage_ended(), "resolved"),
        (stories::outage_began(), "triggered"),
        (stories::retracted(), "resolved"),
    ] {
        channel.send(&parcel).await.expect("taken");
        assert_eq!(scene.receivers.alerts(), [(key.clone(), state)].into());
    }
    // A test leaves no open alert behind; a remark opens none.
    channel.send(&stories::test()).await.expect("taken");
    let mut remark = stories::access_lost();
    remark.notices[0].story.phase = health_monitor::model::Phase::Remark;
    let receipt = channel.send(&remark).await.expect("taken");
    assert_eq!(receipt.detail, "nothing to alert: a remark");
    assert!(scene.receivers.alerts().values().all(|state| *state == "resolved"));
}

#[tokio::test]
async fn event_grid_and_logs_take_our_own_identity_and_wait_while_a_role_spreads() {
    let scene = Scene::start().await;
    let options = format!(r#"{{"endpoint": "{}"}}"#, scene.receivers.url("/topics/health:publish"));
    let grid = opened("eventGrid", &options, &scene.wire).expect("right options");
    let logs = scene.channel("logAnalytics");
    for channel in [&grid, &logs] {
        channel.send(&stories::bundle()).await.expect("taken");
        let mut parcel = stories::outage_began();
        scene.receivers.answer_next([order(403)]);
        assert_eq!(outcome(&channel.send(&parcel).await), "later", "{}", channel.kind());
        parcel.notices[0].delivery.first_attempt_at = Some(parcel.sent_at - chrono::TimeDelta::minutes(61));
        scene.receivers.answer_next([order(403)]);
        assert_eq!(outcome(&channel.send(&parcel).await), "gone", "{}", channel.kind());
    }
    let taken: Vec<_> = scene.receivers.received().into_iter().filter(|one| one.status < 300).collect();
    assert_eq!(taken[0].query, "api-version=2024-06-01");
    assert_eq!(taken[0].json().as_array().map(Vec::len), Some(5), "each notice of the bundle is an event");
    assert_eq!(taken[1].json().as_array().map(Vec::len), Some(5), "and a row");
}

#[tokio::test]
async fn a_topic_that_takes_no_cloud_events_gets_the_schema_of_event_grid() {
    let scene = Scene::start().await;
    let options = format!(
        r#"{{"endpoint": "{}", "keySetting": "NOTIFY_GRID_KEY", "schema": "eventGrid"}}"#,
        scene.receivers.url("/api/events")
    );
    let channel = opened("eventGrid", &options, &scene.wire).expect("right options");
    channel.send(&stories::outage_began()).await.expect("taken");
    let event = &scene.receivers.received()[0].json()[0];
    assert_eq!((event["subject"].as_str(), event["dataVersion"].as_str()), (Some("KSYM-9_8"), Some("1.0")));
}

fn graph_mail(from: &str, scene: &Scene) -> std::sync::Arc<dyn Channel> {
    let options = serde_json::json!({"from": from, "to": ["ops@fabrikam.example"], "contacts": true});
    opened("graphMail", &options.to_string(), &scene.wire).expect("right options")
}

#[tokio::test]
async fn graph_sends_a_mail_to_the_contacts_of_the_customer_it_is_about_and_of_no_other() {
    let scene = Scene::start().await;
    let channel = graph_mail(MAILBOX, &scene);
    channel.send(&stories::outage_began()).await.expect("taken");
    // A bundle about two customers is nobody's contacts' affair.
    let mut both = stories::bundle();
    both.notices[1].story.customer.as_mut().unwrap().tenant_id = uuid::Uuid::from_u128(7).into();
    channel.send(&both).await.expect("taken");
    let sent = scene.app.sandbox.change(|world| world.office.sent.clone());
    let to = |index: usize| -> Vec<String> {
        let all = sent[index].message["toRecipients"].as_array().unwrap();
        all.iter().map(|one| one["emailAddress"]["address"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(to(0), ["ops@fabrikam.example", "it@contoso.example"]);
    assert_eq!(to(1), ["ops@fabrikam.example"]);
    assert_eq!((sent[0].saved, sent[0].message["importance"].as_str()), (false, Some("high")));
    let headers = sent[0].message["internetMessageHeaders"].to_string();
    assert!(headers.contains("x-azure-health-notice") && headers.contains("KSYM-9_8"), "{headers}");
}

#[tokio::test]
async fn answers_of_graph_are_sorted_too() {
    let scene = Scene::start().await;
    let mut parcel = stories::outage_began();
    assert_eq!(outcome(&graph_mail("nobody@fabrikam.example", &scene).send(&parcel).await), "gone", "no such mailbox");
    let channel = graph_mail(MAILBOX, &scene);
    scene.app.sandbox.change(|world| {
        let user = world.users.values().find(|user| user.upn == MAILBOX).map(|user| user.object_id).unwrap();
        world.office.kept_by_policy.insert(user);
    });
    assert_eq!(outcome(&channel.send(&parcel).await), "later 300", "a permission may still spread");
    parcel.notices[0].delivery.first_attempt_at = Some(parcel.sent_at - chrono::TimeDelta::minutes(61));
    assert_eq!(outcome(&channel.send(&parcel).await), "gone");
    let only_contacts = serde_json::json!({"from": MAILBOX, "contacts": true}).to_string();
    let channel = opened("graphMail", &only_contacts, &scene.wire).expect("right options");
    assert_eq!(outcome(&channel.send(&stories::partner_500()).await), "never", "a partner's notice has no contacts");
}

#[tokio::test]
async fn notices_are_counted_as_a_metric_of_a_resource_of_the_partners() {
    let scene = Scene::start().await;
    let (resource, principal, subscription) = scene.app.sandbox.change(|world| {
        let home = world.application.home;
        let subscription = world.subscription(home, "partner");
        let resource = world.metric_resource(subscription, "health", "westeurope");
        (resource, world.service_principal(home).expect("our own tenant has it"), subscription)
    });
    let options = serde_json::json!({"resourceId": resource, "region": "westeurope"}).to_string();
    let channel = opened("azureMetrics", &options, &scene.wire).expect("right options");
    let mut parcel = stories::bundle();
    assert_eq!(outcome(&channel.send(&parcel).await), "later 300", "a role may still spread");
    parcel.notices[0].delivery.first_attempt_at = Some(parcel.sent_at - chrono::TimeDelta::minutes(61));
    assert_eq!(outcome(&channel.send(&parcel).await), "gone", "there is no role");
    scene.app.sandbox.change(|world| world.assign(subscription, principal, Role::MonitoringMetricsPublisher));
    channel.send(&parcel).await.expect("taken");
    let published = scene.app.sandbox.change(|world| world.monitor.published.clone());
    let data = &published[0].document["data"]["baseData"];
    assert_eq!(data["metric"], "HealthNotices");
    let sum: f64 = data["series"].as_array().unwrap().iter().map(|one| one["sum"].as_f64().unwrap()).sum();
    assert_eq!(sum, 5.0, "each notice of the bundle counts");
}

fn smtp(port: u16, more: &str, scene: &Scene) -> std::sync::Arc<dyn Channel> {
    let options = format!(
        r#"{{"host": "127.0.0.1", "port": {port}, "security": "none", "from": "health@fabrikam.example",
            "to": ["ops@fabrikam.example"], "contacts": true{more}}}"#
    );
    opened("smtp", &options, &scene.wire).expect("right options")
}

#[tokio::test]
async fn a_mail_through_smtp_has_the_headers_of_a_machine_and_both_texts() {
    let scene = Scene::start().await;
    let server = MailServer::start(&[]).await;
    let login = r#", "user": "health", "passwordSetting": "NOTIFY_SMTP_PASSWORD""#;
    smtp(server.port, login, &scene).send(&stories::outage_changed()).await.expect("taken");
    let letters = server.letters().await;
    let letter = &letters[0];
    assert!(letter.commands.contains(&"RCPT TO:<it@contoso.example>".to_owned()), "{:?}", letter.commands);
    assert!(letter.commands.contains(&"RCPT TO:<ops@fabrikam.example>".to_owned()));
    assert!(letter.commands.iter().any(|command| command.starts_with("AUTH PLAIN")));
    let headers = letter.headers();
    for wanted in [
        "Auto-Submitted: auto-generated",
        "Importance: high",
        "Subject: [Contoso GmbH] Service issue: news: Virtual Machines: connection failures in West Europe (KSYM-9_8)",
        "Message-ID: <00000000-0000-4000-8000-000000000a02@fabrikam.example>",
    ] {
        assert!(headers.iter().any(|header| header == wanted), "{wanted} in {headers:#?}");
    }
    assert!(headers.iter().any(|header| header.starts_with("In-Reply-To: <thread-")));
    assert!(letter.lines.iter().any(|line| line.starts_with("Content-Type: text/html")));
}

#[tokio::test]
async fn answers_of_mail_servers_are_sorted_too() {
    let scene = Scene::start().await;
    let plain = [
        (&[("RCPT", "450 4.2.1 busy")][..], "later"),
        (&[("RCPT", "550 5.1.1 nobody")], "never"),
        (&[("MAIL", "552 5.3.4 too big")], "never"),
        (&[("EHLO", "421 4.3.2 closing"), ("HELO", "421 4.3.2 closing")], "later"),
        (&[("MAIL", "550 5.7.30 Basic authentication is not supported")], "gone"),
    ];
    for (refusals, wanted) in plain {
        let refusals: &'static [(&str, &str)] = Box::leak(refusals.to_vec().into_boxed_slice());
        let server = MailServer::start(refusals).await;
        let result = smtp(server.port, "", &scene).send(&stories::outage_began()).await;
        assert_eq!(outcome(&result), wanted, "{refusals:?}: {result:?}");
    }
    let server = MailServer::start(&[("AUTH", "535 5.7.8 no")]).await;
    let login = r#", "user": "health", "passwordSetting": "NOTIFY_SMTP_PASSWORD""#;
    let result = smtp(server.port, login, &scene).send(&stories::outage_began()).await;
    assert_eq!(outcome(&result), "gone", "{result:?}");
}

#[tokio::test]
async fn a_mail_server_without_tls_gets_nothing() {
    let scene = Scene::start().await;
    for security in ["startTls", "tls"] {
        let server = MailServer::start(&[]).await;
        let options = format!(
            r#"{{"host": "localhost", "port": {}, "security": "{security}", "from": "a@b.example", "to": ["c@d.example"]}}"#,
            server.port
        );
        let channel = opened("smtp", &options, &scene.wire).expect("right options");
        let result = channel.send(&stories::outage_began()).await;
        assert_eq!(outcome(&result), "later", "{result:?}");
        let letters = server.letters().await;
        let told = letters.iter().flat_map(|letter| &letter.commands).any(|command| command.starts_with("MAIL"));
        assert!(!told, "{letters:?}");
    }
}

fn program(script: &str, timeout: u64, scene: &Scene) -> std::sync::Arc<dyn Channel> {
    let options =
        serde_json::json!({"command": ["/bin/sh", "-c", script, "fixed; argument"], "timeoutSeconds": timeout});
    opened("command", &options.to_string(), &scene.wire).expect("right options")
}

#[tokio::test]
async fn a_program_gets_the_notice_on_its_input_and_its_exit_code_counts() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let script = format!("cat > {0}; env >> {0}; echo \"$0\" >> {0}", out.display());
    program(&script, 10, &scene).send(&stories::hostile()).await.expect("taken");
    let text = std::fs::read_to_string(&out).unwrap();
    let (event, rest) = text.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(event).unwrap()["specversion"], "1.0");
    assert!(rest.contains("NOTICE_ID=") && rest.contains("fixed; argument"), "{rest}");
    assert!(!rest.contains("CARGO") && !rest.contains("HOME="), "nothing of our environment: {rest}");
    for (script, wanted) in [("exit 65", "never"), ("exit 75", "later"), ("kill -9 $$", "later"), ("sleep 60", "later")]
    {
        let started = std::time::Instant::now();
        let result = program(script, 1, &scene).send(&stories::outage_began()).await;
        assert_eq!(outcome(&result), wanted, "{script}: {result:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{script} is ended");
    }
}

#[tokio::test]
async fn a_file_gets_one_line_for_each_message() {
    let scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notices.jsonl");
    let options = serde_json::json!({"path": path});
    let channel = opened("file", &options.to_string(), &scene.wire).expect("right options");
    for parcel in [stories::outage_began(), stories::hostile(), stories::bundle()] {
        channel.send(&parcel).await.expect("taken");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let ids: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let wanted: Vec<_> = [stories::outage_began(), stories::hostile(), stories::bundle()]
        .map(|parcel: Parcel| parcel.id.to_string())
        .into();
    assert_eq!(ids, wanted);
    let nowhere = serde_json::json!({"path": folder.path().join("missing/notices.jsonl")});
    let channel = opened("file", &nowhere.to_string(), &scene.wire).expect("right options");
    assert_eq!(outcome(&channel.send(&stories::outage_began()).await), "later");
}
