//! Two clocks that are not the real one: one where waiting moves the time on at once, and one whose time moves on only when
//! nobody has anything left to do.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::model::Timestamp;
use crate::outside::Clock;

/// A clock where waiting moves the time on at once. It can be set back.
#[derive(Debug)]
pub struct Leaping(Mutex<Timestamp>);

impl Leaping {
    /// A clock that shows this time.
    pub fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Mutex::new(now)))
    }

    /// Shows this time from now on.
    pub fn set(&self, now: Timestamp) {
        *lock(&self.0) = now;
    }
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        *lock(&self.0)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        *lock(&self.0) += duration;
        Box::pin(tokio::task::yield_now())
    }
}

/// A clock whose time moves on, to the next moment that somebody waits for, when everybody waits.
#[derive(Debug)]
pub struct Virtual(Arc<Mutex<Times>>);

#[derive(Debug)]
struct Times {
    now: Timestamp,
    next_id: u64,
    sleepers: BTreeMap<(Timestamp, u64), Waker>,
}

impl Virtual {
    /// A clock that shows this time.
    pub fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(Arc::new(Mutex::new(Times { now, next_id: 0, sleepers: BTreeMap::new() }))))
    }

    /// Moves on to the next moment that somebody waits for. False: nobody waits.
    fn move_on(&self) -> bool {
        let woken = {
            let mut times = lock(&self.0);
            let Some((&(at, _), _)) = times.sleepers.first_key_value() else { return false };
            times.now = times.now.max(at);
            let later = times.sleepers.split_off(&(at, u64::MAX));
            std::mem::replace(&mut times.sleepers, later)
        };
        woken.into_values().for_each(Waker::wake);
        true
    }

    /// Runs a future to its end, moving the time on whenever nothing in it can go on.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let flag = Arc::new(Flag { woken: AtomicBool::new(true), outer: Mutex::new(None) });
        let waker = Waker::from(Arc::clone(&flag));
        // Without the budget of the runtime: it would make work pause that can go on.
        let mut work = pin!(tokio::task::coop::unconstrained(work));
        std::future::poll_fn(move |outer| {
            *lock(&flag.outer) = Some(outer.waker().clone());
            loop {
                if flag.woken.swap(false, Ordering::SeqCst) {
                    if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return Poll::Ready(done);
                    }
                } else if !self.move_on() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        lock(&self.0).now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut times = lock(&self.0);
        let key = (times.now + duration, times.next_id);
        times.next_id += 1;
        Box::pin(Sleep { times: Arc::clone(&self.0), key })
    }
}

struct Sleep {
    times: Arc<Mutex<Times>>,
    key: (Timestamp, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut times = lock(&self.times);
        if times.now >= self.key.0 {
            return Poll::Ready(());
        }
        times.sleepers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.times).sleepers.remove(&self.key);
    }
}

struct Flag {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if let Some(outer) = lock(&self.outer).as_ref() {
            outer.wake_by_ref();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn time_moves_on_only_when_everybody_waits_and_in_order() {
        let clock = Virtual::new("2026-01-15T12:00:00Z".parse().expect("a time"));
        let start = clock.now();
        let seen = Mutex::new(Vec::new());
        let note = |name: &'static str, seconds: u64| {
            let (clock, seen) = (&clock, &seen);
            async move {
                clock.sleep(Duration::from_secs(seconds)).await;
                seen.lock().expect("no holder panics").push((name, (clock.now() - start).num_seconds()));
            }
        };
        clock.run(futures_util::future::join3(note("late", 7200), note("early", 1), note("at once", 0))).await;
        assert_eq!(*seen.lock().expect("no holder panics"), [("at once", 0), ("early", 1), ("late", 7200)]);
    }
}
