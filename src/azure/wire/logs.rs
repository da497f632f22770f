//! The answer to a query of Log Analytics
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format>, v1).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The code of an error beside tables: there is more than was given.
pub(in crate::azure) const PARTIAL: &str = "PartialError";

#[derive(Debug, Deserialize)]
pub(in crate::azure) struct QueryAnswer {
    pub tables: Vec<LogTable>,
    #[serde(default)]
    pub error: Option<Value>,
    #[serde(default)]
    pub permissions: Value,
}

/// A table of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogTable {
    /// Its name; the answer itself is `PrimaryResult`.
    pub name: String,
    /// Its columns.
    pub columns: Vec<LogColumn>,
    /// Its rows, each with one value per column; values may be null.
    pub rows: Vec<Vec<Value>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogColumn {
    /// Its name.
    pub name: String,
    /// Its type in Kusto, such as `datetime`.
    #[serde(rename = "type", default)]
    pub kind: String,
}
