//! The table that `bench` prints, with the peers' numbers beside ours.

use serde::Serialize;

use crate::output;

/// One line.
#[derive(Debug, Serialize)]
pub struct Row {
    what: String,
    measured: String,
    goal: String,
    /// Whether the goal was met. None: there is none.
    pub met: Option<bool>,
}

impl Row {
    pub fn new(what: &str, measured: String, goal: &str) -> Self {
        eprintln!("{what}: {measured}");
        Self { what: what.to_owned(), measured, goal: goal.to_owned(), met: None }
    }

    pub fn judged(self, met: bool) -> Self {
        Self { met: Some(met), ..self }
    }

    /// Whether it is held against its goal.
    pub fn goal(self, judged: bool) -> Self {
        if judged { self } else { Self { goal: String::new(), met: None, ..self } }
    }
}

/// The peers, as DESIGN section 10 has them: 2 cores, 50 ms latency, 200 subscriptions with two requests each, 16 in flight.
pub fn peers() -> Vec<Row> {
    let peer = |name: &str, rate: &str, share: &str, memory: &str| Row {
        what: format!("{name} (measured before, 16 in flight)"),
        measured: format!("{share} of the latency floor, {rate} subscriptions/s, {memory} MiB"),
        goal: String::new(),
        met: None,
    };
    vec![peer("Azure SDK for Python", "60", "38 %", "64"), peer("Azure SDK for Node", "88-109", "55-68 %", "157-168")]
}

pub fn print(rows: &[Row]) {
    let mut table = output::table(&["What", "Measured", "Goal", ""]);
    for row in rows {
        let met = row.met.map_or("", |met| if met { "met" } else { "MISSED" });
        table.add_row([row.what.as_str(), &row.measured, &row.goal, met]);
    }
    println!("{table}");
}
