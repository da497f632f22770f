//! When a notice that was not taken is sent again, and when it is given up. Pure.

use std::time::Duration;

use chrono::TimeDelta;

use crate::model::{Delivery, Notice, Timestamp};

/// Waits before each attempt: the schedule of Standard Webhooks, 75.6 h in all
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability>).
pub const WAITS: [TimeDelta; 10] = [
    TimeDelta::zero(),
    TimeDelta::seconds(5),
    TimeDelta::minutes(5),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(5),
    TimeDelta::hours(10),
    TimeDelta::hours(14),
    TimeDelta::hours(20),
    TimeDelta::hours(24),
];

/// Nothing is given up for trouble that may pass before it was tried for so long: the schedule's whole length.
pub const PATIENCE: TimeDelta = TimeDelta::seconds(75 * 3600 + 35 * 60 + 5);

/// The longest that a destination may ask us to wait.
const LONGEST_RETRY_AFTER: TimeDelta = TimeDelta::hours(24);

/// A fresh trouble of one notice is tried again at once, in the same call.
pub const AT_ONCE: TimeDelta = TimeDelta::seconds(10);

/// What becomes of a notice that was not taken now. None: it is given up.
///
/// Counted are attempts *and* time: a notice that finds out whether a dead destination lives is sent more often than the
/// schedule says, and must not be lost by that. `chance` is from 0 to 1 and spreads what failed together over a tenth of the
/// wait.
pub fn after_failure(
    delivery: &Delivery,
    retry_after: Option<Duration>,
    now: Timestamp,
    chance: f64,
) -> Option<Timestamp> {
    let attempts = usize::try_from(delivery.attempts).unwrap_or(usize::MAX);
    let tried_for = delivery.first_attempt_at.map_or(TimeDelta::zero(), |first| now - first);
    if attempts >= WAITS.len() && tried_for >= PATIENCE {
        return None;
    }
    let wait = WAITS[attempts.min(WAITS.len() - 1)];
    let asked = retry_after.and_then(|wait| TimeDelta::from_std(wait).ok()).unwrap_or_default();
    let wait = wait.max(asked.min(LONGEST_RETRY_AFTER));
    let spread = TimeDelta::milliseconds((wait.num_milliseconds() as f64 / 10.0 * chance.clamp(0.0, 1.0)) as i64);
    Some(now + wait + spread)
}

/// True when a notice waited as long for a destination that takes nothing as it would have been tried.
pub fn is_overdue(notice: &Notice, now: Timestamp) -> bool {
    now - notice.delivery.first_attempt_at.unwrap_or(notice.not_before.max(notice.created_at)) >= PATIENCE
}

/// How long a failing destination is left alone after this many tries at it: half a minute, doubled up to a quarter of an
/// hour, so that it is found alive soon and a dead one costs four tries an hour.
pub fn rest(probes: u32, chance: f64) -> TimeDelta {
    let rest = 30_000_i64.saturating_mul(1 << probes.min(6)).min(15 * 60_000);
    TimeDelta::milliseconds(rest + (rest as f64 / 10.0 * chance.clamp(0.0, 1.0)) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    #[test]
    fn a_notice_is_tried_ten_times_over_more_than_three_days_and_then_given_up() {
        let (mut delivery, mut now, mut tries) = (Delivery::default(), at(0), 0);
        loop {
            delivery.attempts += 1;
            tries += 1;
            delivery.first_attempt_at.get_or_insert(now);
            match after_failure(&delivery, None, now, 0.0) {
                Some(next) => now = next,
                None => break,
            }
        }
        assert_eq!(tries, 10);
        assert_eq!(now - at(0), PATIENCE);
        assert!(PATIENCE >= TimeDelta::days(3));
    }

    #[test]
    fn many_tries_in_a_short_time_give_nothing_up() {
        let delivery = Delivery { attempts: 500, first_attempt_at: Some(at(0)), ..Delivery::default() };
        assert!(after_failure(&delivery, None, at(3600), 0.5).is_some());
    }

    #[test]
    fn a_destination_may_ask_for_more_time_but_not_for_ever() {
        let delivery = Delivery { attempts: 1, first_attempt_at: Some(at(0)), ..Delivery::default() };
        let wait = |seconds| after_failure(&delivery, Some(Duration::from_secs(seconds)), at(0), 0.0).unwrap() - at(0);
        assert_eq!(wait(1), TimeDelta::seconds(5));
        assert_eq!(wait(600), TimeDelta::minutes(10));
        assert_eq!(wait(u64::from(u32::MAX)), TimeDelta::hours(24));
    }

    proptest! {
        #[test]
        fn the_next_try_is_after_now_and_no_later_than_the_longest_wait(attempts in 1_u32..10_000, after in 0_u64..200_000,
            tried in 0_i64..1_000_000, chance in -1.0_f64..2.0) {
            let delivery = Delivery { attempts, first_attempt_at: Some(at(0)), ..Delivery::default() };
            if let Some(next) = after_failure(&delivery, Some(Duration::from_secs(after)), at(tried), chance) {
                prop_assert!(next > at(tried));
                prop_assert!(next - at(tried) <= TimeDelta::minutes(24 * 60 + 144));
            } else {
                prop_assert!(TimeDelta::seconds(tried) >= PATIENCE);
            }
        }

        #[test]
        fn a_rest_is_half_a_minute_to_a_quarter_of_an_hour(probes in 0_u32..u32::MAX, chance in 0.0_f64..1.0) {
            let rest = rest(probes, chance);
            prop_assert!(rest >= TimeDelta::seconds(30) && rest <= TimeDelta::seconds(990));
        }
    }
}
