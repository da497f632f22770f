//! A small part of the Kusto query language, for logs: `where`, `project`, `take`, `count`, `order by`, `summarize count() by`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::kql::split_outside_quotes;
use super::monitor::LogsTable;
use crate::model::Timestamp;

/// Why a query is refused: the inner code, and the innermost message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: &'static str,
    pub inner: &'static str,
    pub message: String,
}

fn syntax(near: &str) -> Fault {
    let near = near.trim();
    Fault { code: "SyntaxError", inner: "SYN0002", message: format!("Query could not be parsed at '{near}'") }
}

fn semantic(message: String) -> Fault {
    Fault { code: "SemanticError", inner: "SEM0100", message }
}

/// Runs a query over the tables of a workspace. `since`: what the time span leaves.
pub(super) fn run(
    text: &str,
    tables: &BTreeMap<String, LogsTable>,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Result<LogsTable, Fault> {
    let mut steps = split_outside_quotes(text, '|').into_iter();
    let name = steps.next().unwrap_or_default().trim().to_owned();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(syntax(&name));
    }
    let table = tables.get(&name);
    let mut table = table.cloned().ok_or_else(|| {
        semantic(format!("'where' operator: Failed to resolve table or column expression named '{name}'"))
    })?;
    if let (Some(since), Some(at)) = (since, table.column("TimeGenerated")) {
        table.rows.retain(|row| time(&row[at]).is_none_or(|time| time >= since));
    }
    for step in steps {
        let step = step.trim();
        let (word, rest) = step.split_once(char::is_whitespace).unwrap_or((step, ""));
        apply(&mut table, word, rest.trim(), now)?;
    }
    Ok(table)
}

fn apply(table: &mut LogsTable, word: &str, rest: &str, now: Timestamp) -> Result<(), Fault> {
    match word {
        "where" => {
            for condition in words(rest, "and") {
                let keeps = condition_of(table, condition.trim(), now)?;
                table.rows.retain(|row| keeps(row));
            }
        }
        "project" => {
            let chosen: Vec<usize> = rest.split(',').map(|name| resolve(table, name)).collect::<Result<_, _>>()?;
            table.columns = chosen.iter().map(|at| table.columns[*at].clone()).collect();
            let pick = |row: &Vec<Value>| chosen.iter().map(|at| row[*at].clone()).collect();
            table.rows = table.rows.iter().map(pick).collect();
        }
        "take" | "limit" => {
            let count = rest.parse().map_err(|_| syntax(rest))?;
            table.rows.truncate(count);
        }
        "count" if rest.is_empty() => {
            *table = LogsTable::new(&[("Count", "long")], vec![vec![table.rows.len().into()]]);
        }
        "order" | "sort" => {
            let by = rest.strip_prefix("by ").ok_or_else(|| syntax(rest))?;
            let (name, direction) = by.trim().split_once(' ').unwrap_or((by, "desc"));
            let at = resolve(table, name)?;
            table.rows.sort_by_key(|row| row[at].to_string());
            match direction.trim() {
                "asc" => {}
                "desc" => table.rows.reverse(),
                other => return Err(syntax(other)),
            }
        }
        "summarize" => {
            let name = rest.strip_prefix("count() by ").ok_or_else(|| syntax(rest))?;
            let at = resolve(table, name)?;
            let mut counts: BTreeMap<String, (Value, u64)> = BTreeMap::new();
            for row in &table.rows {
                counts.entry(row[at].to_string()).or_insert((row[at].clone(), 0)).1 += 1;
            }
            let (name, kind) = table.columns[at].clone();
            let rows = counts.into_values().map(|(value, count)| vec![value, count.into()]).collect();
            *table = LogsTable { columns: vec![(name, kind), ("count_".to_owned(), "long".to_owned())], rows };
        }
        other => return Err(syntax(other)),
    }
    Ok(())
}

fn resolve(table: &LogsTable, name: &str) -> Result<usize, Fault> {
    let name = name.trim();
    table
        .column(name)
        .ok_or_else(|| semantic(format!("'project' operator: Failed to resolve scalar expression named '{name}'")))
}

fn condition_of(table: &LogsTable, text: &str, now: Timestamp) -> Result<impl Fn(&Vec<Value>) -> bool + use<>, Fault> {
    const SIGNS: [&str; 9] = ["==", "=~", "!=", ">=", "<=", ">", "<", " contains ", " in "];
    let sign = SIGNS.into_iter().find(|sign| text.contains(sign)).ok_or_else(|| syntax(text))?;
    let (left, right) = text.split_once(sign).ok_or_else(|| syntax(text))?;
    let at = resolve(table, left)?;
    let right = right.trim();
    let list = if sign == " in " {
        right.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(|| syntax(right))?
    } else {
        right
    };
    let wanted: Vec<Value> = if sign == " in " {
        list.split(',').map(|one| literal(one, now)).collect::<Option<_>>()
    } else {
        literal(list, now).map(|one| vec![one])
    }
    .ok_or_else(|| syntax(right))?;
    Ok(move |row: &Vec<Value>| {
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (value, first) = (&row[at], &wanted[0]);
        let order = || match (value.as_f64().zip(first.as_f64()), time(value).zip(time(first))) {
            (Some((value, first)), _) => value.partial_cmp(&first),
            (None, Some((value, first))) => Some(value.cmp(&first)),
            (None, None) => None,
        };
        match sign {
            "==" | " in " => wanted.iter().any(|one| plain(one) == plain(value)),
            "=~" => plain(first).eq_ignore_ascii_case(&plain(value)),
            "!=" => plain(first) != plain(value),
            " contains " => plain(value).to_lowercase().contains(&plain(first).to_lowercase()),
            ">=" => order().is_some_and(std::cmp::Ordering::is_ge),
            "<=" => order().is_some_and(std::cmp::Ordering::is_le),
            ">" => order().is_some_and(std::cmp::Ordering::is_gt),
            _ => order().is_some_and(std::cmp::Ordering::is_lt),
        }
    })
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A text in quotes, a number, `ago(1d)`.
fn literal(text: &str, now: Timestamp) -> Option<Value> {
    let text = text.trim();
    if let Some(ago) = text.strip_prefix("ago(").and_then(|rest| rest.strip_suffix(')')) {
        let (number, unit) = ago.split_at(ago.len().checked_sub(1)?);
        let number: i64 = number.parse().ok()?;
        let back = match unit {
            "d" => TimeDelta::days(number),
            "h" => TimeDelta::hours(number),
            "m" => TimeDelta::minutes(number),
            _ => return None,
        };
        return Some((now - back).to_rfc3339().into());
    }
    let quote = text.chars().next().filter(|c| ['\'', '"'].contains(c));
    match quote {
        Some(quote) => Some(text.strip_prefix(quote)?.strip_suffix(quote)?.into()),
        None => text.parse::<f64>().ok().map(|_| text.parse::<i64>().map_or_else(|_| json!(text), Value::from)),
    }
}

/// Splits at a word outside of quotes.
fn words(text: &str, word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for piece in split_outside_quotes(text, ' ') {
        if piece == word {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(' ');
            last.push_str(&piece);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> BTreeMap<String, LogsTable> {
        let row = |time: &str, what: &str, level: i64| vec![time.into(), what.into(), level.into()];
        let rows = vec![
            row("2026-01-15T10:00:00Z", "ServiceHealth", 2),
            row("2026-01-15T11:00:00Z", "Administrative and more", 4),
            row("2026-01-10T11:00:00Z", "ServiceHealth", 1),
        ];
        let columns = [("TimeGenerated", "datetime"), ("Category", "string"), ("Level", "int")];
        BTreeMap::from([("AzureActivity".to_owned(), LogsTable::new(&columns, rows))])
    }

    fn ask(text: &str) -> Result<Vec<Vec<Value>>, Fault> {
        let now = "2026-01-15T12:00:00Z".parse().expect("a time");
        run(text, &tables(), None, now).map(|table| table.rows)
    }

    #[test]
    fn the_steps_do_what_kusto_does() {
        assert_eq!(ask("AzureActivity | count"), Ok(vec![vec![json!(3)]]));
        let recent =
            ask("AzureActivity\n| where TimeGenerated > ago(1d) and Category == 'ServiceHealth'\n| project Level");
        assert_eq!(recent, Ok(vec![vec![json!(2)]]));
        assert_eq!(
            ask("AzureActivity | where Category in ('x', 'Administrative and more') | project Level").unwrap(),
            [[json!(4)]]
        );
        let sorted = ask("AzureActivity | order by TimeGenerated asc | take 1 | project Level");
        assert_eq!(sorted.unwrap(), [[json!(1)]]);
        let counts = ask("AzureActivity | summarize count() by Category").unwrap();
        assert_eq!(counts, [[json!("Administrative and more"), json!(1)], [json!("ServiceHealth"), json!(2)]]);
        let since = Some("2026-01-15T10:30:00Z".parse().expect("a time"));
        let left = run("AzureActivity | count", &tables(), since, "2026-01-15T12:00:00Z".parse().unwrap()).unwrap();
        assert_eq!(left.rows, [[json!(1)]]);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(ask("Nothing | count").map_err(|fault| fault.code), Err("SemanticError"));
        assert_eq!(ask("AzureActivity | project Nothing").map_err(|fault| fault.code), Err("SemanticError"));
        for text in ["", "AzureActivity | tke 1", "AzureActivity | where Level", "AzureActivity | take x"] {
            assert_eq!(ask(text).map_err(|fault| fault.code), Err("SyntaxError"), "{text}");
        }
    }
}
