//! Spans of time: unions of them, cut to ranges and months, counted in whole seconds. Pure.

use chrono::{Datelike as _, TimeZone as _, Utc};

use crate::model::Timestamp;

/// From a second until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first second.
    pub from: i64,
    /// The second after the last.
    pub to: i64,
}

impl Span {
    /// None when it is empty.
    pub fn new(from: Timestamp, to: Timestamp) -> Option<Self> {
        Self { from: from.timestamp(), to: to.timestamp() }.some()
    }

    fn some(self) -> Option<Self> {
        (self.from < self.to).then_some(self)
    }

    /// What both have.
    pub fn cut(self, other: Self) -> Option<Self> {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }.some()
    }

    /// How many seconds.
    pub fn seconds(self) -> i64 {
        self.to - self.from
    }
}

/// The same seconds, each once, in order.
pub fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut united: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match united.last_mut() {
            Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
            _ => united.push(span),
        }
    }
    united
}

/// The calendar months, UTC, that a span touches, each with its part of the span.
pub fn months(span: Span) -> Vec<(String, Span)> {
    let mut months = Vec::new();
    let mut from = span.from;
    while from < span.to {
        let Some(at) = Utc.timestamp_opt(from, 0).single() else { break };
        let (year, month) = if at.month() == 12 { (at.year() + 1, 1) } else { (at.year(), at.month() + 1) };
        let next = Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single();
        let to = next.map_or(span.to, |next| next.timestamp().min(span.to));
        months.push((at.format("%Y-%m").to_string(), Span { from, to }));
        from = to;
    }
    months
}
