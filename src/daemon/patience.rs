//! Waiting while a fresh permission spreads in Azure: a refusal that may pass is asked again, slowly, and explained.

use std::time::Duration;

use crate::outside::Clock;

/// How long Azure may take until a new role or consent is in effect everywhere ("Graph, Azure Monitor, notification and
/// portal-API contract", section 0).
pub const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The pauses between tries; the last goes on.
const PAUSES: [u64; 6] = [5, 10, 15, 20, 30, 60];

/// How long somebody is willing to wait, and who is told of it.
pub struct Patience<'a> {
    clock: &'a dyn Clock,
    limit: Duration,
    waited: Duration,
    tries: usize,
    tell: &'a mut (dyn FnMut(&Waiting<'_>) + Send),
}

/// A pause that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting<'a> {
    /// Why: the refusal, explained.
    pub why: &'a str,
    /// How long has been waited before.
    pub waited: Duration,
    /// How long this pause is.
    pub pause: Duration,
    /// How long may be waited in all.
    pub limit: Duration,
}

impl<'a> Patience<'a> {
    /// Up to a limit, an hour at most. Zero: no waiting at all.
    pub fn new(clock: &'a dyn Clock, limit: Duration, tell: &'a mut (dyn FnMut(&Waiting<'_>) + Send)) -> Self {
        Self { clock, limit: limit.min(LONGEST), waited: Duration::ZERO, tries: 0, tell }
    }

    /// How long has been waited.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// True when the hour is over: what is refused still is a fault of the set-up.
    pub fn is_over(&self) -> bool {
        self.waited >= LONGEST
    }

    /// Waits a while. False: the patience is at its end, nothing was waited.
    pub(super) async fn sit_out(&mut self, why: &str) -> bool {
        let pause = Duration::from_secs(PAUSES[self.tries.min(PAUSES.len() - 1)]);
        self.tries += 1;
        self.wait(why, pause.min(self.limit.saturating_sub(self.waited))).await
    }

    /// Waits as long as Azure asked. False: that is longer than there is patience.
    pub(super) async fn rest(&mut self, why: &str, asked: Duration) -> bool {
        if self.waited + asked > self.limit {
            return false;
        }
        self.wait(why, asked.max(Duration::from_secs(1))).await
    }

    async fn wait(&mut self, why: &str, pause: Duration) -> bool {
        if pause.is_zero() || self.waited >= self.limit {
            return false;
        }
        (self.tell)(&Waiting { why, waited: self.waited, pause, limit: self.limit });
        self.clock.sleep(pause).await;
        self.waited += pause;
        true
    }
}
