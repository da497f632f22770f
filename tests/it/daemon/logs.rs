//! Queries of Log Analytics.

use std::time::Duration;

use health_monitor::azure::{Error, LogAnswer, LogError, LogQuery, LogSource, LogWay};
use health_monitor::sandbox::{Fault, HostKind, LogsTable, Role, World};
use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

struct Logs {
    app: TestApp,
    workspace: Uuid,
    resource: String,
}

impl Logs {
    async fn start(prepare: impl FnOnce(&mut World)) -> Self {
        let mut world = World::new(13);
        let home = world.application.home;
        let subscription = world.subscription(home, "Operations");
        let principal = world.service_principal(home).expect("at home");
        world.assign(subscription, principal, Role::Reader);
        let workspace = world.workspace(subscription, "operations");
        let row = |time: &str, category: &str, level: i64| vec![json!(time), json!(category), json!(level)];
        let rows = vec![
            row("2026-01-15T11:00:00Z", "ServiceHealth", 1),
            row("2026-01-15T10:00:00Z", "ResourceHealth", 2),
            row("2026-01-10T10:00:00Z", "ServiceHealth", 3),
        ];
        let columns = [("TimeGenerated", "datetime"), ("Category", "string"), ("Level", "int")];
        world.logs(workspace, "AzureActivity", LogsTable::new(&columns, rows));
        prepare(&mut world);
        let resource = world.monitor.workspaces[0].resource_id.clone();
        Self { app: TestApp::start(world).await, workspace, resource }
    }

    async fn ask(&self, source: &str, query: &str) -> Result<LogAnswer, LogError> {
        let query = LogQuery {
            source: source.parse::<LogSource>().expect("a source"),
            query: query.to_owned(),
            timespan: "P1D".parse().expect("a span"),
            workspaces: Vec::new(),
            patience: Duration::from_secs(30),
        };
        self.app.app.azure.query_logs(self.app.app.azure.home(), &query).await
    }

    fn hosts(&self) -> Vec<HostKind> {
        self.app.sandbox.requests().iter().map(|one| one.host).filter(|host| *host != HostKind::Entra).collect()
    }
}

#[tokio::test]
async fn a_query_is_answered_within_its_time_span() {
    let logs = Logs::start(|_| ()).await;
    let answer = logs.ask(&logs.workspace.to_string(), "AzureActivity | project Category, Level").await.expect("rows");
    assert_eq!(answer.tables[0].rows, [[json!("ServiceHealth"), json!(1)], [json!("ResourceHealth"), json!(2)]]);
    assert_eq!(answer.tables[0].columns[1].kind, "int");
    assert_eq!((answer.way, answer.incomplete.len()), (LogWay::Direct, 0));
    let by_resource = logs.ask(&logs.resource, "AzureActivity | count").await.expect("rows");
    assert_eq!((&by_resource.tables[0].rows[0][0], by_resource.way), (&json!(2), LogWay::Direct));
}

#[tokio::test]
async fn where_the_direct_endpoint_refuses_applications_resource_manager_answers_and_is_remembered() {
    let logs = Logs::start(|world| world.monitor.direct_refuses_applications = true).await;
    let id = logs.workspace.to_string();
    let answer = logs.ask(&id, "AzureActivity | count").await.expect("rows");
    assert_eq!((&answer.tables[0].rows[0][0], answer.way), (&json!(2), LogWay::ResourceManager));
    // Found by its id among the workspaces that we may read.
    assert_eq!(logs.hosts(), [HostKind::Logs, HostKind::Arm, HostKind::Arm, HostKind::Arm]);
    logs.app.sandbox.forget_requests();
    logs.ask(&id, "AzureActivity | count").await.expect("rows");
    assert_eq!(logs.hosts(), [HostKind::Arm], "asked there at once");
    logs.app.sandbox.forget_requests();
    logs.ask(&logs.resource, "AzureActivity | count").await.expect("rows");
    assert_eq!(logs.hosts(), [HostKind::Logs, HostKind::Arm], "a resource's id needs no looking for");
}

#[tokio::test]
async fn without_the_role_both_ways_are_refused_and_nothing_is_remembered() {
    let logs = Logs::start(|world| {
        world.role_assignments.clear();
        world.monitor.direct_refuses_applications = true;
    })
    .await;
    let direct = logs.ask(&logs.workspace.to_string(), "AzureActivity | count").await.expect_err("no role");
    assert!(matches!(&direct, LogError::NotPermitted(why) if why.code == "InsufficientAccessError"), "{direct}");
    let managed = logs.ask(&logs.resource, "AzureActivity | count").await.expect_err("no role");
    assert!(matches!(&managed, LogError::NotPermitted(why) if why.code == "AuthorizationFailed"), "{managed}");
    logs.app.sandbox.change(|world| {
        let subscription = world.monitor.workspaces[0].subscription;
        let principal = world.service_principal(world.application.home).expect("at home");
        world.assign(subscription, principal, Role::Reader);
        world.monitor.direct_refuses_applications = false;
    });
    let answer = logs.ask(&logs.resource, "AzureActivity | count").await.expect("the direct way again");
    assert_eq!(answer.way, LogWay::Direct);
}

#[tokio::test]
async fn partial_errors_and_missing_permissions_make_an_answer_incomplete() {
    let logs = Logs::start(|world| {
        world.monitor.workspaces[0].partial = Some("The results of this query exceed the set limit.".to_owned());
        world.monitor.workspaces[0].denied = vec!["AzureActivity".to_owned()];
    })
    .await;
    let answer = logs.ask(&logs.workspace.to_string(), "AzureActivity | take 5").await.expect("tables");
    assert!(answer.tables[0].rows.is_empty(), "silently fewer rows");
    assert_eq!(answer.incomplete.len(), 2);
    assert!(answer.incomplete[0].contains("AzureActivity"), "{:?}", answer.incomplete);
    assert!(answer.incomplete[1].contains("exceed the set limit"), "{:?}", answer.incomplete);
}

#[tokio::test]
async fn wrong_queries_unknown_workspaces_and_slow_answers_are_told_apart() {
    let logs = Logs::start(|_| ()).await;
    let id = logs.workspace.to_string();
    let wrong = logs.ask(&id, "AzureActivity | tke 1").await.expect_err("no such step");
    assert!(matches!(&wrong, LogError::Query { text, .. } if text.contains("could not be parsed at 'tke'")), "{wrong}");
    let unknown = logs.ask("00000000-0000-4000-8000-000000000123", "AzureActivity").await.expect_err("nobody's");
    assert!(
        matches!(&unknown, LogError::NotFound(why) if why.detail_codes == ["FailedToResolveResource"]),
        "{unknown}"
    );
    logs.app.sandbox.change(|world| {
        world.fault(Fault::status(504).host(HostKind::Logs).times(1));
        world.fault(Fault::throttled(5).host(HostKind::Logs).times(2));
        world.fault(Fault::html().host(HostKind::Logs).after(1).times(1));
    });
    assert!(matches!(logs.ask(&id, "AzureActivity").await, Err(LogError::TooLong(_))));
    logs.ask(&id, "AzureActivity").await.expect("after two rests");
    assert!(matches!(logs.ask(&id, "AzureActivity").await, Err(LogError::Azure(Error::Unreadable { .. }))));
    logs.app.sandbox.change(|world| world.monitor.workspaces[0].tables.clear());
    let empty = logs.ask(&id, "AzureActivity").await.expect("a workspace that never had data");
    assert!(empty.tables.is_empty() && empty.incomplete.is_empty());
}
