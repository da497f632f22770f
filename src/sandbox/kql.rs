//! The part of the Kusto query language that this project's design allows: `table | where .. | project .. | order by id asc`.

use serde_json::{Map, Value};

/// Why a query is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    fn parser(message: impl Into<String>) -> Self {
        Self { code: "ParserFailure", message: message.into() }
    }
}

/// A query that was understood.
#[derive(Debug)]
pub(super) struct Query {
    /// Lower case.
    pub table: String,
    conditions: Vec<Any>,
    /// The columns of the projection, in its order.
    pub columns: Vec<String>,
}

/// Conditions of one `where` joined by `or`, each of them joined by `and`.
type Any = Vec<Vec<Condition>>;

#[derive(Debug)]
struct Condition {
    operand: Operand,
    operator: Operator,
    literals: Vec<String>,
}

#[derive(Debug)]
enum Operand {
    Column(String),
    Property(String),
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    Equal { any_case: bool },
    NotEqual { any_case: bool },
}

const TABLES: [&str; 3] = ["servicehealthresources", "healthresources", "resourcecontainers"];
const COLUMNS: [&str; 7] = ["id", "name", "type", "tenantId", "subscriptionId", "location", "properties"];

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query, Fault> {
    let text: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut parts = split_outside_quotes(&text, '|').into_iter();
    let table = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    if !TABLES.contains(&table.as_str()) {
        return Err(Fault {
            code: "DisallowedLogicalTableName",
            message: format!("Table {table} is invalid, unsupported or disallowed."),
        });
    }
    let mut query = Query { table, conditions: Vec::new(), columns: COLUMNS.map(str::to_owned).to_vec() };
    let mut step = 0;
    for part in parts {
        let part = part.trim();
        let (word, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        // The steps must come in the order of the design.
        let place = match word {
            "where" => 1,
            "project" => 2,
            "order" => 3,
            _ => return Err(Fault::parser(format!("ParserFailure near '{word}'"))),
        };
        if place < step || (place == step && place > 1) {
            return Err(Fault::parser(format!("The sandbox does not expect '{word}' here.")));
        }
        step = place;
        match place {
            1 => query.conditions.push(any_of(rest)?),
            2 => query.columns = columns(rest)?,
            _ if rest.split_whitespace().eq(["by", "id", "asc"]) => {}
            _ => return Err(Fault::parser("The sandbox orders by id asc only.")),
        }
    }
    Ok(query)
}

fn columns(text: &str) -> Result<Vec<String>, Fault> {
    let column = |name: &str| {
        let name = name.trim();
        if COLUMNS.contains(&name) {
            Ok(name.to_owned())
        } else {
            Err(Fault { code: "InvalidQuery", message: format!("Failed to resolve scalar expression named '{name}'.") })
        }
    };
    text.split(',').map(column).collect()
}

fn any_of(text: &str) -> Result<Any, Fault> {
    let all_of = |text: String| split_words(&text, " and ").iter().map(|one| condition(one)).collect();
    split_words(text, " or ").into_iter().map(all_of).collect()
}

fn condition(text: &str) -> Result<Condition, Fault> {
    let text = text.trim();
    let fault = || Fault::parser(format!("ParserFailure near '{text}'"));
    const OPERATORS: [(&str, Operator); 5] = [
        ("=~", Operator::Equal { any_case: true }),
        ("!~", Operator::NotEqual { any_case: true }),
        ("==", Operator::Equal { any_case: false }),
        ("!=", Operator::NotEqual { any_case: false }),
        (" in~ ", Operator::Equal { any_case: true }),
    ];
    let (sign, operator) = OPERATORS.into_iter().find(|(sign, _)| text.contains(sign)).ok_or_else(fault)?;
    let (left, right) = text.split_once(sign).ok_or_else(fault)?;
    let left = left.trim();
    let property = left.strip_prefix("tostring(properties.").and_then(|rest| rest.strip_suffix(')'));
    let operand = match property {
        Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) => {
            Operand::Property(name.to_owned())
        }
        None if COLUMNS.contains(&left) && left != "properties" => Operand::Column(left.to_owned()),
        _ => return Err(fault()),
    };
    let right = right.trim();
    let literals = if sign == " in~ " {
        let list = right.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(fault)?;
        list.split(',').map(literal).collect::<Option<Vec<_>>>()
    } else {
        literal(right).map(|one| vec![one])
    };
    Ok(Condition { operand, operator, literals: literals.ok_or_else(fault)? })
}

/// A text in single or double quotes.
fn literal(text: &str) -> Option<String> {
    let text = text.trim();
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(quote)).then(|| inner.to_owned())
}

/// Splits at a character outside of quotes: for both of the languages that look like Kusto.
pub(super) fn split_outside_quotes(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for c in text.chars() {
        match quote {
            None if c == separator => {
                parts.push(String::new());
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts
}

/// Splits at a word outside of quotes; line breaks count as blanks.
fn split_words(text: &str, word: &str) -> Vec<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A character that no query contains stands for the word outside of quotes.
    let mut marked = String::new();
    let mut rest = text.as_str();
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        if quote.is_none() && rest.starts_with(word) {
            marked.push('\u{0}');
            rest = &rest[word.len()..];
            continue;
        }
        quote = match quote {
            None if c == '\'' || c == '"' => Some(c),
            Some(open) if open == c => None,
            other => other,
        };
        marked.push(c);
        rest = &rest[c.len_utf8()..];
    }
    marked.split('\u{0}').map(str::to_owned).collect()
}

impl Query {
    /// True when the row meets all conditions.
    pub(super) fn keeps(&self, row: &Value) -> bool {
        self.conditions.iter().all(|any| any.iter().any(|all| all.iter().all(|one| one.holds(row))))
    }

    /// The projected columns of a row.
    pub(super) fn project(&self, row: &Value) -> Value {
        let column = |name: &String| (name.clone(), row.get(name).cloned().unwrap_or(Value::Null));
        Value::Object(self.columns.iter().map(column).collect::<Map<_, _>>())
    }
}

impl Condition {
    fn holds(&self, row: &Value) -> bool {
        let value = match &self.operand {
            Operand::Column(name) => row.get(name),
            // Members of a property bag are case-sensitive in Kusto.
            Operand::Property(name) => row.get("properties").and_then(|bag| bag.get(name)),
        };
        // `tostring` of nothing is the empty text.
        let text = match value {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let same = |any_case: bool| {
            self.literals.iter().any(|one| if any_case { one.eq_ignore_ascii_case(&text) } else { *one == text })
        };
        match self.operator {
            Operator::Equal { any_case } => same(any_case),
            Operator::NotEqual { any_case } => !same(any_case),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_of_the_design_is_understood() {
        let query = parse(
            "ServiceHealthResources\n| where type =~ 'microsoft.resourcehealth/events'\n\
             | where tostring(properties.Status) =~ 'Active' or tostring(properties.status) =~ 'Active'\n\
             | project id, name, properties\n| order by id asc",
        )
        .expect("a query of the design");
        assert_eq!(query.table, "servicehealthresources");
        let row = |status: &str| json!({"id": "a", "type": "Microsoft.ResourceHealth/Events", "properties": {"Status": status}});
        assert!(query.keeps(&row("active")));
        assert!(!query.keeps(&row("Resolved")));
        assert_eq!(query.project(&row("x")), json!({"id": "a", "name": null, "properties": {"Status": "x"}}));
    }

    #[test]
    fn members_of_the_property_bag_are_told_apart_by_case() {
        let query = parse("healthresources | where tostring(properties.state) == 'on'").expect("valid");
        assert!(!query.keeps(&json!({"properties": {"State": "on"}})));
        assert!(query.keeps(&json!({"properties": {"state": "on"}})));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "resources | project id",
            "healthresources | extend a = 1",
            "healthresources | project id | where name == 'x'",
            "healthresources | project id = name",
            "healthresources | project id | order by name asc",
            "healthresources | where name contains 'x'",
            "healthresources | where name == x",
            "healthresources | summarize count()",
            "",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_and_bars_inside_of_quotes_are_text() {
        let query = parse("healthresources | where name == 'a | b or c' and type =~ 'x'").expect("valid");
        assert!(query.keeps(&json!({"name": "a | b or c", "type": "X"})));
        assert!(!query.keeps(&json!({"name": "a", "type": "X"})));
    }
}
