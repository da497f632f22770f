//! What fits into one poll: the calls over REST that are due, dealt out within the budget. Pure.

use crate::model::{SubscriptionId, Timestamp};

/// A reading over REST that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub subscription: SubscriptionId,
    pub what: What,
    /// Since when nobody read it. None: it was never read.
    pub waits_since: Option<Timestamp>,
    /// What it costs at least.
    pub calls: u32,
}

/// What is read, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The events of a subscription that is new, was asked for, or could not be read before.
    Listing,
    /// The availability of all resources.
    Resources,
    /// Events that are over, one by one.
    Follow,
    /// The activity log.
    Activity,
    /// The daily listing of all events.
    Wide,
}

/// What does not fit, and how many calls are left for what shows up while reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub put_off: Vec<(SubscriptionId, What)>,
    pub spare: u32,
}

/// Deals the budget out. A quarter stays for texts, later pages and what else shows up. Listings of events come first, then
/// whatever waited longest: so nothing that is due is put off for ever.
pub(super) fn choose(mut due: Vec<Due>, budget: u32) -> Choice {
    due.sort_by_key(|one| (one.what != What::Listing, one.waits_since, one.what, one.subscription));
    let mut left = budget - budget / 4;
    let mut put_off = Vec::new();
    let mut closed = false;
    for (place, one) in due.into_iter().enumerate() {
        // The first is always read, whatever it costs. After the first that does not fit nobody overtakes it.
        closed = closed || (one.calls > left && place > 0);
        match closed {
            true => put_off.push((one.subscription, one.what)),
            false => left = left.saturating_sub(one.calls),
        }
    }
    Choice { put_off, spare: left + budget / 4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    fn id(number: u128) -> SubscriptionId {
        uuid::Uuid::from_u128(number).into()
    }

    fn minute(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::minutes(number)
    }

    fn due(number: u128, what: What, minute_read: Option<i64>) -> Due {
        Due { subscription: id(number), what, waits_since: minute_read.map(minute), calls: 1 }
    }

    #[test]
    fn events_come_first_then_whatever_waited_longest() {
        let all = vec![
            due(1, What::Resources, Some(5)),
            due(2, What::Resources, None),
            due(3, What::Wide, Some(1)),
            due(4, What::Listing, Some(9)),
            due(5, What::Activity, Some(4)),
        ];
        let Choice { put_off, spare } = choose(all, 4);
        assert_eq!(put_off, [(id(5), What::Activity), (id(1), What::Resources)]);
        assert_eq!(spare, 1, "a quarter stays for what shows up");
    }

    #[test]
    fn even_the_smallest_budget_reads_the_oldest() {
        let all = vec![Due { calls: 9, ..due(1, What::Follow, None) }, due(2, What::Resources, Some(1))];
        assert_eq!(choose(all, 0).put_off, [(id(2), What::Resources)]);
    }

    proptest! {
        #[test]
        fn whatever_is_due_is_read_within_as_many_polls_as_it_takes(count in 1_usize..200, budget in 1_u32..50) {
            // Each poll reads what fits; what was read is not due again.
            let mut waiting: Vec<_> =
                (0..count).map(|n| due(n as u128, What::Resources, (n % 7 > 0).then_some(n as i64))).collect();
            let mut polls = 0;
            while !waiting.is_empty() {
                let before = waiting.clone();
                let Choice { put_off, .. } = choose(waiting, budget);
                let oldest = before.iter().map(|one| one.waits_since).min().flatten();
                waiting = before.into_iter().filter(|one| put_off.contains(&(one.subscription, one.what))).collect();
                prop_assert!(waiting.iter().all(|one| one.waits_since >= oldest), "nobody overtakes");
                polls += 1;
            }
            prop_assert!(polls <= count.div_ceil((budget - budget / 4) as usize));
        }
    }
}
