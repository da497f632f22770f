//! Answers from the timeline: what happened to a customer, what is new, for how long it was impaired.

use chrono::{DateTime, Datelike as _, TimeDelta, TimeZone as _, Utc};

use super::page::{self, Page, PageAsk};
use super::{Answer, BOTH, Error, Known, one};
use crate::app::App;
use crate::history::report::{Input, Report, report as make};
use crate::history::{self, Changes, Cursor, Shelf};
use crate::model::{EventType, TenantId, Timestamp, TrackingId, Transition};

/// Who asks for changes for the first time hears of this much.
const FIRST_CHANGES: TimeDelta = TimeDelta::days(1);
/// How long before a report's beginning something may have begun that goes on in it, or been found after it.
const AROUND: TimeDelta = TimeDelta::days(366);

/// Which transitions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TimelineFilter {
    /// Found at this time or later.
    pub since: Option<Timestamp>,
    /// Found before this time.
    pub until: Option<Timestamp>,
    /// Only of this kind, such as `eventOpened`.
    pub kind: Option<String>,
    /// Only about this event.
    pub tracking_id: Option<TrackingId>,
}

/// The transitions of a customer, the newest first.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn timeline(
    app: &App,
    tenant: TenantId,
    filter: &TimelineFilter,
    ask: &PageAsk,
) -> Result<Answer<Transition>, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    let known = Known::of(&customer, snapshot.as_ref(), None, &BOTH, app.clock.now());
    let since = filter.since.unwrap_or(DateTime::UNIX_EPOCH);
    let until = filter.until.unwrap_or_else(|| app.clock.now() + TimeDelta::days(1));
    let mut rows = history::read(app, Shelf::Customer(tenant), since, until).await?;
    rows.retain(|row| {
        filter.kind.as_ref().is_none_or(|kind| row.kind.word().eq_ignore_ascii_case(kind))
            && filter.tracking_id.as_ref().is_none_or(|id| row.kind.tracking_id() == Some(id))
    });
    rows.sort_by_key(newest_first);
    Ok(Answer { page: page::page(rows, newest_first, ask), known })
}

/// A key that is smaller the newer the transition is.
fn newest_first(row: &Transition) -> String {
    format!("{:020}|{}", i64::MAX - row.at.timestamp_micros(), row.id)
}

/// What is new over all customers and for the partner himself, after a cursor.
///
/// # Errors
/// [`Error::Store`].
pub async fn changes(app: &App, since: Option<Cursor>, top: usize) -> Result<Changes, Error> {
    let since = since.unwrap_or_else(|| Cursor::since(app.clock.now() - FIRST_CHANGES));
    Ok(history::changes(app, since, top).await?)
}

/// What a report is wanted of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportAsk {
    /// From when it counts. None: the beginning of this month.
    pub from: Option<Timestamp>,
    /// Until before when. None: now.
    pub to: Option<Timestamp>,
    /// What kind of event counts. None: service issues.
    pub event_type: Option<EventType>,
}

/// For how long the services of a customer were impaired.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Store`].
pub async fn report(app: &App, tenant: TenantId, ask: &ReportAsk) -> Result<Report, Error> {
    let (customer, snapshot) = one(app, tenant).await?;
    let now = app.clock.now();
    let to = ask.to.unwrap_or(now);
    let from = ask.from.unwrap_or_else(|| first_of_month(to.min(now)));
    let mut transitions = history::read(app, Shelf::Customer(tenant), from - AROUND, to + AROUND).await?;
    transitions.extend(history::read(app, Shelf::Partner, from - AROUND, to + AROUND).await?);
    let event_type = ask.event_type.clone().unwrap_or(EventType::ServiceIssue);
    Ok(make(&Input {
        tenant_id: tenant,
        watched_since: customer.onboarded_at,
        transitions: &transitions,
        snapshot: snapshot.as_ref(),
        from,
        to,
        now,
        event_type: &event_type,
    }))
}

fn first_of_month(at: Timestamp) -> Timestamp {
    Utc.with_ymd_and_hms(at.year(), at.month(), 1, 0, 0, 0).single().unwrap_or(at)
}

/// A time as callers write it: RFC 3339, a day, or a month; the latter two mean their beginning, UTC.
///
/// # Errors
/// What would be right.
pub fn time(text: &str) -> Result<Timestamp, &'static str> {
    let midnight = |day: chrono::NaiveDate| day.and_time(chrono::NaiveTime::MIN).and_utc();
    let full = text.parse::<Timestamp>().ok();
    let day = || text.parse::<chrono::NaiveDate>().ok().map(midnight);
    let month = || format!("{text}-01").parse::<chrono::NaiveDate>().ok().map(midnight).filter(|_| text.len() == 7);
    let sane = |at: &Timestamp| (1970..=9000).contains(&at.year());
    full.or_else(day)
        .or_else(month)
        .filter(sane)
        .ok_or("must be a time such as 2026-01-15T12:00:00Z, 2026-01-15 or 2026-01")
}

/// An empty page of changes has no next one yet; it is asked for again later.
pub(crate) fn changes_page(changes: Changes) -> (Page<Transition>, Cursor) {
    let next = changes.more.then(|| changes.next.text());
    (Page { rows: changes.rows, next }, changes.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| time(text).map(|at| at.to_rfc3339());
        assert_eq!(read("2026-01-15T12:00:00+01:00").as_deref(), Ok("2026-01-15T11:00:00+00:00"));
        assert_eq!(read("2026-01-15").as_deref(), Ok("2026-01-15T00:00:00+00:00"));
        assert_eq!(read("2026-01").as_deref(), Ok("2026-01-01T00:00:00+00:00"));
        for wrong in ["", "2026", "2026-13", "2026-02-30", "today", "2026-01-15 12:00", "+262142-12-31"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
