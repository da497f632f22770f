//! The description of `/api/v1` for programs: OpenAPI 3.1, at `openapi.json`. Operations are the table below, shapes are
//! `openapi/components.json`. tests/it/docs/openapi.rs asks every operation and holds both to what is answered.

use serde_json::{Map, Value, json};

/// Shapes, parameters and problems.
const COMPONENTS: &str = include_str!("openapi/components.json");

/// One thing that can be asked for.
struct Operation {
    method: &'static str,
    /// Below `/api/v1`; what is in braces is a parameter of the same name.
    path: &'static str,
    /// Its name in generated clients.
    id: &'static str,
    summary: &'static str,
    /// Parameters beside those of the path, as `components.json` names them.
    parameters: &'static [&'static str],
    /// The shape of what is sent.
    body: Option<&'static str>,
    answer: Answer,
}

/// What comes when all went well.
enum Answer {
    /// JSON of this shape, with an ETag.
    Read(&'static str),
    /// JSON of this shape, after a change.
    Changed(&'static str, &'static str),
    /// JSON, or CSV of the same.
    OrCsv(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// Nothing but that it is done.
    Done,
}

const fn read(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [&'static str],
    shape: &'static str,
) -> Operation {
    Operation { method: "get", path, id, summary, parameters, body: None, answer: Answer::Read(shape) }
}

const fn end(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation { method: "delete", path, id, summary, parameters: &[], body: None, answer: Answer::Done }
}

const fn send(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    body: &'static str,
    answer: (&'static str, &'static str),
) -> Operation {
    let answer = Answer::Changed(answer.0, answer.1);
    Operation { method: "post", path, id, summary, parameters: &[], body: Some(body), answer }
}

const PAGE: &[&str] = &["top", "cursor"];
const EVENTS: &[&str] = &["top", "cursor", "status", "eventType"];
const TIMELINE: &[&str] = &["top", "cursor", "since", "until", "kind", "trackingIdFilter"];
const REPORT: &[&str] = &["from", "to", "eventType", "format"];

const OPERATIONS: &[Operation] = &[
    read("/customers", "listCustomers", "All customers, each with its health in one word", PAGE, "Customers"),
    read(
        "/customers/{tenantId}",
        "getCustomer",
        "One customer, its subscriptions and what was granted",
        &[],
        "Customer",
    ),
    Operation {
        method: "patch",
        path: "/customers/{tenantId}",
        id: "changeCustomer",
        summary: "Changes name, labels, time zone or contacts: what is absent stays, null takes away",
        parameters: &[],
        body: Some("CustomerChange"),
        answer: Answer::Changed("200", "Customer"),
    },
    Operation {
        parameters: &["erase"],
        ..end(
            "/customers/{tenantId}",
            "offboardCustomer",
            "Stops watching a customer, and erases what is kept if asked to",
        )
    },
    read(
        "/customers/{tenantId}/health",
        "getCustomerHealth",
        "Status, reasons, active events, resources that are not available",
        &[],
        "Health",
    ),
    read(
        "/customers/{tenantId}/subscriptions/{subscriptionId}/health",
        "getSubscriptionHealth",
        "The same of one subscription; read from Azure now when asked to",
        &["refresh"],
        "Health",
    ),
    read(
        "/customers/{tenantId}/events",
        "listEvents",
        "All events of a customer, each with the resources that Azure names as hit",
        EVENTS,
        "Events",
    ),
    read(
        "/customers/{tenantId}/timeline",
        "listTimeline",
        "What happened to a customer, the newest first",
        TIMELINE,
        "Timeline",
    ),
    Operation {
        answer: Answer::OrCsv("Report"),
        ..read("/customers/{tenantId}/report", "getReport", "Minutes of impact per month and service", REPORT, "Report")
    },
    read(
        "/customers/{tenantId}/receipt",
        "getReceipt",
        "What a customer granted, and how it is taken back",
        &[],
        "Receipt",
    ),
    read(
        "/changes",
        "listChanges",
        "What is new over all customers, each once: go on with the deltaLink",
        &["top", "changesSince"],
        "Changes",
    ),
    read("/incidents", "listIncidents", "Each tracking id over all customers", EVENTS, "Incidents"),
    read(
        "/incidents/{trackingId}",
        "getIncident",
        "One incident with its texts and everybody affected",
        &[],
        "IncidentDetail",
    ),
    send(
        "/incidents/{trackingId}/acknowledge",
        "acknowledgeIncident",
        "Somebody looks after it: no reminders",
        "Acknowledge",
        ("200", "IncidentDetail"),
    ),
    end("/incidents/{trackingId}/acknowledge", "unacknowledgeIncident", "Nobody looks after it any more"),
    send(
        "/incidents/{trackingId}/snooze",
        "snoozeIncident",
        "Nothing but its end is told of it until then",
        "SnoozeWanted",
        ("200", "IncidentDetail"),
    ),
    end("/incidents/{trackingId}/snooze", "unsnoozeIncident", "What the snooze held is told at once"),
    send("/incidents/{trackingId}/notes", "noteIncident", "A remark", "NoteWanted", ("200", "IncidentDetail")),
    read(
        "/emerging-issues",
        "listEmergingIssues",
        "What Azure's status page says about the whole cloud, before it says whom it hits",
        &[],
        "EmergingIssues",
    ),
    read(
        "/notices",
        "listNotices",
        "Who is told what, when, with which answer",
        &["top", "cursor", "state"],
        "Notices",
    ),
    Operation {
        body: None,
        ..send(
            "/notices/{noticeId}/replay",
            "replayNotice",
            "Sends anew what was given up",
            "Nothing",
            ("202", "Replayed"),
        )
    },
    send(
        "/notices/replay",
        "replayNotices",
        "Sends anew all that was given up, or that of one channel",
        "ReplayWanted",
        ("202", "Replayed"),
    ),
    read("/routes", "getRoutes", "Who is told of what", &[], "Routes"),
    Operation {
        method: "put",
        parameters: &["ifMatch", "ifNoneMatchAny"],
        ..send(
            "/routes",
            "setRoutes",
            "Sets who is told of what; nothing unless all of it is right",
            "Routes",
            ("200", "Routes"),
        )
    },
    send("/routes/{routeId}/test", "testRoute", "One message to each channel now", "Nothing", ("200", "Trials")),
    send(
        "/routes/dry-run",
        "dryRunRoutes",
        "What would have been told of the last days; sends nothing",
        "DryRunWanted",
        ("200", "DryRun"),
    ),
    read("/invites", "listInvites", "All invites, the newest first", &[], "Invites"),
    send("/invites", "makeInvite", "Makes an invite and its link", "InviteWanted", ("201", "Invite")),
    end("/invites/{inviteId}", "withdrawInvite", "Takes an invite back"),
    Operation {
        answer: Answer::Text(crate::query::metrics::CONTENT_TYPE),
        ..read("/metrics", "getMetrics", "OpenMetrics, computed from what is kept", &[], "")
    },
    read("/openapi.json", "getDescription", "This description", &[], "Description"),
];

/// The document, for a program that is reached at `base`.
pub(super) fn document(base: &str) -> Value {
    let mut components: Value = serde_json::from_str(COMPONENTS).unwrap_or_default();
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let described = describe(operation);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if path.get("parameters").is_none() {
            let named = names_in(operation.path).map(|name| json!({"$ref": format!("#/components/parameters/{name}")}));
            path["parameters"] = named.collect();
        }
        path[operation.method] = described;
    }
    components["securitySchemes"] = json!({
        "key": {"type": "apiKey", "in": "header", "name": "x-functions-key",
            "description": "A function key, or one of PARTNER_API_KEYS where there is no Functions host."},
        "code": {"type": "apiKey", "in": "query", "name": "code", "description": "The same key."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "The same key, where there is no Functions host."},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Azure Health Partner Monitor",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The Azure health of many customers, for a partner's portals",
            "description": "Whatever is answered about health says as of when (asOf), and names what could not be read \
                (coverage). Unknown is not healthy, and absence is not resolved. Members may be added; readers ignore what they do \
                not know. Words such as eventType are Azure's own and may grow.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": base}],
        "security": [{"key": []}, {"code": []}, {"bearer": []}],
        "paths": paths,
        "components": components,
    })
}

fn describe(operation: &Operation) -> Value {
    let of = |kind: &str, name: &str| json!({"$ref": format!("#/components/{kind}/{name}")});
    let json_of = |shape: &str| json!({"application/json": {"schema": of("schemas", shape)}});
    let headers = json!({"x-ms-request-id": of("headers", "requestId")});
    let with_etag = json!({"x-ms-request-id": of("headers", "requestId"), "ETag": of("headers", "etag")});
    let mut parameters: Vec<Value> = operation.parameters.iter().map(|name| of("parameters", name)).collect();
    let mut responses = json!({"default": of("responses", "problem")});
    match operation.answer {
        Answer::Read(shape) | Answer::OrCsv(shape) => {
            let mut content = json_of(shape);
            if matches!(operation.answer, Answer::OrCsv(_)) {
                content["text/csv"] = json!({"schema": {"type": "string"}});
            }
            parameters.push(of("parameters", "ifNoneMatch"));
            responses["200"] = json!({"description": operation.summary, "headers": with_etag, "content": content});
            responses["304"] = of("responses", "notModified");
        }
        Answer::Changed(status, shape) => {
            let headers = if operation.method == "put" { with_etag } else { headers };
            responses[status] =
                json!({"description": operation.summary, "headers": headers, "content": json_of(shape)});
            if operation.method == "put" {
                responses["201"] = responses[status].clone();
            }
        }
        Answer::Text(kind) => {
            let content = json!({kind: {"schema": {"type": "string"}}});
            responses["200"] = json!({"description": operation.summary, "headers": headers, "content": content});
        }
        Answer::Done => responses["204"] = json!({"description": operation.summary, "headers": headers}),
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(shape) = operation.body {
        described["requestBody"] = json!({"required": true, "content": json_of(shape)});
    }
    described
}

/// What is in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
