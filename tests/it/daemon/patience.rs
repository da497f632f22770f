//! A permission that was given just now: waited for, explained, and given up after an hour.

use std::time::Duration;

use health_monitor::azure::{LogQuery, Mail, MailError, MetricDocument, MetricTarget, Series, UserQuery};
use health_monitor::daemon::{self, LONGEST, Patience, Waiting};
use health_monitor::sandbox::{LogsTable, Role, World};

use crate::support::TestApp;

const QUARTER: Duration = Duration::from_secs(15 * 60);

/// Everything was granted at the start and is known a quarter of an hour later.
async fn start() -> (TestApp, MetricTarget, LogQuery) {
    let mut world = World::new(16);
    let home = world.application.home;
    world.user(home, "Health Desk");
    world.office.propagation_delay = QUARTER;
    world.permit(home, "User.Read.All");
    world.permit(home, "Mail.Send");
    let subscription = world.subscription(home, "Operations");
    let principal = world.service_principal(home).expect("at home");
    for role in [Role::Reader, Role::MonitoringMetricsPublisher] {
        world.assign(subscription, principal, role);
    }
    let later = world.now() + chrono::TimeDelta::from_std(QUARTER).expect("in range");
    for assignment in &mut world.role_assignments {
        assignment.effective_at = later;
    }
    let workspace = world.workspace(subscription, "operations");
    world.logs(workspace, "Heartbeat", LogsTable::new(&[("Computer", "string")], vec![vec!["a".into()]]));
    let resource = world.metric_resource(subscription, "app", "westeurope");
    let target = MetricTarget {
        resource: resource.parse().expect("a resource"),
        region: "westeurope".parse().expect("a region"),
    };
    let query = LogQuery {
        source: workspace.to_string().parse().expect("a source"),
        query: "Heartbeat".to_owned(),
        timespan: "P1D".parse().expect("a span"),
        workspaces: Vec::new(),
        patience: Duration::from_secs(30),
    };
    (TestApp::start(world).await, target, query)
}

#[tokio::test]
async fn each_job_waits_until_the_permission_is_known_and_tells_so() {
    let (app, target, query) = start().await;
    let (azure, home, clock) = (&app.app.azure, app.app.azure.home(), app.clock.clone());
    let begin = clock.time();
    let mut told: Vec<(Duration, Duration, String)> = Vec::new();
    let mut tell = |waiting: &Waiting<'_>| told.push((waiting.waited, waiting.pause, waiting.why.to_owned()));
    let mut patience = Patience::new(clock.as_ref(), LONGEST, &mut tell);
    let users = daemon::users(azure, home, &UserQuery::default(), &mut patience, |_| ()).await.expect("users");
    assert_eq!(users.rows.len(), 1);
    let waited = patience.waited();
    assert!(waited >= QUARTER && waited < QUARTER + Duration::from_secs(61), "{waited:?}");
    assert_eq!(told[0].0, Duration::ZERO);
    assert!(told[0].1 == Duration::from_secs(5) && told.last().is_some_and(|last| last.1 == Duration::from_secs(60)));
    assert!(told[0].2.contains("Authorization_RequestDenied"), "{told:?}");
    assert!(clock.time() - begin < chrono::TimeDelta::minutes(17));
    for assignment in 0..2 {
        app.sandbox.change(|world| {
            world.role_assignments[assignment].effective_at = clock.time() + chrono::TimeDelta::minutes(2)
        });
    }
    let mut tell = |_: &Waiting<'_>| ();
    let mut patience = Patience::new(clock.as_ref(), LONGEST, &mut tell);
    let answer = daemon::query(azure, home, &query, &mut patience).await.expect("rows");
    assert_eq!(answer.tables[0].rows.len(), 1);
    assert!(patience.waited() >= Duration::from_secs(120));
    app.sandbox.change(|world| world.role_assignments[1].effective_at = clock.time() + chrono::TimeDelta::minutes(2));
    let mut patience = Patience::new(clock.as_ref(), LONGEST, &mut tell);
    let metric = MetricDocument::new(clock.time(), "Test", "Any", &[], vec![Series::of(Vec::new(), 1.0)]);
    let published = daemon::publish(azure, &target, &[metric], &mut patience).await.expect("taken");
    assert_eq!(published.documents, 1);
    assert!(patience.waited() >= Duration::from_secs(120));
}

#[tokio::test]
async fn after_an_hour_it_is_a_fault_of_the_set_up_and_without_patience_at_once() {
    let (app, ..) = start().await;
    app.sandbox.change(|world| world.office.propagation_delay = Duration::from_secs(1_000_000));
    let (azure, clock) = (&app.app.azure, app.clock.clone());
    let from = app.sandbox.change(|world| world.users.values().next().expect("one").upn.clone());
    let mail = Mail { to: vec![from.clone()], from, ..Mail::default() };
    for (limit, tries) in [(LONGEST, 20..100), (Duration::ZERO, 1..2)] {
        app.sandbox.forget_requests();
        let begin = clock.time();
        let mut tell = |_: &Waiting<'_>| ();
        let mut patience = Patience::new(clock.as_ref(), limit, &mut tell);
        let refused = daemon::send(azure, &mail, &mut patience).await.expect_err("never permitted");
        assert!(matches!(refused, MailError::NotPermitted(_)), "{refused}");
        assert_eq!((patience.waited(), patience.is_over()), (limit, limit == LONGEST));
        assert_eq!((clock.time() - begin).to_std(), Ok(limit));
        let asked = app.sandbox.requests().iter().filter(|one| one.path.ends_with("/sendMail")).count();
        assert!(tries.contains(&asked), "{asked} tries in {limit:?}");
    }
}

#[tokio::test]
async fn a_mailbox_that_must_rest_is_waited_for() {
    let (app, ..) = start().await;
    app.sandbox.change(|world| world.office.propagation_delay = Duration::ZERO);
    let from = app.sandbox.change(|world| world.users.values().next().expect("one").upn.clone());
    let mail = Mail { to: vec![from.clone()], from, ..Mail::default() };
    let mut tell = |_: &Waiting<'_>| ();
    let clock = app.clock.clone();
    let mut patience = Patience::new(clock.as_ref(), LONGEST, &mut tell);
    for _ in 0..35 {
        daemon::send(&app.app.azure, &mail, &mut patience).await.expect("taken");
    }
    assert_eq!(patience.waited(), Duration::from_secs(60));
    assert_eq!(app.sandbox.change(|world| world.office.sent.len()), 35);
}
