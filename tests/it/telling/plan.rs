//! What a route takes, whom it speaks to, and when.

use std::collections::{BTreeMap, BTreeSet};

use health_monitor::model::{IncidentNotes, NoticeScope, Phase, ResourceId, Severity, Snooze, Subject, Transition};
use health_monitor::notify::plan::{Facts, notices, partner_notices};
use health_monitor::notify::storm::together;
use serde_json::{Value, json};

use super::facts::{
    customer, customer_with, minute, opened, outage, plan, plan_at, resolved, route, routes, snapshot, subscription,
    tenant, tracking, transition, with,
};

const ID: &str = "ABCD-123";

fn taken(matches: Value, transition: &Transition) -> bool {
    let labelled = customer_with(1, json!({"labels": {"Tier": "Gold"}}));
    let content = with(outage(), json!({"tags": ["Action Recommended"]}));
    let mut known = snapshot(1, &[(ID, 1, content)]);
    let state = json!({"state": "Unavailable", "resourceType": "microsoft.sql/servers", "location": "northeurope"});
    let state = serde_json::from_value(state).expect("a state");
    if let Some(id) = transition.kind.resource_id() {
        known.resources.insert(id.clone(), state);
    }
    let routes = route("partner", json!({"match": matches}));
    !plan(&routes, &labelled, &known, std::slice::from_ref(transition)).is_empty()
}

#[test]
fn a_route_takes_what_all_of_its_conditions_hold_for() {
    let opened = opened(1, ID);
    for matching in [
        json!({}),
        json!({"transitions": ["eventResolved", "EVENTOPENED"]}),
        json!({"eventTypes": ["serviceissue"]}),
        json!({"severity": "high"}),
        json!({"services": ["virtual machines", "Storage"]}),
        json!({"regions": ["westeurope"]}),
        json!({"tags": ["action recommended"]}),
        json!({"customers": [tenant(1), tenant(2)]}),
        json!({"labels": {"tier": "gold"}}),
        json!({"subscriptions": [subscription(1, 0)]}),
        json!({"severity": "medium", "regions": ["West Europe"], "services": ["Virtual Machines"]}),
    ] {
        assert!(taken(matching.clone(), &opened), "{matching}");
    }
    for other in [
        json!({"transitions": ["eventResolved"]}),
        json!({"eventTypes": ["PlannedMaintenance"]}),
        json!({"services": ["Storage"]}),
        json!({"regions": ["North Europe"]}),
        json!({"tags": ["Final PIR"]}),
        json!({"customers": [tenant(2)]}),
        json!({"labels": {"tier": "silver"}}),
        json!({"labels": {"tier": "gold", "team": "blue"}}),
        json!({"subscriptions": [subscription(2, 0)]}),
        json!({"resourceTypes": ["microsoft.sql/servers"]}),
        json!({"severity": "high", "regions": ["North Europe"]}),
    ] {
        assert!(!taken(other.clone(), &opened), "{other}");
    }
}

#[test]
fn resources_are_taken_by_type_region_and_subscription() {
    let id = |n| {
        let subscription = subscription(1, n);
        format!("/subscriptions/{subscription}/resourcegroups/g/providers/microsoft.sql/servers/s")
    };
    let gone = transition(1, json!({"kind": "resourceUnavailable", "resourceId": id(0)}));
    assert!(taken(json!({}), &gone));
    assert!(taken(json!({"resourceTypes": ["Microsoft.Sql/servers"]}), &gone));
    assert!(taken(json!({"regions": ["North Europe"]}), &gone));
    assert!(taken(json!({"subscriptions": [subscription(1, 0)]}), &gone));
    assert!(!taken(json!({"subscriptions": [subscription(1, 1)]}), &gone));
    assert!(!taken(json!({"resourceTypes": ["microsoft.sql/servers/databases"]}), &gone));
    assert!(!taken(json!({"eventTypes": ["ServiceIssue"]}), &gone));
}

#[test]
fn what_somebody_stopped_himself_is_no_news_unless_a_route_asks_for_it() {
    let id = format!(
        "/subscriptions/{}/resourcegroups/g/providers/microsoft.compute/virtualmachines/vm",
        subscription(1, 0)
    );
    let stopped = transition(1, json!({"kind": "resourceUnavailable", "resourceId": id}));
    let mut known = snapshot(1, &[]);
    let state = json!({"state": "Unavailable", "reason": "Customer Initiated"});
    known
        .resources
        .insert(ResourceId::parse(&id).expect("a resource id"), serde_json::from_value(state).expect("a state"));
    let told = |matching: Value| {
        plan(&route("customer", json!({"match": matching})), &customer(1), &known, std::slice::from_ref(&stopped)).len()
    };
    assert_eq!(told(json!({})), 0);
    assert_eq!(told(json!({"transitions": ["resourceUnavailable"]})), 1);
}

#[test]
fn what_keeps_us_from_reading_is_the_partners_affair_unless_a_route_says_otherwise() {
    let lost = json!({"kind": "accessLost", "subscriptionId": subscription(1, 0), "reason": "accessDenied", "since": minute(0)});
    let lost = transition(1, lost);
    let told = |audience: &str, matching: Value| {
        plan(&route(audience, json!({"match": matching})), &customer(1), &snapshot(1, &[]), std::slice::from_ref(&lost))
    };
    let partner = told("partner", json!({}));
    assert_eq!(partner.len(), 1);
    let story = &partner[0].story;
    assert_eq!((story.title.as_str(), story.phase), ("Sub 0 cannot be read any more", Phase::Began));
    assert!(story.remedy.as_deref().is_some_and(|text| text.contains("Reader")), "{story:?}");
    assert_eq!(
        story.customer.as_ref().map(|customer| customer.tenant_id),
        Some(tenant(1)),
        "the partner is told whose"
    );
    assert!(told("customer", json!({})).is_empty());
    assert_eq!(told("customer", json!({"transitions": ["accessLost"]})).len(), 1);
}

#[test]
fn sides_of_one_subscription_do_not_take_each_others_place() {
    let of = |source: &str| {
        let kind = json!({"kind": "coverageLost", "subscriptionId": subscription(1, 0), "source": source, "reason": "throttled"});
        transition(1, kind)
    };
    let told = plan(&route("partner", json!({})), &customer(1), &snapshot(1, &[]), &[of("events"), of("resources")]);
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].thread(), told[1].thread());
}

#[test]
fn the_end_is_told_though_the_severity_and_the_regions_that_it_began_with_are_gone() {
    let critical = route("partner", json!({"match": {"severity": "high", "regions": ["West Europe"]}}));
    let quiet = json!({"status": "Resolved", "eventLevel": "Informational", "impact": []});
    let (before, after) = (snapshot(1, &[(ID, 1, outage())]), snapshot(1, &[(ID, 1, with(outage(), quiet.clone()))]));
    let notes = BTreeMap::new();
    let transitions = [resolved(1, ID)];
    let customer = customer(1);
    let facts = Facts {
        customer: &customer,
        before: &before,
        after: &after,
        transitions: &transitions,
        notes: &notes,
        now: minute(2),
    };
    let told = notices(&critical, &facts);
    assert_eq!(told.len(), 1);
    assert!(told[0].only_after_start, "for those only who were told of the start");
    assert_eq!((told[0].story.phase, told[0].story.severity), (Phase::Ended, Severity::High));
    // Who asks for ends alone was never told of a start.
    let ends = route("partner", json!({"match": {"transitions": ["eventResolved"]}}));
    let told = notices(&ends, &facts);
    assert!(!told[0].only_after_start);
    let ends_of_critical =
        route("partner", json!({"match": {"transitions": ["eventResolved"], "services": ["Storage"]}}));
    assert!(notices(&ends_of_critical, &facts).is_empty());
}

#[test]
fn what_was_a_false_alarm_is_taken_back_from_those_who_were_told() {
    let retracted = transition(1, json!({"kind": "eventRetracted", "trackingId": ID, "title": "No impact"}));
    let told = plan(&route("customer", json!({})), &customer(1), &snapshot(1, &[(ID, 1, outage())]), &[retracted]);
    assert_eq!((told[0].story.phase, told[0].only_after_start), (Phase::Retracted, true));
}

#[test]
fn a_story_has_what_rendering_needs() {
    let told = plan(&route("customer", json!({})), &customer(1), &snapshot(1, &[(ID, 1, outage())]), &[opened(1, ID)]);
    insta::assert_json_snapshot!(told[0].story);
    let told = plan(&route("partner", json!({})), &customer(1), &snapshot(1, &[(ID, 1, outage())]), &[opened(1, ID)]);
    let story = &told[0].story;
    assert_eq!(told[0].scope, NoticeScope::Partner);
    // Nothing of it is this customer's: whoever is affected is found when it is sent.
    let text = serde_json::to_string(story).expect("JSON");
    assert!(!text.contains("Customer 1") && !text.contains(&subscription(1, 0).to_string()), "{text}");
}

#[test]
fn a_route_for_some_subscriptions_speaks_of_these_only() {
    let only = json!({"match": {"subscriptions": [subscription(1, 1)]}});
    let told = plan(&route("customer", only), &customer(1), &snapshot(1, &[(ID, 1, outage())]), &[opened(1, ID)]);
    let named: Vec<_> = told[0].story.subscriptions.keys().copied().collect();
    assert_eq!(named, [subscription(1, 1)]);
}

#[test]
fn outside_business_hours_in_the_customers_zone_it_waits_unless_it_is_critical() {
    let hours = json!({"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00", "bypass": "high"});
    let routes = route("customer", json!({"timing": {"businessHours": hours}}));
    let tokyo = customer_with(1, json!({"timeZone": "Asia/Tokyo"}));
    let mild = with(outage(), json!({"eventLevel": "Warning"}));
    // 12:02 UTC is 21:02 in Tokyo.
    let told = plan(&routes, &tokyo, &snapshot(1, &[(ID, 1, mild.clone())]), &[opened(1, ID)]);
    assert_eq!(told[0].not_before, "2026-01-15T23:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time"));
    let told = plan(&routes, &tokyo, &snapshot(1, &[(ID, 1, outage())]), &[opened(1, ID)]);
    assert_eq!(told[0].not_before, minute(2), "critical at any hour");
    let told = plan(&routes, &customer(1), &snapshot(1, &[(ID, 1, mild)]), &[opened(1, ID)]);
    assert_eq!(told[0].not_before, minute(2), "without a zone it is UTC, where somebody listens");
}

#[test]
fn a_digest_waits_for_its_hour_and_holds_one_customers_affairs_only() {
    let routes = route("customer", json!({"timing": {"digest": {"every": "daily", "atHour": 7}}}));
    let berlin = |n| customer_with(n, json!({"timeZone": "Europe/Berlin"}));
    let of = |n: u128| {
        let known = snapshot(n, &[(ID, 1, outage()), ("EFGH-456", 1, outage())]);
        plan(&routes, &berlin(n), &known, &[opened(n, ID), opened(n, "EFGH-456")])
    };
    let (one, two) = (of(1), of(2));
    assert_eq!(one[0].not_before, "2026-01-16T06:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time"));
    assert!(one[0].bundle.is_some() && one[0].bundle == one[1].bundle);
    assert_ne!(one[0].bundle, two[0].bundle, "what is one customer's is never told to another");
}

#[test]
fn the_partners_notice_waits_for_further_customers_and_a_storm_for_the_end_of_its_window() {
    let known = snapshot(1, &[(ID, 1, outage())]);
    let at = |routes| plan(&routes, &customer(1), &known, &[opened(1, ID)])[0].not_before;
    assert_eq!(at(route("partner", json!({}))), minute(3));
    assert_eq!(at(route("partner", json!({"timing": {"groupSeconds": 300}}))), minute(7));
    assert_eq!(at(route("customer", json!({}))), minute(2));
    assert_eq!(at(route("customer", json!({"timing": {"groupSeconds": 300, "stormAbove": 5}}))), minute(5));
}

#[test]
fn a_snoozed_incident_waits_but_for_its_end() {
    let mut notes = IncidentNotes::new(tracking(ID));
    notes.snoozed = Some(Snooze { by: "Ada".into(), at: minute(0), reason: "known".into(), until: minute(500) });
    let notes = BTreeMap::from([(tracking(ID), notes)]);
    let routes = route("customer", json!({}));
    let known = snapshot(1, &[(ID, 1, outage())]);
    let at = |transition, now| plan_at(&routes, &customer(1), &known, &[transition], &notes, now)[0].not_before;
    assert_eq!(at(opened(1, ID), minute(2)), minute(500));
    assert_eq!(at(resolved(1, ID), minute(2)), minute(2));
    assert_eq!(at(opened(1, ID), minute(501)), minute(501), "the snooze is over");
}

#[test]
fn the_partners_own_affairs_are_told_to_the_partner() {
    let kind = json!({"kind": "credentialExpiring", "credential": "client secret", "expiresAt": minute(1000), "withinDays": 1});
    let ends = transition(9, kind);
    let all = routes(json!([
        {"id": "all", "audience": "partner", "channels": ["ops"]},
        {"id": "gold", "audience": "partner", "channels": ["ops"], "match": {"labels": {"tier": "gold"}}},
        {"id": "each", "audience": "customer", "channels": ["ops"]},
    ]));
    let told = partner_notices(&all, &[ends], minute(2));
    assert_eq!(told.iter().map(|notice| notice.route.as_str()).collect::<Vec<_>>(), ["all"]);
    assert_eq!(told[0].subject, Subject::Monitor { aspect: "credential".to_owned() });
    assert_eq!(told[0].story.severity, Severity::High);
}

#[test]
fn that_one_more_subscription_of_a_customer_sees_it_is_no_news_for_the_partner() {
    let spread = json!({"kind": "eventUpdated", "trackingId": ID, "title": "T", "severity": "high", "changes": ["subscriptions"]});
    let spread = [transition(1, spread)];
    let known = snapshot(1, &[(ID, 1, outage())]);
    assert!(plan(&route("partner", json!({})), &customer(1), &known, &spread).is_empty());
    assert_eq!(plan(&route("customer", json!({})), &customer(1), &known, &spread).len(), 1);
}

#[test]
fn a_storm_is_one_message_for_each_of_its_audience_and_below_it_each_is_told_alone() {
    let routes = route("customer", json!({"timing": {"stormAbove": 3}}));
    let ids = ["AAAA-111", "BBBB-222", "CCCC-333", "DDDD-444"];
    let of = |n: u128, count: usize| {
        let events: Vec<_> = ids[..count].iter().map(|id| (*id, 1, outage())).collect();
        let transitions: Vec<_> = ids[..count].iter().map(|id| opened(n, id)).collect();
        plan(&routes, &customer(n), &snapshot(n, &events), &transitions)
    };
    let mut all = [of(1, 4), of(2, 4), of(3, 3)].concat();
    let storms = together(&routes, &all);
    let message = |n: u128| {
        let of_one =
            |notice: &&health_monitor::model::Notice| notice.scope == NoticeScope::Customer { tenant_id: tenant(n) };
        all.iter().filter(of_one).map(|notice| storms.get(&notice.id)).collect::<BTreeSet<_>>()
    };
    assert_eq!((message(1).len(), message(2).len()), (1, 1));
    assert!(message(1).is_disjoint(&message(2)) && message(1).iter().all(Option::is_some));
    assert_eq!(message(3), BTreeSet::from([None]), "three are no storm");
    let before = storms.clone();
    all.reverse();
    assert_eq!(together(&routes, &all), before);
}
