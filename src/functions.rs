//! The function.json files as data: routes, schedules and bindings, the same on every host.
//!
//! The files are compiled in, so that no host reads them at run time; the layout test holds the list and the folders
//! together.

mod route;

use std::time::Duration;

use serde::Deserialize;

pub use route::Route;

/// Every folder of `functions/` with its function.json, in the host's order (by name).
pub const FILES: &[(&str, &str)] = &[
    ("AdminConsentCallback", include_str!("../functions/AdminConsentCallback/function.json")),
    ("ConsentCallback", include_str!("../functions/ConsentCallback/function.json")),
    ("ConsentGrant", include_str!("../functions/ConsentGrant/function.json")),
    ("ConsentStart", include_str!("../functions/ConsentStart/function.json")),
    ("DeliverNotice", include_str!("../functions/DeliverNotice/function.json")),
    ("HealthApi", include_str!("../functions/HealthApi/function.json")),
    ("PollTenant", include_str!("../functions/PollTenant/function.json")),
    ("PollTimer", include_str!("../functions/PollTimer/function.json")),
    ("Probe", include_str!("../functions/Probe/function.json")),
];

/// `host.json`, as deployed.
pub const HOST_JSON: &str = include_str!("../host.json");

/// All functions and what `host.json` says about how they run.
#[derive(Debug, Clone)]
pub struct Functions {
    /// The functions, by name.
    pub list: Vec<Function>,
    /// What `host.json` says.
    pub host: HostJson,
}

/// One function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The folder's name.
    pub name: String,
    /// What starts it.
    pub trigger: Trigger,
    /// The queues that it writes to.
    pub outputs: Vec<QueueOutput>,
}

/// What starts a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// An HTTP request.
    Http {
        /// Who may call.
        auth: AuthLevel,
        /// Methods, upper case.
        methods: Vec<String>,
        /// The route below the prefix.
        route: Route,
    },
    /// A schedule.
    Timer {
        /// The binding's name.
        binding: String,
        /// NCRONTAB, or `%SETTING%`.
        schedule: String,
    },
    /// A message of a queue.
    Queue {
        /// The binding's name.
        binding: String,
        /// The queue.
        queue: String,
    },
}

/// Who may call an HTTP function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthLevel {
    /// Anybody.
    Anonymous,
    /// Who holds a key.
    Function,
}

/// A queue that a function writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOutput {
    /// The binding's name: the name in `Outputs` of an answer.
    pub binding: String,
    /// The queue.
    pub queue: String,
}

/// What `host.json` says about how functions run. The reasons for its numbers:
///
/// - `functionTimeout` is the most that a Consumption plan allows; a poll that takes as long has its own, shorter end
///   ([`crate::hosts::work::DEADLINE`]), since the host ends an overdue call by killing the process with all other calls.
/// - `batchSize` + `newBatchThreshold` = 192 customers polled at once per instance: a poll mostly waits for Azure, one call
///   after the other, so it takes many to keep the 64 calls of `AZURE_REQUESTS_IN_FLIGHT` busy, and those that wait out a
///   `Retry-After` hold a place, not a call. `docs/scale.md` has the arithmetic.
/// - `visibilityTimeout` 30 s × `maxDequeueCount` 5: a short trouble of Azure passes before a message becomes poison. A
///   lost message costs nothing for long, since the next timer plans the customer again.
/// - `maxPollingInterval` 10 s: how late a poll may start after the timer.
/// - Application Insights samples neither requests nor lines: alerts ask for single ones. What the host itself says of each run
///   (`Function`) is left out unless it is a warning; our own line says more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostJson {
    /// The first segment of every HTTP route.
    pub route_prefix: String,
    /// When the host gives a call up.
    pub function_timeout: Duration,
    /// Messages of a queue in work at once.
    pub queue_concurrency: usize,
    /// How often a message is tried before it becomes poison.
    pub max_dequeue_count: u32,
    /// How long a failed message waits.
    pub visibility_timeout: Duration,
}

/// Why a function.json or host.json cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct Invalid {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// What a request's method and path lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// This function.
    Found(&'a Function),
    /// A function, but with other methods.
    OtherMethods(&'a [String]),
    /// None.
    Nothing,
}

impl Functions {
    /// The functions of this program.
    pub fn embedded() -> Self {
        let parsed = FILES.iter().map(|(name, json)| Function::parse(name, json)).collect::<Result<Vec<_>, _>>();
        let list = parsed.expect("the files are compiled in, and a test parses them");
        let host = HostJson::parse(HOST_JSON).expect("the file is compiled in, and a test parses it");
        Self { list, host }
    }

    /// The HTTP function for a method and a path, such as `/api/v1/customers`.
    pub fn find(&self, method: &str, path: &str) -> Lookup<'_> {
        let Some(path) = self.below_prefix(path) else {
            return Lookup::Nothing;
        };
        let mut other = Lookup::Nothing;
        for function in &self.list {
            if let Trigger::Http { methods, route, .. } = &function.trigger
                && route.matches(path)
            {
                if methods.iter().any(|known| known == method) {
                    return Lookup::Found(function);
                }
                other = Lookup::OtherMethods(methods);
            }
        }
        other
    }

    /// The function of this name, exactly.
    pub fn named(&self, name: &str) -> Option<&Function> {
        self.list.iter().find(|function| function.name == name)
    }

    fn below_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        let path = path.strip_prefix('/')?;
        if self.host.route_prefix.is_empty() {
            return Some(path);
        }
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        first.eq_ignore_ascii_case(&self.host.route_prefix).then_some(rest)
    }
}

impl Function {
    /// Reads a function.json.
    ///
    /// # Errors
    /// [`Invalid`], when a host would refuse or misunderstand it, or when this program does not know such a trigger.
    pub fn parse(name: &str, json: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid { file: format!("{name}/function.json"), why };
        let file: FunctionJson = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        let mut triggers = Vec::new();
        let mut outputs = Vec::new();
        let mut http_outputs = 0;
        let mut names: Vec<String> = Vec::new();
        for binding in &file.bindings {
            // No underscore: "functions-host" 5.2a.
            if binding.name.is_empty() || !binding.name.chars().all(|c| c.is_ascii_alphanumeric()) {
                return Err(invalid(format!("the binding name {:?} is not letters and digits", binding.name)));
            }
            if names.iter().any(|known| known.eq_ignore_ascii_case(&binding.name)) {
                return Err(invalid(format!("two bindings have the name {:?}", binding.name)));
            }
            names.push(binding.name.clone());
            let wanted = if binding.kind.ends_with("Trigger") { "in" } else { "out" };
            if binding.direction != wanted {
                return Err(invalid(format!("the binding {:?} must have the direction {wanted:?}", binding.name)));
            }
            match binding.kind.as_str() {
                "http" => http_outputs += 1,
                "queue" => outputs.push(QueueOutput { binding: binding.name.clone(), queue: binding.queue(&invalid)? }),
                _ => triggers.push(binding.trigger(&invalid)?),
            }
        }
        let [trigger] = <[Trigger; 1]>::try_from(triggers)
            .map_err(|triggers| invalid(format!("{} triggers, there must be exactly one", triggers.len())))?;
        // Only then does the host pass the request through as it is ("functions-host" 4).
        let is_http = matches!(trigger, Trigger::Http { .. });
        if is_http && (http_outputs != 1 || !outputs.is_empty()) {
            return Err(invalid("an HTTP function must have exactly one httpTrigger and one http binding".to_owned()));
        }
        if !is_http && http_outputs != 0 {
            return Err(invalid("an http output without an httpTrigger".to_owned()));
        }
        Ok(Self { name: name.to_owned(), trigger, outputs })
    }
}

impl HostJson {
    /// Reads a host.json.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid { file: "host.json".to_owned(), why };
        let file: HostJsonFile = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
        if file.version != "2.0" {
            return Err(invalid(format!("version is {:?}, it must be \"2.0\"", file.version)));
        }
        if !file.custom_handler.enable_proxying_http_request {
            return Err(invalid("customHandler.enableProxyingHttpRequest must be true".to_owned()));
        }
        let duration = |text: &str, name: &str| {
            parse_time_span(text).ok_or_else(|| invalid(format!("{name} is {text:?}, it must be hh:mm:ss")))
        };
        let queues = &file.extensions.queues;
        Ok(Self {
            route_prefix: file.extensions.http.route_prefix.clone(),
            function_timeout: duration(&file.function_timeout, "functionTimeout")?,
            queue_concurrency: queues.batch_size + queues.new_batch_threshold,
            max_dequeue_count: queues.max_dequeue_count,
            visibility_timeout: duration(&queues.visibility_timeout, "visibilityTimeout")?,
        })
    }
}

/// Reads an NCRONTAB expression of six fields (seconds first).
///
/// # Errors
/// When it is no such expression.
pub fn parse_schedule(text: &str) -> Result<croner::Cron, croner::errors::CronError> {
    use croner::parser::{CronParser, Seconds};
    CronParser::builder().seconds(Seconds::Required).build().parse(text)
}

/// `hh:mm:ss`, the only form of a .NET TimeSpan that these files use.
fn parse_time_span(text: &str) -> Option<Duration> {
    let mut parts = text.split(':').map(|part| (part.len() == 2).then(|| part.parse::<u64>().ok()).flatten());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    (parts.next().is_none() && minutes < 60 && seconds < 60)
        .then(|| Duration::from_secs((hours * 60 + minutes) * 60 + seconds))
}

/// function.json, <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>.
#[derive(Deserialize)]
struct FunctionJson {
    bindings: Vec<Binding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Binding {
    #[serde(rename = "type")]
    kind: String,
    direction: String,
    name: String,
    auth_level: Option<AuthLevel>,
    methods: Option<Vec<String>>,
    route: Option<String>,
    schedule: Option<String>,
    queue_name: Option<String>,
    connection: Option<String>,
}

impl Binding {
    fn trigger(&self, invalid: &impl Fn(String) -> Invalid) -> Result<Trigger, Invalid> {
        let missing = |member: &str| invalid(format!("the binding {:?} has no {member}", self.name));
        match self.kind.as_str() {
            "httpTrigger" => {
                let route = self.route.as_deref().ok_or_else(|| missing("route"))?;
                let methods = self.methods.as_ref().filter(|list| !list.is_empty());
                Ok(Trigger::Http {
                    // The host's default is written out, so that nobody has to know it.
                    auth: self.auth_level.ok_or_else(|| missing("authLevel"))?,
                    methods: methods
                        .ok_or_else(|| missing("methods"))?
                        .iter()
                        .map(|method| method.to_ascii_uppercase())
                        .collect(),
                    route: Route::parse(route).map_err(invalid)?,
                })
            }
            "timerTrigger" => {
                let schedule = self.schedule.clone().ok_or_else(|| missing("schedule"))?;
                let is_setting = schedule.len() > 2 && schedule.starts_with('%') && schedule.ends_with('%');
                if !is_setting && parse_schedule(&schedule).is_err() {
                    return Err(invalid(format!("{schedule:?} is no NCRONTAB expression of six fields")));
                }
                Ok(Trigger::Timer { binding: self.name.clone(), schedule })
            }
            "queueTrigger" => Ok(Trigger::Queue { binding: self.name.clone(), queue: self.queue(invalid)? }),
            other => Err(invalid(format!("this program has no bindings of the type {other:?}"))),
        }
    }

    fn queue(&self, invalid: &impl Fn(String) -> Invalid) -> Result<String, Invalid> {
        let queue = self.queue_name.clone().unwrap_or_default();
        let valid = (3..=63).contains(&queue.len())
            && queue.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !valid {
            return Err(invalid(format!("{queue:?} is no name of a queue")));
        }
        if self.connection.as_deref() != Some("AzureWebJobsStorage") {
            return Err(invalid(format!("the connection of {:?} must be AzureWebJobsStorage", self.name)));
        }
        Ok(queue)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HostJsonFile {
    version: String,
    function_timeout: String,
    custom_handler: CustomHandler,
    extensions: Extensions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomHandler {
    enable_proxying_http_request: bool,
}

#[derive(Deserialize)]
struct Extensions {
    http: Http,
    queues: Queues,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    route_prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queues {
    batch_size: usize,
    new_batch_threshold: usize,
    max_dequeue_count: u32,
    visibility_timeout: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        let functions = Functions::embedded();
        match functions.find(method, path) {
            Lookup::Found(function) => function.name.clone(),
            Lookup::OtherMethods(methods) => format!("only {}", methods.join(", ")),
            Lookup::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn a_request_finds_its_function() {
        assert_eq!(found("GET", "/api/consent/start"), "ConsentStart");
        assert_eq!(found("GET", "/API/Consent/Start"), "ConsentStart");
        assert_eq!(found("POST", "/api/v1/customers/x/refresh"), "HealthApi");
        assert_eq!(found("GET", "/api/probe/live"), "Probe");
        assert_eq!(found("PUT", "/api/probe/live"), "only GET");
        assert_eq!(found("GET", "/v1/customers"), "nothing");
        assert_eq!(found("GET", "/api/consent"), "nothing");
        assert_eq!(found("POST", "/PollTimer"), "nothing");
        assert_eq!(found("GET", "/"), "nothing");
    }

    #[test]
    fn a_function_json_that_a_host_would_misunderstand_is_refused() {
        let why = |json: &str| Function::parse("X", json).unwrap_err().why;
        let http = r#"{"type":"httpTrigger","direction":"in","name":"req","authLevel":"anonymous","methods":["get"],"route":"a"}"#;
        let res = r#"{"type":"http","direction":"out","name":"res"}"#;
        let queue =
            r#"{"type":"queue","direction":"out","name":"next","queueName":"a-b","connection":"AzureWebJobsStorage"}"#;
        assert!(Function::parse("X", &format!(r#"{{"bindings":[{http},{res}]}}"#)).is_ok());
        assert!(why(&format!(r#"{{"bindings":[{http}]}}"#)).contains("exactly one httpTrigger"));
        assert!(why(&format!(r#"{{"bindings":[{http},{res},{queue}]}}"#)).contains("exactly one httpTrigger"));
        assert!(why(&format!(r#"{{"bindings":[{queue}]}}"#)).contains("0 triggers"));
        assert!(why(&format!(r#"{{"bindings":[{http},{http}]}}"#)).contains("two bindings"));
        assert!(why(&format!(r#"{{"bindings":[{},{res}]}}"#, http.replace("\"a\"", "\"/a\""))).contains("slash"));
        assert!(why(&format!(r#"{{"bindings":[{}]}}"#, queue.replace("next", "next_one"))).contains("letters"));
        assert!(
            why(r#"{"bindings":[{"type":"timerTrigger","direction":"in","name":"t","schedule":"soon"}]}"#)
                .contains("NCRONTAB")
        );
        assert!(
            why(r#"{"bindings":[{"type":"blobTrigger","direction":"in","name":"t"}]}"#)
                .contains("no bindings of the type")
        );
    }

    #[test]
    fn a_time_span_is_read_or_refused() {
        assert_eq!(parse_time_span("00:10:00"), Some(Duration::from_secs(600)));
        assert_eq!(parse_time_span("01:00:05"), Some(Duration::from_secs(3605)));
        for wrong in ["", "5", "00:10", "00:61:00", "-1", "00:10:00:00", "1:00:00"] {
            assert_eq!(parse_time_span(wrong), None, "{wrong}");
        }
    }
}
