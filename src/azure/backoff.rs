//! The waits between tries, as pure arithmetic.

use std::time::Duration;

/// The most tries of one call, the first included ("Azure health data APIs", section 4).
pub const MAX_TRIES: u32 = 4;

/// The longest wait that a call sits out itself; a longer `Retry-After` is handed to the caller.
pub const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long to wait before try number `next` (2 for the first retry), or None to give up.
///
/// Azure's own wish comes first; without one, full jitter over 1 s doubled each time, up to 60 s. `jitter` is in `0.0..1.0`.
pub fn wait_before(next: u32, retry_after: Option<Duration>, jitter: f64) -> Option<Duration> {
    if next > MAX_TRIES {
        return None;
    }
    match retry_after {
        Some(asked) if asked > LONGEST_WAIT => None,
        // A little jitter on top, so that callers told the same do not come back together.
        Some(asked) => Some(asked + Duration::from_millis(250).mul_f64(jitter)),
        None => {
            let doubled = Duration::from_secs(1 << (next - 2).min(6)).min(Duration::from_secs(60));
            Some(doubled.mul_f64(jitter))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azures_wish_comes_first_and_a_long_one_is_handed_on() {
        assert_eq!(wait_before(2, Some(Duration::from_secs(7)), 0.0), Some(Duration::from_secs(7)));
        assert_eq!(wait_before(2, Some(Duration::from_secs(3600)), 0.0), None);
    }

    #[test]
    fn without_a_wish_the_wait_grows_and_ends() {
        let waits: Vec<_> = (2..=5).map(|next| wait_before(next, None, 0.5)).collect();
        let millis = |n| Some(Duration::from_millis(n));
        assert_eq!(waits, [millis(500), millis(1000), millis(2000), None]);
    }
}
