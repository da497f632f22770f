//! How fast we ask. Per tenant, and shared by everything that this process asks there: Resource Graph's quota, and what
//! Azure asked not to be asked before a time ("Azure health data APIs", 3.2 and section 4). One tenant's rest is no other's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::HeaderMap;

use super::backoff::{LONGEST_WAIT, MAX_TRIES};
use super::request::{Called, header, retry_after};
use super::{Client, Error};
use crate::model::{Pace, Quota, Spent, TenantId, Timestamp};

/// Resource Graph's documented quota, until its headers say more: so many queries ...
const QUERIES: u32 = 15;
/// ... in this time.
const QUERY_WINDOW: TimeDelta = TimeDelta::seconds(5);
/// More than any honest `resets-after`: the documented window is five seconds.
const LONGEST_WINDOW: u64 = 60;
/// How long one poll waits for Azure altogether before it leaves the rest to the next one: others wait for its place.
const PATIENCE: TimeDelta = TimeDelta::seconds(90);
/// The longest rest that is believed.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3600);
/// How long a subscription is left alone that has few reads left; the documented refill is 25 reads each second.
const BREATH: Duration = Duration::from_secs(1);
/// Tenants remembered; those that nothing was asked of for a while go first.
const TENANTS: usize = 10_000;
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::minutes(10);

/// What this process knows of each tenant's patience, and what it asked of Azure altogether.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    tenants: Mutex<BTreeMap<TenantId, Known>>,
    requests: Mutex<BTreeMap<&'static str, BTreeMap<u16, u64>>>,
}

#[derive(Debug)]
struct Known {
    used_at: Timestamp,
    graph: Window,
    rests: BTreeMap<Quota, Timestamp>,
}

/// The queries of one window.
#[derive(Debug, Default)]
struct Window {
    /// Tells the answers of this window from later ones.
    number: u64,
    ends_at: Timestamp,
    limit: u32,
    sent: u32,
    left: u32,
    in_flight: u32,
}

impl Window {
    /// Takes one query, or says how long to wait. Pure but for the window itself.
    fn take(&mut self, now: Timestamp) -> Option<TimeDelta> {
        if now >= self.ends_at {
            let limit = self.limit.max(QUERIES);
            *self =
                Self { number: self.number + 1, ends_at: now + QUERY_WINDOW, limit, left: limit, ..Self::default() };
        }
        if self.left == 0 {
            return Some(self.ends_at - now);
        }
        self.left -= 1;
        self.sent += 1;
        self.in_flight += 1;
        None
    }

    /// What an answer said. What is still on its way Azure may not have counted yet.
    fn answered(&mut self, number: u64, quota: Option<(u32, Duration)>, now: Timestamp) {
        if number != self.number {
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some((remaining, resets_after)) = quota else { return };
        if remaining >= self.limit {
            // This principal is granted more than the usual.
            self.limit = remaining.saturating_add(1);
            self.left = self.limit.saturating_sub(self.sent);
        }
        self.left = self.left.min(remaining.saturating_sub(self.in_flight));
        if remaining <= 1 {
            self.left = 0;
            self.ends_at = now + delta(resets_after);
        }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// A call that may be made now.
#[derive(Debug)]
pub(super) struct Turn {
    lane: Quota,
    source: &'static str,
    window: u64,
}

impl Turn {
    /// How long this source may take where it needs longer than others: the activity log works up to 75 s on an answer.
    pub(super) fn timeout(&self) -> Option<Duration> {
        (self.source == "activityLog").then_some(Duration::from_secs(90))
    }
}

/// Counts what one poll spends, and ends its patience.
#[derive(Debug)]
pub(crate) struct Meter {
    tenant: TenantId,
    patient_until: Timestamp,
    /// The most tries of one call.
    pub(super) tries: u32,
    spare: AtomicU32,
    spent: Mutex<Spent>,
}

impl Meter {
    pub(super) fn new(tenant: TenantId, now: Timestamp, spare: u32) -> Self {
        Self {
            tenant,
            patient_until: now + PATIENCE,
            tries: MAX_TRIES,
            spare: AtomicU32::new(spare),
            spent: Mutex::default(),
        }
    }

    /// For a call that is not worth waiting for.
    pub(super) fn hasty(tenant: TenantId, now: Timestamp) -> Self {
        Self { tries: 1, patient_until: now, ..Self::new(tenant, now, 0) }
    }

    /// Takes some calls out of what is spare. False: there are not so many left, and none are taken.
    pub(super) fn spend(&self, calls: u32) -> bool {
        self.spare.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(calls)).is_ok()
    }

    pub(super) fn spent(&self) -> Spent {
        held(&self.spent).clone()
    }

    /// True when waiting so long is still worth it.
    pub(super) fn waits(&self, now: Timestamp, wait: Duration) -> bool {
        now + delta(wait) <= self.patient_until
    }
}

impl Pacer {
    /// Remembers a rest that another process was told to take.
    pub(super) fn rest(&self, tenant: TenantId, lane: Quota, until: Timestamp, now: Timestamp) {
        let mut tenants = held(&self.tenants);
        let known = Self::known(&mut tenants, tenant, now);
        let rest = known.rests.entry(lane).or_insert(until);
        *rest = (*rest).max(until);
    }

    fn known(tenants: &mut BTreeMap<TenantId, Known>, tenant: TenantId, now: Timestamp) -> &mut Known {
        if tenants.len() >= TENANTS && !tenants.contains_key(&tenant) {
            tenants.retain(|_, known| {
                now - known.used_at < FORGOTTEN_AFTER || known.rests.values().any(|until| *until > now)
            });
        }
        let known = tenants.entry(tenant).or_insert_with(|| Known {
            used_at: now,
            graph: Window::default(),
            rests: BTreeMap::new(),
        });
        known.used_at = now;
        known.rests.retain(|_, until| *until > now);
        known
    }

    /// How long to wait before a call. `Ok`: not at all, and it is counted; the number of its window.
    fn ask(&self, tenant: TenantId, lane: Quota, now: Timestamp) -> Result<u64, TimeDelta> {
        let mut tenants = held(&self.tenants);
        let known = Self::known(&mut tenants, tenant, now);
        if let Some(until) = known.rests.get(&lane) {
            return Err(*until - now);
        }
        match lane {
            Quota::Graph => known.graph.take(now).map_or(Ok(known.graph.number), Err),
            _ => Ok(0),
        }
    }

    fn answered(&self, tenant: TenantId, window: u64, quota: Option<(u32, Duration)>, now: Timestamp) {
        if let Some(known) = held(&self.tenants).get_mut(&tenant) {
            known.graph.answered(window, quota, now);
        }
    }

    fn count(&self, source: &'static str, status: u16) {
        let mut requests = held(&self.requests);
        let total: &mut u64 = requests.entry(source).or_default().entry(status).or_default();
        *total = total.saturating_add(1);
    }
}

impl Client {
    /// The requests of this process to Resource Manager so far, by source and HTTP status; 0: no answer came.
    pub fn requests(&self) -> BTreeMap<&'static str, BTreeMap<u16, u64>> {
        held(&self.pacer.requests).clone()
    }

    /// The same client, keeping to the pace of one poll.
    pub(super) fn metered(&self, meter: std::sync::Arc<Meter>) -> Self {
        Self { meter: Some(meter), ..self.clone() }
    }

    /// Takes calls out of what this poll may spend beyond what was planned. Without a poll there is no limit.
    pub(super) fn spend(&self, calls: u32) -> bool {
        self.meter.as_ref().is_none_or(|meter| meter.spend(calls))
    }

    /// Waits until a call may be made.
    ///
    /// # Errors
    /// [`Error::Throttled`] when that takes longer than this poll has patience.
    pub(super) async fn turn(&self, called: &Called) -> Result<Turn, Error> {
        let Called { lane, source, .. } = *called;
        let Some(meter) = &self.meter else { return Ok(Turn { lane, source, window: 0 }) };
        loop {
            let now = self.clock.now();
            let wait = match self.pacer.ask(meter.tenant, lane, now) {
                Ok(window) => return Ok(Turn { lane, source, window }),
                Err(wait) => wait.to_std().unwrap_or_default(),
            };
            if wait > LONGEST_WAIT || !meter.waits(now, wait) {
                return Err(Error::Throttled { retry_after: Some(wait) });
            }
            // A little jitter on top, so that callers told the same do not come back together.
            let jitter = Duration::from_millis(1) + Duration::from_millis(250).mul_f64(self.jitter());
            self.clock.sleep(wait + jitter).await;
        }
    }

    /// Takes in what an answer says about Azure's patience. Status 0: no answer came.
    pub(super) fn heard(&self, turn: &Turn, status: u16, headers: &HeaderMap) {
        self.pacer.count(turn.source, status);
        let Some(meter) = &self.meter else { return };
        let now = self.clock.now();
        let quota = graph_quota(headers);
        if turn.lane == Quota::Graph {
            self.pacer.answered(meter.tenant, turn.window, quota, now);
        }
        let number = |name: &str| header(headers, name)?.trim().parse::<u32>().ok();
        let of_subscription = number("x-ms-ratelimit-remaining-subscription-reads");
        let of_tenant = number("x-ms-ratelimit-remaining-tenant-reads");
        let throttled = status == 429 || (status >= 500 && retry_after(headers).is_some());
        let rest = match throttled {
            true => retry_after(headers).or(quota.filter(|_| turn.lane == Quota::Graph).map(|(_, resets)| resets)),
            false => of_subscription.filter(|left| *left < Pace::FEW_READS).map(|_| BREATH),
        };
        let until = rest.map(|rest| now + delta(rest.min(LONGEST_REST)));
        if let Some(until) = until {
            self.pacer.rest(meter.tenant, turn.lane, until, now);
        }
        let mut spent = held(&meter.spent);
        let total = spent.requests.entry(turn.source.to_owned()).or_default().entry(status).or_default();
        *total += 1;
        spent.throttled += u32::from(throttled);
        if let Some(until) = until.filter(|_| throttled) {
            let known = spent.rests.entry(turn.lane).or_insert(until);
            *known = (*known).max(until);
        }
        let fewest = |known: Option<u32>, now: Option<u32>| known.into_iter().chain(now).min();
        spent.reads_left = fewest(fewest(spent.reads_left, of_subscription), of_tenant);
        spent.tenant_reads_left = fewest(spent.tenant_reads_left, of_tenant);
        spent.queries_left = fewest(spent.queries_left, quota.map(|(remaining, _)| remaining));
    }
}

/// What Resource Graph says is left, and when all of it is there again: `x-ms-user-quota-resets-after` is `hh:mm:ss`. Pure.
fn graph_quota(headers: &HeaderMap) -> Option<(u32, Duration)> {
    let remaining: u32 = header(headers, "x-ms-user-quota-remaining")?.trim().parse().ok()?;
    let text = header(headers, "x-ms-user-quota-resets-after")?;
    let mut parts = text.trim().split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let resets_after = hours.saturating_mul(3600).saturating_add(minutes * 60).saturating_add(seconds);
    Some((remaining, Duration::from_secs(resets_after.min(LONGEST_WINDOW))))
}

/// The path of an address of Resource Manager, in lower case, without query.
fn path_of(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    path.split('?').next().unwrap_or_default().to_ascii_lowercase()
}

/// What Azure counts a call by. Pure.
pub(super) fn lane_of(url: &str) -> Quota {
    let path = path_of(url);
    let mut segments = path.trim_start_matches('/').split('/');
    match (segments.next(), segments.next()) {
        (Some("subscriptions"), Some(id)) => id.parse().map_or(Quota::Tenant, Quota::Subscription),
        (Some("providers"), Some("microsoft.resourcegraph")) => Quota::Graph,
        _ => Quota::Tenant,
    }
}

/// The source that a call reads, for counting. Pure.
pub(super) fn source_of(url: &str) -> &'static str {
    let path = path_of(url);
    let of_tenant = path.starts_with("/providers/");
    let tail = path.rsplit_once("/providers/").map_or(path.as_str(), |(_, tail)| tail);
    let segments: Vec<&str> = tail.split('/').collect();
    match segments.as_slice() {
        ["microsoft.resourcegraph", ..] => "resourceGraph",
        ["microsoft.insights", ..] => "activityLog",
        ["microsoft.resourcehealth", "emergingissues", ..] => "emergingIssues",
        ["microsoft.resourcehealth", "availabilitystatuses", ..] => "availability",
        ["microsoft.resourcehealth", "events", _, "fetcheventdetails"] => "eventDetails",
        ["microsoft.resourcehealth", "events", _, "impactedresources", ..] => "impactedResources",
        ["microsoft.resourcehealth", "events", ..] if of_tenant => "tenantEvents",
        ["microsoft.resourcehealth", "events"] => "events",
        ["microsoft.resourcehealth", "events", ..] => "event",
        _ => "other",
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::milliseconds(millis)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn fifteen_queries_pass_at_once_and_the_next_waits_for_the_window() {
        let mut window = Window::default();
        for _ in 0..15 {
            assert_eq!(window.take(at(0)), None);
        }
        assert_eq!(window.take(at(1_000)), Some(TimeDelta::seconds(4)));
        assert_eq!(window.take(at(5_000)), None);
    }

    #[test]
    fn what_azure_says_is_left_counts_less_what_is_on_its_way() {
        let mut window = Window::default();
        for _ in 0..5 {
            assert_eq!(window.take(at(0)), None);
        }
        // Somebody else uses the same quota: three are left, four of ours are on their way.
        window.answered(1, Some((3, seconds(4))), at(100));
        assert_eq!(window.take(at(200)), Some(TimeDelta::milliseconds(4_800)));
        // An answer that is late and knows less takes nothing back.
        window.answered(1, Some((14, seconds(5))), at(200));
        assert!(window.take(at(300)).is_some());
        // Azure's own clock decides when it goes on.
        window.answered(1, Some((0, seconds(2))), at(400));
        assert_eq!(window.take(at(400)), Some(TimeDelta::seconds(2)));
        assert_eq!(window.take(at(2_400)), None);
        // What belongs to a window that is over says nothing about this one.
        window.answered(1, Some((0, seconds(60))), at(2_500));
        assert_eq!(window.take(at(2_500)), None);
    }

    #[test]
    fn a_bigger_quota_is_learned_from_its_first_answer() {
        let mut window = Window::default();
        assert_eq!(window.take(at(0)), None);
        window.answered(1, Some((999, seconds(5))), at(10));
        let passed = (0..2_000).filter(|_| window.take(at(20)).is_none()).count();
        assert_eq!(passed, 999);
        let passed = (0..2_000).filter(|_| window.take(at(6_000)).is_none()).count();
        assert_eq!(passed, 1_000, "it is remembered for the next window");
    }

    #[test]
    fn quota_headers_are_read_and_nonsense_is_not() {
        let headers = |remaining: &str, resets: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-ms-user-quota-remaining", remaining.parse().expect("header"));
            headers.insert("x-ms-user-quota-resets-after", resets.parse().expect("header"));
            headers
        };
        assert_eq!(graph_quota(&headers("14", "00:00:05")), Some((14, seconds(5))));
        assert_eq!(graph_quota(&headers("0", "01:00:00")), Some((0, seconds(60))));
        assert_eq!(graph_quota(&headers("0", "nonsense")), None);
        assert_eq!(graph_quota(&HeaderMap::new()), None);
    }

    #[test]
    fn calls_are_counted_by_what_azure_counts_them_by() {
        let id = "00000000-0000-4000-8000-000000000001";
        let rest = format!("https://management.azure.com/subscriptions/{id}/providers/Microsoft.ResourceHealth");
        let group = format!(
            "https://management.azure.com/subscriptions/{id}/resourceGroups/rg/providers/Microsoft.ResourceHealth/availabilityStatuses?x=/"
        );
        let lane = Quota::Subscription(id.parse().expect("an id"));
        for (url, expected) in [
            (format!("{rest}/events?api-version=2025-05-01"), (lane, "events")),
            (format!("{rest}/events/ABCD-123?x=y"), (lane, "event")),
            (format!("{rest}/events/ABCD-123/fetchEventDetails"), (lane, "eventDetails")),
            (format!("{rest}/events/ABCD-123/impactedResources"), (lane, "impactedResources")),
            (group, (lane, "availability")),
            (
                format!("https://m/subscriptions/{id}/providers/microsoft.insights/eventtypes/management/values"),
                (lane, "activityLog"),
            ),
            ("https://m/providers/Microsoft.ResourceGraph/resources".to_owned(), (Quota::Graph, "resourceGraph")),
            ("https://m/providers/Microsoft.ResourceHealth/events".to_owned(), (Quota::Tenant, "tenantEvents")),
            (
                "https://m/providers/Microsoft.ResourceHealth/emergingIssues/default".to_owned(),
                (Quota::Tenant, "emergingIssues"),
            ),
            ("https://m/subscriptions?api-version=2022-12-01".to_owned(), (Quota::Tenant, "other")),
        ] {
            assert_eq!((lane_of(&url), source_of(&url)), expected, "{url}");
        }
    }
}
