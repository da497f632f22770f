//! How often anonymous callers may ask: token buckets of a fixed number, so that no flood makes them grow. Pure but for the
//! lock around them: the time comes in.
//!
//! The counts are this process's own. With several instances each caller has as many allowances as he reaches instances:
//! enough to keep one process alive and an oracle slow, no replacement for a firewall in front.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::Timestamp;
use crate::outside::Random;
use crate::settings::RateLimits;

/// Buckets for callers. Callers share one by chance; which ones nobody outside can tell, since the choice has a random seed.
const BUCKETS: usize = 8_192;

/// What is asked for, by what it costs us and others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Whether we are ready. Counted by caller only: a flood must not make a platform think that we are not.
    Probe,
    /// A page.
    Page,
    /// A page for which Azure is asked whose subscription or domain something is: who may ask often, maps the world.
    Lookup,
}

/// Every bucket.
#[derive(Debug)]
pub struct Limits {
    rates: RateLimits,
    seed: [u8; 32],
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    pages: Bucket,
    lookups: Bucket,
    callers: Vec<Caller>,
}

#[derive(Debug, Clone, Copy)]
struct Caller {
    pages: Bucket,
    lookups: Bucket,
}

/// What is left of a minute's allowance. Empty values are full buckets.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// How much was taken and has not come back.
    taken: f32,
    at: Option<Timestamp>,
}

impl Limits {
    /// Full buckets.
    pub fn new(rates: RateLimits, random: &dyn Random) -> Self {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let full = Bucket::default();
        let callers = vec![Caller { pages: full, lookups: full }; BUCKETS];
        Self { rates, seed, buckets: Mutex::new(Buckets { pages: full, lookups: full, callers }) }
    }

    /// Takes one request from the allowances. `caller`: None when callers cannot be told apart; then only what all have
    /// together counts.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&self, class: Class, caller: Option<IpAddr>, now: Timestamp) -> Result<(), Duration> {
        let rates = self.rates;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { pages, lookups, callers } = &mut *buckets;
        let mut wanted: Vec<(&mut Bucket, u32)> = Vec::new();
        if let Some(caller) = caller {
            let caller = &mut callers[self.slot(caller)];
            wanted.push((&mut caller.pages, rates.per_client));
            if class == Class::Lookup {
                wanted.push((&mut caller.lookups, rates.lookups_per_client));
            }
        }
        if class != Class::Probe {
            wanted.push((pages, rates.total));
        }
        if class == Class::Lookup {
            wanted.push((lookups, rates.lookups_total));
        }
        // First looked at, then taken: who is turned away uses nothing up, neither his own nor that of all.
        match wanted.iter_mut().filter_map(|(bucket, rate)| bucket.wait(*rate, now)).max() {
            Some(wait) => Err(wait),
            None => {
                wanted.into_iter().for_each(|(bucket, _)| bucket.taken += 1.0);
                Ok(())
            }
        }
    }

    /// The bucket of a caller. Of IPv6 a whole /64 is one: that is what one line is given.
    fn slot(&self, caller: IpAddr) -> usize {
        let mut hashed = self.seed.to_vec();
        match caller.to_canonical() {
            IpAddr::V4(address) => hashed.extend(address.octets()),
            IpAddr::V6(address) => hashed.extend(&address.octets()[..8]),
        }
        let hash = digest(&SHA256, &hashed);
        let first = hash.as_ref().first_chunk::<8>().copied().unwrap_or_default();
        usize::try_from(u64::from_le_bytes(first) % BUCKETS as u64).unwrap_or_default()
    }
}

impl Bucket {
    /// Lets what came back since the last look come back; then how long one more has to wait, if it has to.
    fn wait(&mut self, per_minute: u32, now: Timestamp) -> Option<Duration> {
        if per_minute == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "allowances are small")]
        let (most, per_second) = (per_minute as f32, per_minute as f32 / 60.0);
        let passed = self.at.map_or(0.0, |at| (now - at).to_std().unwrap_or_default().as_secs_f32());
        self.taken = (self.taken - passed * per_second).max(0.0);
        self.at = Some(now);
        let over = self.taken + 1.0 - most;
        (over > 0.001).then(|| Duration::from_secs_f32((over / per_second).ceil().max(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::SystemRandom;

    fn limits(text: &str) -> Limits {
        Limits::new(text.parse().expect("limits"), &SystemRandom)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_768_478_400 + seconds, 0).expect("a time")
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_caller_has_his_minute_and_it_comes_back_bit_by_bit() {
        let limits = limits("client=6,total=0,clientLookups=0,totalLookups=0");
        for _ in 0..6 {
            assert_eq!(limits.take(Class::Page, ip("203.0.113.1"), at(0)), Ok(()));
        }
        assert_eq!(limits.take(Class::Page, ip("203.0.113.1"), at(0)), Err(Duration::from_secs(10)));
        assert_eq!(limits.take(Class::Page, ip("203.0.113.2"), at(0)), Ok(()), "another caller has his own");
        assert_eq!(limits.take(Class::Page, ip("203.0.113.1"), at(9)), Err(Duration::from_secs(1)));
        assert_eq!(limits.take(Class::Page, ip("203.0.113.1"), at(10)), Ok(()), "the wait that was told is enough");
        assert_eq!(limits.take(Class::Page, ip("203.0.113.1"), at(10)), Err(Duration::from_secs(10)));
        // A clock that goes back gives nothing and breaks nothing.
        assert!(limits.take(Class::Page, ip("203.0.113.1"), at(-100)).is_err());
    }

    #[test]
    fn one_line_is_one_caller_however_many_addresses_it_has() {
        let limits = limits("client=1,total=0");
        assert!(limits.take(Class::Page, ip("2001:db8:1:2::1"), at(0)).is_ok());
        assert!(limits.take(Class::Page, ip("2001:db8:1:2:ffff::9"), at(0)).is_err());
        assert!(limits.take(Class::Page, ip("2001:db8:1:3::1"), at(0)).is_ok());
        assert!(limits.take(Class::Page, ip("198.51.100.7"), at(0)).is_ok());
        assert!(limits.take(Class::Page, ip("::ffff:198.51.100.7"), at(0)).is_err(), "the same, written otherwise");
    }

    #[test]
    fn all_together_have_an_allowance_too_and_who_is_turned_away_uses_none_of_it() {
        let limits = limits("client=2,total=3");
        for _ in 0..9 {
            let _ = limits.take(Class::Page, ip("203.0.113.1"), at(0));
        }
        assert_eq!(limits.take(Class::Page, ip("203.0.113.2"), at(0)), Ok(()), "the first had two, not nine");
        assert!(limits.take(Class::Page, ip("203.0.113.3"), at(0)).is_err());
        assert!(limits.take(Class::Page, None, at(0)).is_err());
        assert_eq!(limits.take(Class::Probe, None, at(0)), Ok(()), "no flood of pages makes us look unready");
    }

    #[test]
    fn lookups_are_fewer_and_leave_pages_alone() {
        let limits = limits("client=10,total=100,clientLookups=1,totalLookups=2");
        assert!(limits.take(Class::Lookup, ip("203.0.113.1"), at(0)).is_ok());
        assert_eq!(limits.take(Class::Lookup, ip("203.0.113.1"), at(0)), Err(Duration::from_secs(60)));
        assert!(limits.take(Class::Lookup, ip("203.0.113.2"), at(0)).is_ok());
        assert!(limits.take(Class::Lookup, ip("203.0.113.3"), at(0)).is_err());
        assert!(limits.take(Class::Page, ip("203.0.113.1"), at(0)).is_ok());
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_than_none() {
        let limits = limits("client=1,total=0");
        for n in 0..100_000_u32 {
            let _ = limits.take(Class::Page, Some(IpAddr::from(n.to_be_bytes())), at(0));
        }
        let buckets = limits.buckets.lock().expect("no holder panics");
        assert_eq!((buckets.callers.len(), buckets.callers.capacity()), (BUCKETS, BUCKETS));
    }
}
