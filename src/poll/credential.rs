//! Warns before our own credential ends: once for each credential and threshold, in the partner's own timeline.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;

use super::keep;
use crate::app::App;
use crate::model::{Timeline, Timestamp, Transition, TransitionKind};
use crate::notify;
use crate::settings::Expiry;
use crate::store::{self, Key, Month, Versioned};

/// How many days ahead it is told; 0 is the end itself.
const THRESHOLDS: [u16; 5] = [0, 1, 7, 14, 30];

/// Beyond this nobody needs to be told again, whatever the timeline says.
const LONG_OVER: TimeDelta = TimeDelta::days(365);

/// Files a transition when our credential has come within a threshold of its end that was not told before. Gives what was
/// filed.
///
/// # Errors
/// When the timeline cannot be read or written.
pub async fn warn_of_expiry(app: &Arc<App>) -> Result<Option<Transition>, store::Error> {
    let credential = &app.settings.identity.credential;
    let Expiry::At(expires_at) = credential.expiry() else { return Ok(None) };
    let now = app.clock.now();
    let Some(within_days) = threshold(expires_at, now) else { return Ok(None) };
    let kind = TransitionKind::CredentialExpiring { credential: credential.to_string(), expires_at, within_days };
    let occurrence = format!("{expires_at}|{within_days}");
    let transition = Transition::new(app.settings.identity.tenant_id, kind, &occurrence, now, false);
    // It may have been told in any month since the threshold was crossed.
    for month in months(expires_at - TimeDelta::days(within_days.into()), now) {
        let filed: Option<Versioned<Timeline>> = app.store.read(&Key::PartnerTimeline(month)).await?;
        if filed.is_some_and(|filed| filed.value.transitions.contains_key(&transition.id)) {
            return Ok(None);
        }
    }
    tracing::warn!(
        credential = %credential,
        credential.expires_at = %expires_at,
        credential.within_days = within_days,
        "our credential ends soon or has ended"
    );
    // Before the timeline, by which it is known that it was told.
    notify::tell_partner(app, std::slice::from_ref(&transition)).await?;
    keep::file_in(app, Key::PartnerTimeline, std::iter::once(&transition)).await?;
    Ok(Some(transition))
}

/// The nearest threshold that was crossed. None: there is time. Pure.
fn threshold(expires_at: Timestamp, now: Timestamp) -> Option<u16> {
    let over = now - expires_at > LONG_OVER;
    THRESHOLDS.into_iter().find(|days| expires_at - now <= TimeDelta::days((*days).into())).filter(|_| !over)
}

/// The months from one moment to another. Pure.
fn months(from: Timestamp, to: Timestamp) -> BTreeSet<Month> {
    let steps = std::iter::successors(Some(from), |at| Some(*at + TimeDelta::days(28))).take_while(|at| *at < to);
    steps.chain([to]).map(Month::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn the_nearest_threshold_counts_and_before_the_first_there_is_none() {
        let end = at("2026-06-01T00:00:00Z");
        for (now, wanted) in [
            ("2026-05-01T00:00:00Z", None),
            ("2026-05-02T00:00:00Z", Some(30)),
            ("2026-05-18T00:00:00Z", Some(14)),
            ("2026-05-31T12:00:00Z", Some(1)),
            ("2026-06-01T00:00:00Z", Some(0)),
            ("2026-09-01T00:00:00Z", Some(0)),
            ("2027-07-01T00:00:00Z", None),
        ] {
            assert_eq!(threshold(end, at(now)), wanted, "{now}");
        }
    }

    #[test]
    fn every_month_between_is_looked_at() {
        let months = months(at("2026-01-31T00:00:00Z"), at("2026-04-01T00:00:00Z"));
        assert_eq!(months.len(), 4);
    }
}
