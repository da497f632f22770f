//! The function.json files as data: routes, schedules and bindings, the same on every host.

/// Reads an NCRONTAB expression of six fields (seconds first).
///
/// # Errors
/// When it is no such expression.
pub fn parse_schedule(text: &str) -> Result<croner::Cron, croner::errors::CronError> {
    use croner::parser::{CronParser, Seconds};
    CronParser::builder().seconds(Seconds::Required).build().parse(text)
}
