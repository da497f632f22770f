//! Query parameters: known ones only, each at most once. A misspelled parameter is an error, not silence.

use url::form_urlencoded;

use super::problem::Problem;
use crate::query::page::PageAsk;

/// Parameters of the hosts, not of ours: function keys.
const HOSTS_OWN: [&str; 2] = ["code", "clientId"];

/// The parameters of one request.
#[derive(Debug, Clone)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a raw query.
    ///
    /// # Errors
    /// A problem that names the first unknown or repeated parameter.
    pub(super) fn parse(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if HOSTS_OWN.contains(&name.as_ref()) {
                continue;
            }
            let shown: String = name.chars().take(60).collect();
            if !known.contains(&name.as_ref()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::invalid(&shown, format!("There is no such parameter here; known are: {known}.")));
            }
            if parameters.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::invalid(&shown, "This parameter may be given once."));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is `true` or `false`; false when absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "This parameter must be true or false.")),
        }
    }

    /// `top` and `cursor`.
    pub(super) fn page(&self) -> Result<PageAsk, Problem> {
        PageAsk::parse(self.text("top"), self.text("cursor"))
            .map_err(|(name, rule)| Problem::invalid(name, format!("This parameter {rule}.")))
    }

    /// The path of the next page: the same parameters, another cursor.
    pub(super) fn with_cursor(&self, path: &str, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(name, _)| name != "cursor"));
        query.append_pair("cursor", cursor);
        format!("{path}?{}", query.finish())
    }
}
