//! Microsoft Graph as a program with its own identity meets it: users page by page, and mail on behalf of a mailbox.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::exchange::{Reply, Request};
use super::tenants::User;
use super::world::World;
use super::{Shared, State};
use crate::model::{ObjectId, TenantId, Timestamp};

/// The audience of tokens for Graph, which no override of its address changes.
pub(super) const GRAPH_AUDIENCE: &str = "https://graph.microsoft.com";

/// What Graph shows of a user when nothing is selected.
const DEFAULT_FIELDS: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

/// The users and mailboxes of the tenants, and what our application may do with them.
#[derive(Debug, Clone)]
pub struct Office {
    /// Application permissions of Graph (`User.Read.All`, `Mail.Send`) by tenant, each with the time of its consent.
    pub permissions: BTreeMap<TenantId, BTreeMap<String, Timestamp>>,
    /// How long after that consent tokens still lack it.
    pub propagation_delay: Duration,
    /// Users on a page when nothing is asked for.
    pub page_size: usize,
    /// The first page is empty and has a link to the next.
    pub empty_first_page: bool,
    /// The link to the next page leads to this host.
    pub next_link_host: Option<String>,
    /// Users without a mailbox.
    pub without_mailbox: BTreeSet<ObjectId>,
    /// Mailboxes that the application may use by a role of Exchange: its token says nothing of that.
    pub by_exchange_role: BTreeSet<ObjectId>,
    /// Mailboxes that an access policy of Exchange keeps from the application.
    pub kept_by_policy: BTreeSet<ObjectId>,
    /// Messages a mailbox may send in a minute.
    pub mails_per_minute: usize,
    /// What was sent.
    pub sent: Vec<SentMail>,
    windows: BTreeMap<ObjectId, VecDeque<Timestamp>>,
}

/// A message that Graph took.
#[derive(Debug, Clone, PartialEq)]
pub struct SentMail {
    /// Whose mailbox.
    pub from: String,
    /// When.
    pub at: Timestamp,
    /// `message` as it came.
    pub message: Value,
    /// Whether a copy is kept.
    pub saved: bool,
}

impl Default for Office {
    fn default() -> Self {
        Self {
            permissions: BTreeMap::new(),
            propagation_delay: Duration::ZERO,
            page_size: 100,
            empty_first_page: false,
            next_link_host: None,
            without_mailbox: BTreeSet::new(),
            by_exchange_role: BTreeSet::new(),
            kept_by_policy: BTreeSet::new(),
            mails_per_minute: 30,
            sent: Vec::new(),
            windows: BTreeMap::new(),
        }
    }
}

impl World {
    /// An administrator's consent to an application permission of Graph.
    pub fn permit(&mut self, tenant: TenantId, permission: &str) {
        let now = self.now();
        self.office.permissions.entry(tenant).or_default().insert(permission.to_owned(), now);
    }

    /// The application permissions that a token of now has.
    pub(super) fn permissions(&self, tenant: TenantId) -> Vec<&str> {
        let delay = TimeDelta::from_std(self.office.propagation_delay).unwrap_or_default();
        let all = self.office.permissions.get(&tenant).into_iter().flatten();
        all.filter(|(_, since)| **since + delay <= self.now()).map(|(name, _)| name.as_str()).collect()
    }
}

fn error(state: &mut State, status: u16, code: &str, message: &str) -> Reply {
    let id = state.world.fresh_id("graph-request").to_string();
    let body = json!({"error": {"code": code, "message": message, "innerError": {
        "date": state.world.now().format("%Y-%m-%dT%H:%M:%S").to_string(), "request-id": id, "client-request-id": id,
    }}});
    Reply::json(status, &body).with("request-id", id)
}

/// True for what this room answers.
pub(super) fn is_ours(request: &Request) -> bool {
    request.path == "/v1.0/users" || request.path.starts_with("/v1.0/users/")
}

pub(super) fn answer(shared: &Shared, state: &mut State, request: &Request) -> Reply {
    dispatch(shared, state, request).unwrap_or_else(|refusal| refusal)
}

fn dispatch(shared: &Shared, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let claims = authenticate(shared, state, request)?;
    let roles: Vec<String> =
        claims["roles"].as_array().into_iter().flatten().filter_map(|role| role.as_str().map(str::to_owned)).collect();
    let tenant = claims["tid"].as_str().and_then(|id| id.parse::<TenantId>().ok());
    let Some(tenant) = tenant else {
        return Err(error(state, 401, "InvalidAuthenticationToken", "Access token validation failure."));
    };
    let has = |any: &[&str]| roles.iter().any(|role| any.contains(&role.as_str()));
    let rest = request.path.trim_start_matches("/v1.0/users").trim_matches('/');
    let segments: Vec<String> = rest.split('/').filter(|one| !one.is_empty()).map(decoded).collect();
    let reads = ["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
    match (request.method.as_str(), segments.as_slice()) {
        ("GET", [] | [_]) if !has(&reads) => {
            let message = "Insufficient privileges to complete the operation.";
            Err(error(state, 403, "Authorization_RequestDenied", message))
        }
        ("GET", []) => list(shared, state, request, tenant),
        ("GET", [one]) => {
            let Some(user) = find(&state.world, tenant, one).cloned() else { return Err(no_user(state, one)) };
            let mut body = shown(&user, &fields(request));
            body["@odata.context"] = context(shared, "users/$entity").into();
            Ok(Reply::json(200, &body))
        }
        ("POST", [one, action]) if action == "sendMail" => send(state, request, tenant, one, has(&["Mail.Send"])),
        _ => Err(error(state, 400, "Request_BadRequest", "Resource not found for the segment.")),
    }
}

fn decoded(segment: &str) -> String {
    // A plus sign is itself in a path.
    let text = format!("v={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The claims of an application's token for Graph.
fn authenticate(shared: &Shared, state: &mut State, request: &Request) -> Result<Value, Reply> {
    const CODE: &str = "InvalidAuthenticationToken";
    let Some(token) = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(error(state, 401, CODE, "Access token is empty."));
    };
    let claims = shared.keys.claims(token).filter(|claims| claims["idtyp"] == "app");
    let Some(claims) = claims.filter(|claims| claims["aud"] == GRAPH_AUDIENCE) else {
        return Err(error(state, 401, CODE, "Access token validation failure. Invalid audience."));
    };
    if claims["exp"].as_i64().is_none_or(|end| end <= state.world.now().timestamp()) {
        return Err(error(state, 401, CODE, "Lifetime validation failed, the token is expired."));
    }
    Ok(claims)
}

fn find<'a>(world: &'a World, tenant: TenantId, name: &str) -> Option<&'a User> {
    let fits = |user: &&User| user.upn.eq_ignore_ascii_case(name) || user.object_id.to_string() == name;
    world.users.values().filter(|user| user.tenant == tenant).find(fits)
}

fn no_user(state: &mut State, name: &str) -> Reply {
    let message =
        format!("Resource '{name}' does not exist or one of its queried reference-property objects are not present.");
    error(state, 404, "Request_ResourceNotFound", &message)
}

fn fields(request: &Request) -> Vec<String> {
    match request.param("$select") {
        Some(select) => select.split(',').map(|field| field.trim().to_owned()).collect(),
        None => DEFAULT_FIELDS.map(str::to_owned).to_vec(),
    }
}

fn shown(user: &User, fields: &[String]) -> Value {
    let (given, surname) = user.display_name.split_once(' ').unwrap_or((&user.display_name, ""));
    let all = json!({
        "accountEnabled": user.sign_in_refused.is_none(),
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": given,
        "id": user.object_id,
        "jobTitle": user.admin.then_some("Administrator"),
        "mail": (!user.guest).then_some(&user.upn),
        "mobilePhone": null,
        "officeLocation": null,
        "preferredLanguage": null,
        "surname": surname,
        "userPrincipalName": user.upn,
        "userType": if user.guest { "Guest" } else { "Member" },
    });
    let chosen = |name: &String| Some((name.clone(), all.get(name)?.clone()));
    let mut row: Map<String, Value> = fields.iter().filter_map(chosen).collect();
    // Graph gives the id whatever is selected.
    row.insert("id".to_owned(), user.object_id.to_string().into());
    Value::Object(row)
}

fn context(shared: &Shared, what: &str) -> String {
    format!("{}v1.0/$metadata#{what}", shared.graph)
}

fn list(shared: &Shared, state: &mut State, request: &Request, tenant: TenantId) -> Result<Reply, Reply> {
    let top = match request.param("$top").map(|top| top.parse::<usize>()) {
        None => state.world.office.page_size,
        Some(Ok(top @ 1..=999)) => top,
        Some(_) => {
            let message = "Invalid page size specified: must be between 1 and 999 inclusive.";
            return Err(error(state, 400, "Request_UnsupportedQuery", message));
        }
    };
    if request.param("$skip").is_some() {
        return Err(error(state, 400, "Request_UnsupportedQuery", "'$skip' is not supported by the service."));
    }
    let eventual = request.header("consistencylevel").is_some_and(|level| level.eq_ignore_ascii_case("eventual"));
    let (filter, search) = (request.param("$filter"), request.param("$search"));
    if (search.is_some() || request.param("$count").is_some()) && !eventual {
        let message = "Request with $search or $count query parameter only works with a request header: 'ConsistencyLevel: eventual'.";
        return Err(error(state, 400, "Request_UnsupportedQuery", message));
    }
    let mut keeps: Vec<Condition> = Vec::new();
    for condition in [filter.as_deref().map(filtered), search.as_deref().map(searched)].into_iter().flatten() {
        match condition {
            Some(condition) => keeps.push(condition),
            None => return Err(error(state, 400, "Request_UnsupportedQuery", "Unsupported Query.")),
        }
    }
    let offset = match request.param("$skiptoken").map(|token| offset_of(&token)) {
        None => None,
        Some(Some(offset)) => Some(offset),
        Some(None) => return Err(error(state, 400, "Directory_ExpiredPageToken", "The page token is not valid.")),
    };
    let world = &state.world;
    let mut rows: Vec<&User> = world.users.values().filter(|user| user.tenant == tenant).collect();
    rows.retain(|user| keeps.iter().all(|keep| keep(user)));
    let total = rows.len();
    let empty = world.office.empty_first_page && offset.is_none();
    let start = offset.unwrap_or(0);
    let chosen = fields(request);
    let page: Vec<Value> =
        rows.iter().skip(start).take(if empty { 0 } else { top }).map(|user| shown(user, &chosen)).collect();
    let end = start + page.len();
    let mut body = json!({"@odata.context": context(shared, "users"), "value": page});
    if request.param("$count").is_some() && offset.is_none() {
        body["@odata.count"] = total.into();
    }
    if end < total {
        body["@odata.nextLink"] = next_link(shared, world, request, end).into();
    }
    Ok(Reply::json(200, &body))
}

fn next_link(shared: &Shared, world: &World, request: &Request, offset: usize) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let kept = url::form_urlencoded::parse(request.query.as_bytes());
    query.extend_pairs(kept.filter(|(name, _)| !name.eq_ignore_ascii_case("$skiptoken")));
    query.append_pair("$skiptoken", &URL_SAFE_NO_PAD.encode(format!("users:{offset}")));
    let host = world.office.next_link_host.clone();
    let host = host.unwrap_or_else(|| shared.graph.as_str().trim_end_matches('/').to_owned());
    format!("{host}{}?{}", request.path, query.finish())
}

fn offset_of(token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("users:")?.parse().ok()
}

type Condition = Box<dyn Fn(&User) -> bool>;

/// `startswith(displayName,'..')` and `userType eq '..'`.
fn filtered(filter: &str) -> Option<Condition> {
    if let Some(rest) = filter.strip_prefix("startswith(displayName,'") {
        let start = rest.strip_suffix("')")?.to_lowercase();
        return Some(Box::new(move |user| user.display_name.to_lowercase().starts_with(&start)));
    }
    let wanted = filter.strip_prefix("userType eq '")?.strip_suffix('\'')?.to_owned();
    Some(Box::new(move |user| (if user.guest { "Guest" } else { "Member" }) == wanted))
}

/// `"displayName:term"`.
fn searched(search: &str) -> Option<Condition> {
    let term = search.strip_prefix("\"displayName:")?.strip_suffix('"')?.to_lowercase();
    Some(Box::new(move |user| user.display_name.to_lowercase().split(' ').any(|word| word.starts_with(&term))))
}

fn send(state: &mut State, request: &Request, tenant: TenantId, name: &str, permitted: bool) -> Result<Reply, Reply> {
    const DENIED: &str = "ErrorAccessDenied";
    let user = find(&state.world, tenant, name).cloned();
    let by_role = user.as_ref().is_some_and(|user| state.world.office.by_exchange_role.contains(&user.object_id));
    if !permitted && !by_role {
        return Err(error(state, 403, DENIED, "Access is denied. Check credentials and try again."));
    }
    let Some(user) = user else {
        return Err(error(state, 404, "ErrorInvalidUser", &format!("The requested user '{name}' is invalid.")));
    };
    if state.world.office.kept_by_policy.contains(&user.object_id) {
        let message =
            "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.";
        return Err(error(state, 403, DENIED, message));
    }
    if user.guest || state.world.office.without_mailbox.contains(&user.object_id) {
        let message = "The mailbox is either inactive, soft-deleted, or is hosted on-premise.";
        return Err(error(state, 404, "MailboxNotEnabledForRESTAPI", message));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let Some(message) = body.get("message").filter(|message| message.is_object()) else {
        let text = "The 'message' parameter is missing or its JSON is malformed.";
        return Err(error(state, 400, "BadRequest", text));
    };
    let lists = ["toRecipients", "ccRecipients", "bccRecipients"].map(|list| message[list].as_array());
    let addresses: Vec<&Value> = lists.into_iter().flatten().flatten().collect();
    let good = |one: &&Value| one["emailAddress"]["address"].as_str().is_some_and(|text| text.contains('@'));
    if addresses.is_empty() || addresses.len() > 500 || !addresses.iter().all(good) {
        return Err(error(state, 400, "ErrorInvalidRecipients", "At least one recipient is not valid."));
    }
    let headers = message["internetMessageHeaders"].as_array();
    if headers.is_some_and(|all| all.is_empty() || all.iter().any(|one| !header_fits(one))) {
        return Err(error(state, 400, "InvalidInternetMessageHeader", "The internet message header is not valid."));
    }
    let now = state.world.now();
    let window = state.world.office.windows.entry(user.object_id).or_default();
    while window.front().is_some_and(|at| now - *at >= TimeDelta::minutes(1)) {
        window.pop_front();
    }
    // A rejected call counts too.
    window.push_back(now);
    if window.len() > state.world.office.mails_per_minute {
        let message = "Application is over its MailboxConcurrency limit.";
        return Err(error(state, 429, "ApplicationThrottled", message).with("retry-after", "20"));
    }
    let saved = body.get("saveToSentItems").is_none_or(|saved| saved != false && saved != "false");
    let message = message.clone();
    state.world.office.sent.push(SentMail { from: user.upn, at: now, message, saved });
    let id = state.world.fresh_id("graph-request").to_string();
    Ok(Reply::empty(202).with("request-id", id))
}

fn header_fits(header: &Value) -> bool {
    header["name"].as_str().is_some_and(|name| name.to_ascii_lowercase().starts_with("x-"))
        && header["value"].is_string()
}
