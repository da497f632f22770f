//! Where traces go: the standard names of OpenTelemetry, so that nobody has to learn ours
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use secrecy::SecretString;

use super::{Fault, Faults};

/// An OTLP collector.
#[derive(Debug, Clone)]
pub struct Otlp {
    /// The base address (`OTEL_EXPORTER_OTLP_ENDPOINT`).
    pub endpoint: String,
    /// Headers for it (`OTEL_EXPORTER_OTLP_HEADERS`).
    pub headers: Vec<(String, SecretString)>,
    /// What we are called there (`OTEL_SERVICE_NAME`).
    pub service_name: String,
    /// What else is said of us (`OTEL_RESOURCE_ATTRIBUTES`).
    pub resource: Vec<(String, String)>,
    /// Which traces are sent (`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`).
    pub sampler: TraceSampler,
}

/// Which traces are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TraceSampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share.
    Ratio(f64),
    /// As the caller says; without a caller all.
    ParentOrAlwaysOn,
    /// As the caller says; without a caller none.
    ParentOrAlwaysOff,
    /// As the caller says; without a caller this share.
    ParentOrRatio(f64),
}

impl Otlp {
    /// The collector that is set. None: none is.
    ///
    /// # Errors
    /// [`Faults`], all of them; never with a header's value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Faults> {
        let text = |name: &str| lookup(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let Some(endpoint) = text("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
        let mut faults = Vec::new();
        let mut fault = |name: &str, found: String, expected: &str| {
            faults.push(Fault { name: name.to_owned(), found, expected: expected.to_owned() });
        };
        let usable = endpoint.parse::<url::Url>().is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
        });
        if !usable {
            let expected = "an address such as http://127.0.0.1:4318, without a user";
            fault(
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                format!("{} characters that are none", endpoint.chars().count()),
                expected,
            );
        }
        let headers = pairs(&text("OTEL_EXPORTER_OTLP_HEADERS").unwrap_or_default());
        let resource = pairs(&text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        if headers.is_none() {
            fault("OTEL_EXPORTER_OTLP_HEADERS", "something else".to_owned(), "name=value, separated by commas");
        }
        if resource.is_none() {
            fault("OTEL_RESOURCE_ATTRIBUTES", "something else".to_owned(), "name=value, separated by commas");
        }
        let ratio = match text("OTEL_TRACES_SAMPLER_ARG") {
            None => Some(1.0),
            Some(text) => text.parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio)),
        };
        if ratio.is_none() {
            fault("OTEL_TRACES_SAMPLER_ARG", "something else".to_owned(), "a number from 0 to 1");
        }
        let ratio = ratio.unwrap_or(1.0);
        let word = text("OTEL_TRACES_SAMPLER");
        let sampler = match word.as_deref() {
            None | Some("parentbased_always_on") => Some(TraceSampler::ParentOrAlwaysOn),
            Some("always_on") => Some(TraceSampler::AlwaysOn),
            Some("always_off") => Some(TraceSampler::AlwaysOff),
            Some("traceidratio") => Some(TraceSampler::Ratio(ratio)),
            Some("parentbased_always_off") => Some(TraceSampler::ParentOrAlwaysOff),
            Some("parentbased_traceidratio") => Some(TraceSampler::ParentOrRatio(ratio)),
            Some(_) => None,
        };
        if sampler.is_none() {
            let expected = "always_on, always_off, traceidratio or one of these with parentbased_ before it";
            fault(
                "OTEL_TRACES_SAMPLER",
                format!("{:?}", word.unwrap_or_default().chars().take(40).collect::<String>()),
                expected,
            );
        }
        let mut resource = resource.unwrap_or_default();
        let named = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        let service_name = text("OTEL_SERVICE_NAME").or(named).unwrap_or_else(|| "health-monitor".to_owned());
        match (headers, sampler) {
            (Some(headers), Some(sampler)) if faults.is_empty() => Ok(Some(Self {
                endpoint,
                headers: headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
                service_name,
                resource,
                sampler,
            })),
            _ => Err(Faults(faults)),
        }
    }

    /// Where spans go.
    pub fn traces_url(&self) -> String {
        format!("{}/v1/traces", self.endpoint.trim_end_matches('/'))
    }
}

/// `a=b,c=d`, percent-encoded, as in a W3C Baggage header. None: it is none.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| {
        // A form would take + for a space; these lists do not.
        let form = text.trim().replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
        url::form_urlencoded::parse(form.as_bytes()).next().map(|(name, _)| name.into_owned())
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=')?;
            Some((decoded(name)?, decoded(value).unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<Option<Otlp>, Faults> {
        let known: std::collections::BTreeMap<_, _> = values.iter().copied().collect();
        Otlp::from_lookup(|name| known.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn the_standard_names_are_read_and_secrets_stay_secret() {
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none(), "without an address nothing is sent");
        let otlp = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example:4318/"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%3Decret+1, x-team = blue"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=named,deployment.environment.name=test"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let otlp = otlp.unwrap().unwrap();
        assert_eq!(otlp.traces_url(), "https://collector.example:4318/v1/traces");
        let headers: Vec<_> = otlp.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(headers, [("api-key", "s=ecret+1"), ("x-team", "blue")]);
        assert_eq!((otlp.service_name.as_str(), otlp.resource.len()), ("named", 1));
        assert_eq!(otlp.sampler, TraceSampler::ParentOrRatio(0.25));
        assert!(!format!("{otlp:?}").contains("s=ecret"));
    }

    #[test]
    fn every_fault_is_named_at_once_and_repeats_no_secret() {
        let faults = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@collector"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ]);
        let faults = faults.unwrap_err();
        assert_eq!(faults.0.len(), 4);
        assert!(!faults.to_string().contains("hunter2"));
    }
}
