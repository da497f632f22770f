//! Mail on behalf of a mailbox, through Microsoft Graph.

use std::time::Duration;

use health_monitor::azure::{Mail, MailBody, MailError};
use health_monitor::model::{ObjectId, TenantId};
use health_monitor::sandbox::{Fault, HostKind, World};
use serde_json::json;

use crate::support::TestApp;

const SENDER: &str = "health.desk@fabrikammanagedservices.example";

async fn start(prepare: impl FnOnce(&mut World, TenantId, ObjectId)) -> TestApp {
    let mut world = World::new(12);
    let home = world.application.home;
    let sender = world.user(home, "Health Desk");
    assert_eq!(world.upn(sender), SENDER);
    world.permit(home, "Mail.Send");
    prepare(&mut world, home, sender);
    TestApp::start(world).await
}

fn mail() -> Mail {
    Mail {
        from: SENDER.to_owned(),
        to: vec!["ops@contoso.example".to_owned()],
        subject: "West Europe".to_owned(),
        body: MailBody::Html("<p>It is over.</p>".to_owned()),
        headers: vec![("x-azure-health-event".to_owned(), "ABCD-123".to_owned())],
        ..Mail::default()
    }
}

#[tokio::test]
async fn a_message_is_taken_as_it_was_written() {
    let app = start(|_, _, _| {}).await;
    let accepted = app.app.azure.send_mail(&mail()).await.expect("taken");
    assert!(accepted.request_id.is_some());
    let sent = app.sandbox.change(|world| world.office.sent.clone());
    assert_eq!((sent.len(), sent[0].from.as_str(), sent[0].saved), (1, SENDER, false));
    assert_eq!(sent[0].message["body"], json!({"contentType": "HTML", "content": "<p>It is over.</p>"}));
    assert_eq!(sent[0].message["internetMessageHeaders"][0]["value"], "ABCD-123");
}

#[tokio::test]
async fn each_refusal_is_told_apart_by_what_one_can_do() {
    let app = start(|world, home, sender| {
        world.office.permissions.remove(&home);
        world.office.without_mailbox.insert(sender);
    })
    .await;
    let refused = app.app.azure.send_mail(&mail()).await.expect_err("no permission");
    assert!(matches!(&refused, MailError::NotPermitted(why) if why.code == "ErrorAccessDenied"), "{refused}");
    app.sandbox.change(|world| world.permit(world.application.home, "Mail.Send"));
    app.clock.advance(Duration::from_secs(5000));
    let refused = app.app.azure.send_mail(&mail()).await.expect_err("no mailbox");
    assert!(matches!(&refused, MailError::NoMailbox(why) if why.code == "MailboxNotEnabledForRESTAPI"), "{refused}");
    let stranger = Mail { from: "nobody@fabrikam.example".to_owned(), ..mail() };
    let refused = app.app.azure.send_mail(&stranger).await.expect_err("no user");
    assert!(matches!(&refused, MailError::NoMailbox(why) if why.code == "ErrorInvalidUser"), "{refused}");
    app.sandbox.change(|world| {
        world.office.without_mailbox.clear();
        let body = r#"{"error":{"code":"ErrorInvalidRecipients","message":"x","innerError":{"code":"ErrorDeep"}}}"#;
        world.fault(Fault::status(400).host(HostKind::Graph).times(1).body(body, "application/json"));
        world.fault(Fault::status(503).host(HostKind::Graph).times(1));
        world.fault(Fault::throttled(17).host(HostKind::Graph).times(1));
        world.fault(Fault::close().host(HostKind::Graph).times(1));
    });
    let refused = app.app.azure.send_mail(&mail()).await.expect_err("a bad request");
    assert!(matches!(&refused, MailError::Refused(why) if why.detail_codes == ["ErrorDeep"]), "{refused}");
    assert!(matches!(app.app.azure.send_mail(&mail()).await, Err(MailError::Unavailable { .. })));
    let throttled = app.app.azure.send_mail(&mail()).await;
    assert!(matches!(throttled, Err(MailError::Throttled { retry_after: Some(wait) }) if wait.as_secs() == 17));
    assert!(matches!(app.app.azure.send_mail(&mail()).await, Err(MailError::Unavailable { .. })));
    app.app.azure.send_mail(&mail()).await.expect("taken at last");
    // One try each: nothing was sent twice.
    assert_eq!(app.sandbox.change(|world| world.office.sent.len()), 1);
}

#[tokio::test]
async fn the_call_decides_and_not_what_the_token_says() {
    let app = start(|world, home, sender| {
        world.office.permissions.remove(&home);
        world.office.by_exchange_role.insert(sender);
    })
    .await;
    app.app.azure.send_mail(&mail()).await.expect("by a role of Exchange");
    app.sandbox.change(|world| {
        let sender = *world.office.by_exchange_role.first().expect("one");
        world.office.kept_by_policy.insert(sender);
    });
    let refused = app.app.azure.send_mail(&mail()).await.expect_err("kept by policy");
    assert!(matches!(&refused, MailError::NotPermitted(why) if why.message.contains("AccessPolicy")), "{refused}");
}

#[tokio::test]
async fn the_thirty_first_message_of_a_minute_is_not_sent_and_harms_no_other_mailbox() {
    let app = start(|world, home, _| _ = world.user(home, "Second Desk")).await;
    for _ in 0..30 {
        app.app.azure.send_mail(&mail()).await.expect("taken");
    }
    app.sandbox.forget_requests();
    let rest = app.app.azure.send_mail(&mail()).await;
    assert!(matches!(rest, Err(MailError::Throttled { retry_after: Some(wait) }) if wait.as_secs() == 60));
    assert!(app.sandbox.requests().is_empty(), "Graph was not asked");
    let other = Mail { from: "second.desk@fabrikammanagedservices.example".to_owned(), ..mail() };
    app.app.azure.send_mail(&other).await.expect("taken");
    app.clock.advance(Duration::from_secs(60));
    app.app.azure.send_mail(&mail()).await.expect("a minute later");
}
