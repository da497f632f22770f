//! OpenMetrics 1.0 as text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>). Pure.

use std::fmt::Write as _;

/// The content type of the text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What kind of family it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Summary,
    Info,
}

/// All samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Family {
    name: &'static str,
    kind: Kind,
    unit: Option<&'static str>,
    help: &'static str,
    samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit: None, help, samples: Vec::new() }
    }

    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Counter, ..Self::gauge(name, help) }
    }

    pub fn summary(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Summary, ..Self::gauge(name, help) }
    }

    pub fn info(name: &'static str, help: &'static str) -> Self {
        Self { kind: Kind::Info, ..Self::gauge(name, help) }
    }

    /// In seconds: the name ends with it.
    pub fn seconds(self) -> Self {
        Self { unit: Some("seconds"), ..self }
    }

    pub fn sample(mut self, labels: Vec<(&'static str, String)>, value: f64) -> Self {
        self.samples.push((labels, value));
        self
    }

    pub fn samples(mut self, more: impl IntoIterator<Item = (Vec<(&'static str, String)>, f64)>) -> Self {
        self.samples.extend(more);
        self
    }

    /// The median, the 99th percentile and the worst of some values. No values: no samples.
    pub fn quantiles(self, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quantile: f64| {
            let rank = (quantile * values.len() as f64).ceil().max(1.0) as usize;
            values.get(rank - 1).copied()
        };
        let samples: Vec<_> = [("0.5", 0.5), ("0.99", 0.99), ("1.0", 1.0)]
            .into_iter()
            .filter_map(|(label, quantile)| Some((vec![("quantile", label.to_owned())], at(quantile)?)))
            .collect();
        self.samples(samples)
    }
}

/// The whole exposition, with its end.
pub(super) fn exposition(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        let Family { name, help, .. } = family;
        let (kind, suffix) = match family.kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Counter => ("counter", "_total"),
            Kind::Summary => ("summary", ""),
            Kind::Info => ("info", "_info"),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if let Some(unit) = family.unit {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        let _ = writeln!(text, "# HELP {name} {}", escaped(help));
        for (labels, value) in &family.samples {
            let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let _ = writeln!(text, "{name}{suffix}{labels} {value}");
        }
    }
    text.push_str("# EOF\n");
    text
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_there() {
        let summary = Family::summary("x_seconds", "X.").seconds().quantiles((1..=200).rev().map(f64::from).collect());
        let values: Vec<_> = summary.samples.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [100.0, 198.0, 200.0]);
        assert!(Family::summary("x_seconds", "X.").quantiles(Vec::new()).samples.is_empty());
    }

    #[test]
    fn what_stands_in_a_label_never_ends_it() {
        let family = Family::gauge("x", "X.").sample(vec![("a", "b\"} 1\n# EOF\\".to_owned())], 2.0);
        let text = exposition(&[family]);
        assert_eq!(text, "# TYPE x gauge\n# HELP x X.\nx{a=\"b\\\"} 1\\n# EOF\\\\\"} 2\n# EOF\n");
    }
}
