//! How fast one customer may be read: what Azure said about its own patience, and what it was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{InvalidId, SubscriptionId, Timestamp};

/// What Azure counts our requests by, for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quota {
    /// Resource Graph: one quota for all that our principal asks in the tenant.
    Graph,
    /// What belongs to the tenant itself.
    Tenant,
    /// What belongs to one subscription.
    Subscription(SubscriptionId),
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph => f.write_str("graph"),
            Self::Tenant => f.write_str("tenant"),
            Self::Subscription(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Quota {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "graph" => Ok(Self::Graph),
            "tenant" => Ok(Self::Tenant),
            id => id.parse().map(Self::Subscription),
        }
    }
}

impl TryFrom<String> for Quota {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Quota> for String {
    fn from(lane: Quota) -> Self {
        lane.to_string()
    }
}

/// What is remembered from poll to poll, so that every instance obeys what one of them was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pace {
    /// Calls over REST that one poll may spend. It shrinks when Azure throttles and grows back when it does not.
    pub budget: u32,
    /// What Azure asked not to be asked before a time.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rests: BTreeMap<Quota, Timestamp>,
    /// Requests since we watch the customer, by source and HTTP status (0: no answer came).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, BTreeMap<u16, u64>>,
    /// The fewest reads that Resource Manager had left for us during the last poll that it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads_left: Option<u32>,
    /// The fewest queries that Resource Graph had left for us during the last poll that it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_left: Option<u32>,
    /// Due readings that the last poll left to the next one, for want of budget.
    #[serde(skip_serializing_if = "is_zero")]
    pub put_off: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Pace {
    /// The most that one poll spends: about a minute of work at eight calls in flight, 0.4 s each.
    pub const FULL: u32 = 1_200;
    /// The least: however impatient Azure is, the oldest is read.
    pub const LEAST: u32 = 20;
    /// Requests that Resource Manager has left, below which we slow down: a fifth of its smallest documented bucket.
    pub const FEW_READS: u32 = 50;

    /// The pace after a poll: halved when Azure throttled or has few reads left for the tenant, else a quarter of the full
    /// budget more. Pure.
    #[must_use]
    pub fn after(&self, spent: &Spent, now: Timestamp) -> Self {
        let strained = spent.throttled > 0 || spent.tenant_reads_left.is_some_and(|left| left < Self::FEW_READS);
        let budget = match strained {
            true => self.budget / 2,
            false => self.budget.saturating_add(Self::FULL / 4),
        };
        let mut requests = self.requests.clone();
        for (source, statuses) in &spent.requests {
            let known = requests.entry(source.clone()).or_default();
            for (status, count) in statuses {
                let total = known.entry(*status).or_default();
                *total = total.saturating_add(*count);
            }
        }
        let mut rests = self.rests.clone();
        for (lane, until) in &spent.rests {
            let known = rests.entry(*lane).or_insert(*until);
            *known = (*known).max(*until);
        }
        rests.retain(|_, until| *until > now);
        Self {
            budget: budget.clamp(Self::LEAST, Self::FULL),
            rests,
            requests,
            reads_left: spent.reads_left.or(self.reads_left),
            queries_left: spent.queries_left.or(self.queries_left),
            put_off: spent.put_off,
        }
    }

    /// True while Azure does not want to be asked this.
    pub fn rests(&self, lane: Quota, now: Timestamp) -> bool {
        self.rests.get(&lane).is_some_and(|until| *until > now)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            budget: Self::FULL,
            rests: BTreeMap::new(),
            requests: BTreeMap::new(),
            reads_left: None,
            queries_left: None,
            put_off: 0,
        }
    }
}

/// What one poll asked of Azure, and what Azure said about that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests by source and HTTP status; 0: no answer came.
    pub requests: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Answers that asked us to slow down.
    pub throttled: u32,
    /// The fewest reads left, of any subscription or the tenant.
    pub reads_left: Option<u32>,
    /// The fewest reads left for the tenant as a whole.
    pub tenant_reads_left: Option<u32>,
    /// The fewest Resource Graph queries left.
    pub queries_left: Option<u32>,
    /// Until when Azure does not want to be asked what.
    pub rests: BTreeMap<Quota, Timestamp>,
    /// Due readings that did not fit the budget.
    pub put_off: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-15T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn the_budget_halves_when_azure_throttles_and_grows_back_when_it_does_not() {
        let throttled = Spent { throttled: 3, ..Spent::default() };
        let mut pace = Pace::default();
        for expected in [600, 300, 150, 75, 37, 20, 20] {
            pace = pace.after(&throttled, now());
            assert_eq!(pace.budget, expected);
        }
        for expected in [320, 620, 920, 1_200, 1_200] {
            pace = pace.after(&Spent::default(), now());
            assert_eq!(pace.budget, expected);
        }
        let few = Spent { tenant_reads_left: Some(49), ..Spent::default() };
        assert_eq!(pace.after(&few, now()).budget, 600);
    }

    #[test]
    fn a_rest_is_kept_until_it_is_over_and_survives_storage() {
        let later = now() + chrono::TimeDelta::minutes(5);
        let id: SubscriptionId = uuid::Uuid::from_u128(7).into();
        let rests = BTreeMap::from([(Quota::Graph, later), (Quota::Tenant, later), (Quota::Subscription(id), now())]);
        let pace = Pace::default().after(&Spent { rests, ..Spent::default() }, now());
        assert_eq!(pace.rests.len(), 2, "what is over is dropped");
        let stored = serde_json::to_string(&pace).expect("it serialises");
        assert_eq!(serde_json::from_str::<Pace>(&stored).expect("it is read"), pace);
        assert!(pace.rests(Quota::Graph, now()) && !pace.rests(Quota::Graph, later));
        assert_eq!(serde_json::from_str::<Pace>("{}").expect("older documents"), Pace::default());
        assert_eq!(id.to_string().parse::<Quota>().expect("a lane"), Quota::Subscription(id));
    }
}
