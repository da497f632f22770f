//! Settings of AWS: whose account it is, the queues, the bucket, and the secret that holds more settings.

use secrecy::SecretString;
use url::Url;

use super::read::{Reader, is_secure_or_loopback, shown};
use super::{Faults, StoreSettings, variable};

/// What the Lambda door needs of AWS.
#[derive(Debug, Clone)]
pub struct Aws {
    /// As whom it calls.
    pub account: AwsAccount,
    /// The SQS queue of customers to poll (`HEALTH_POLL_QUEUE_URL`).
    pub health_poll_queue: Url,
    /// The SQS queue of notices to tell (`HEALTH_NOTICES_QUEUE_URL`).
    pub health_notices_queue: Url,
}

/// As whom AWS is called. Lambda itself sets the region and the credentials of the function's role.
#[derive(Debug, Clone)]
pub struct AwsAccount {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: SecretString,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<SecretString>,
}

/// A secret of Secrets Manager whose members are settings (`SETTINGS_SECRET_ID`).
#[derive(Debug, Clone)]
pub struct SettingsSecret {
    /// Its name or ARN.
    pub id: String,
    /// As whom it is read.
    pub account: AwsAccount,
    /// Who has it.
    pub endpoint: Url,
}

impl SettingsSecret {
    /// Reads the process's environment. None: there is no such secret.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn from_env() -> Result<Option<Self>, Faults> {
        Self::from_lookup(variable)
    }

    /// Reads any source of names and values.
    ///
    /// # Errors
    /// [`Faults`], all of them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Faults> {
        let mut reader = Reader { lookup, faults: Vec::new() };
        let Some(id) = reader.text("SETTINGS_SECRET_ID") else { return Ok(None) };
        let account = reader.aws_account();
        let own = reader.address("AWS_ENDPOINT_URL");
        match account {
            Some(account) if reader.faults.is_empty() => {
                let endpoint = own.unwrap_or_else(|| endpoint("secretsmanager", &account.region));
                Ok(Some(Self { id, account, endpoint }))
            }
            _ => Err(Faults(reader.faults)),
        }
    }
}

/// Where a service of AWS is reached in a region.
fn endpoint(service: &str, region: &str) -> Url {
    let ending = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://{service}.{region}.{ending}/").parse().expect("the region was read as one")
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn aws(&mut self) -> Option<Aws> {
        let account = self.aws_account();
        let polls = self.queue("HEALTH_POLL_QUEUE_URL");
        let notices = self.queue("HEALTH_NOTICES_QUEUE_URL");
        Some(Aws { account: account?, health_poll_queue: polls?, health_notices_queue: notices? })
    }

    fn aws_account(&mut self) -> Option<AwsAccount> {
        let mut given = |name: &str, is_good: fn(&str) -> bool| {
            let text = self.text(name).filter(|text| is_good(text));
            if text.is_none() {
                self.fault(name, "nothing of the kind", "a value, which Lambda itself sets");
            }
            text
        };
        let region = given("AWS_REGION", is_region);
        let access_key_id = given("AWS_ACCESS_KEY_ID", |_| true);
        let secret_access_key = given("AWS_SECRET_ACCESS_KEY", |_| true);
        Some(AwsAccount {
            region: region?,
            access_key_id: access_key_id?,
            secret_access_key: secret_access_key?.into(),
            session_token: self.text("AWS_SESSION_TOKEN").map(SecretString::from),
        })
    }

    /// Documents in this bucket. Not only Lambda may have them there, so that nothing of the account must be set.
    pub(super) fn bucket(&mut self, bucket: &str, prefix: String) -> StoreSettings {
        let is_set = |name| self.text(name).is_some();
        let is_whole = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].into_iter().all(is_set);
        let account = if is_whole { self.aws_account() } else { None };
        StoreSettings::S3 { bucket: bucket.to_owned(), prefix, account, endpoint: self.address("AWS_ENDPOINT_URL") }
    }

    fn queue(&mut self, name: &'static str) -> Option<Url> {
        const EXPECTED: &str = "the address of a standard SQS queue, such as \
             https://sqs.eu-west-1.amazonaws.com/111122223333/health-poll";
        let Some(text) = self.text(name) else {
            self.fault(name, "nothing", EXPECTED);
            return None;
        };
        let url = text.parse::<Url>().ok().filter(is_secure_or_loopback);
        let names_a_queue =
            |url: &Url| url.path().trim_matches('/').split('/').count() == 2 && !text.ends_with(".fifo");
        let url = url.filter(names_a_queue);
        if url.is_none() {
            self.fault(name, shown(&text), EXPECTED);
        }
        url
    }
}

fn is_region(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(more: &[(&str, &str)]) -> Result<Option<SettingsSecret>, Faults> {
        let usual = [
            ("SETTINGS_SECRET_ID", "health-monitor"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "set by Lambda"),
        ];
        SettingsSecret::from_lookup(|name| {
            let all = more.iter().chain(&usual);
            all.clone().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_secret_is_asked_for_in_its_region_unless_another_endpoint_is_set() {
        let endpoint = |more: &[(&str, &str)]| read(more).unwrap().unwrap().endpoint.to_string();
        assert_eq!(endpoint(&[]), "https://secretsmanager.eu-west-1.amazonaws.com/");
        assert_eq!(endpoint(&[("AWS_REGION", "cn-north-1")]), "https://secretsmanager.cn-north-1.amazonaws.com.cn/");
        assert_eq!(endpoint(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:5000")]), "http://127.0.0.1:5000/");
        assert!(read(&[("SETTINGS_SECRET_ID", "")]).unwrap().is_none());
        for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            assert_eq!(read(&[(name, "")]).unwrap_err().0[0].name, name);
        }
        assert_eq!(read(&[("AWS_REGION", "evil.example/")]).unwrap_err().0[0].name, "AWS_REGION");
        assert_eq!(read(&[("AWS_ENDPOINT_URL", "http://evil.example")]).unwrap_err().0[0].name, "AWS_ENDPOINT_URL");
    }
}
