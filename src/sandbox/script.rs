//! The script: changes of the world at times after its start. Steps run when a request finds that their time has passed, so
//! the same script works with the real clock and with one that tests hold.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::world::World;
use crate::model::Timestamp;

type Change = Box<dyn FnOnce(&mut World) + Send>;

/// Planned changes, in order of time.
#[derive(Default)]
pub(super) struct Script {
    steps: VecDeque<(Duration, Change)>,
    start: Option<Timestamp>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("steps", &self.steps.len()).field("start", &self.start).finish()
    }
}

impl Script {
    /// Adds a step after all steps of the same time.
    pub(super) fn add(&mut self, after_start: Duration, change: Change) {
        let place = self.steps.partition_point(|(time, _)| *time <= after_start);
        self.steps.insert(place, (after_start, change));
    }

    fn next_due(&mut self, now: Timestamp) -> Option<(Timestamp, Change)> {
        let start = *self.start.get_or_insert(now);
        let (after, _) = self.steps.front()?;
        let time = start + *after;
        if time > now {
            return None;
        }
        self.steps.pop_front().map(|(_, change)| (time, change))
    }
}

impl World {
    /// Moves the world's time on and runs what is due, each step at its own time. The first call is the start.
    pub fn run_until(&mut self, now: Timestamp) {
        while let Some((time, change)) = self.script.next_due(now) {
            self.set_now(time);
            change(self);
        }
        self.set_now(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_run_in_order_each_at_its_own_time_and_only_once() {
        let mut world = World::new(1);
        let start = world.now();
        world.at(Duration::from_secs(20), |world| {
            let at = world.now().to_rfc3339();
            world.tenant(&format!("late {at}"));
        });
        world.at(Duration::from_secs(10), |world| {
            let known = world.tenants.len();
            world.tenant(&format!("early {known}"));
        });
        world.run_until(start);
        assert_eq!(world.tenants.len(), 1);
        world.run_until(start + Duration::from_secs(60));
        assert!(world.tenant_named("early 1").is_some());
        assert!(world.tenant_named("late 2026-01-15T12:00:20+00:00").is_some());
        world.run_until(start + Duration::from_secs(90));
        assert_eq!(world.tenants.len(), 3);
    }
}
