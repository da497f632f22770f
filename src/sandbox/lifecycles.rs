//! Whole lives of events as the script plays them: from the first word to the last review, as Azure has been seen to tell them
//! ("Azure health data APIs", 6.4).

use std::time::Duration;

use super::event::Event;
use super::world::World;
use crate::model::{SubscriptionId, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl World {
    /// An outage of two regions, which begins that long after the start. After 30 minutes one region recovers, after an hour it
    /// is over; half an hour later it goes on and is over again after another; the preliminary review comes after 3 days, the
    /// final one after 14.
    pub fn plays_outage(&mut self, id: &str, hits: &[SubscriptionId], begins: Duration) {
        let hits = hits.to_vec();
        self.plays(id, begins, move |id, now| {
            Event::service_issue(id, "Virtual Machines - Connection failures", now)
                .level("Error")
                .service("Virtual Machines", &["North Europe", "West Europe"])
                .text(now, "<p>We are investigating.</p>")
                .hits(hits)
        });
        self.then(id, begins + 30 * MINUTE, |event, at| {
            event.recover(at, "North Europe", "<p>North Europe is well.</p>")
        });
        self.then(id, begins + HOUR, |event, at| event.resolve(at, "<p>Mitigated.</p>"));
        self.then(id, begins + 90 * MINUTE, |event, at| event.reopen(at, "<p>The issue recurred.</p>"));
        self.then(id, begins + 2 * HOUR, |event, at| event.resolve(at, "<p>Mitigated again.</p>"));
        self.then(id, begins + 3 * DAY, |event, at| event.review(at, "Preliminary PIR", "<p>What we know so far.</p>"));
        self.then(id, begins + 14 * DAY, |event, at| event.review(at, "Final PIR", "<p>What happened, and why.</p>"));
    }

    /// Maintenance that is announced that long after the start for four hours in 7 days, put off by a day after two days, and
    /// done an hour before its planned end.
    pub fn plays_maintenance(&mut self, id: &str, hits: &[SubscriptionId], announced: Duration) {
        self.announce(id, hits, announced);
        self.then(id, announced + 2 * DAY, |event, at| {
            let (from, to) = (at + 6 * DAY, at + 6 * DAY + 4 * HOUR);
            event.reschedule(at, from, to, "<p>We moved it.</p>");
        });
        self.then(id, announced + 8 * DAY + 3 * HOUR, |event, at| event.complete(at, "<p>Done.</p>"));
    }

    /// Maintenance that is announced that long after the start for in 7 days, and called off after three.
    pub fn plays_cancelled_maintenance(&mut self, id: &str, hits: &[SubscriptionId], announced: Duration) {
        self.announce(id, hits, announced);
        self.then(id, announced + 3 * DAY, |event, at| event.call_off(at, "<p>It will not take place.</p>"));
    }

    /// An issue that turns out to be none after 20 minutes.
    pub fn plays_false_alarm(&mut self, id: &str, hits: &[SubscriptionId], begins: Duration) {
        let hits = hits.to_vec();
        self.plays(id, begins, move |id, now| {
            Event::service_issue(id, "Storage - Availability", now)
                .service("Storage", &["West Europe"])
                .text(now, "<p>We are investigating.</p>")
                .hits(hits)
        });
        self.then(id, begins + 20 * MINUTE, |event, at| event.retract(at, "<p>There was no impact.</p>"));
    }

    /// A security advisory whose text is withheld, and published to everybody after two days; over after five.
    pub fn plays_withheld_advisory(&mut self, id: &str, hits: &[SubscriptionId], begins: Duration) {
        let hits = hits.to_vec();
        self.plays(id, begins, move |id, now| {
            let mut event = Event::security_advisory(id, "Rotate your keys", now).hits(hits);
            event.tags = vec!["Action Recommended".to_owned()];
            event.publish(now, "<p>Keys may be known to others.</p>");
            event
        });
        self.then(id, begins + 2 * DAY, |event, at| event.disclose(at, "<p>Keys were known to others.</p>"));
        self.then(id, begins + 5 * DAY, |event, at| event.resolve(at, "<p>Nothing more to do.</p>"));
    }

    fn announce(&mut self, id: &str, hits: &[SubscriptionId], announced: Duration) {
        let hits = hits.to_vec();
        self.plays(id, announced, move |id, now| {
            let (from, to) = (now + 7 * DAY, now + 7 * DAY + 4 * HOUR);
            Event::planned_maintenance(id, "Planned Maintenance of ExpressRoute", now, from, to)
                .service("ExpressRoute", &["West Europe"])
                .text(now, "<p>We will replace a router.</p>")
                .hits(hits)
        });
    }

    fn plays(&mut self, id: &str, at: Duration, event: impl FnOnce(&str, Timestamp) -> Event + Send + 'static) {
        let id = id.to_owned();
        self.at(at, move |world| world.event(event(&id, world.now())));
    }

    fn then(&mut self, id: &str, at: Duration, change: impl FnOnce(&mut Event, Timestamp) + Send + 'static) {
        let id = id.to_owned();
        self.at(at, move |world| {
            let now = world.now();
            world.change_event(&id, |event| change(event, now));
        });
    }
}
