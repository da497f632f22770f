//! Settings out of Secrets Manager: one secret, its members named as the settings are, so that none of them is in the
//! configuration of the function and the partner's own `NOTIFY_*` need no place in a template.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::{Error, Operation, WAITS, call, not_understood};
use crate::outside::Clock;
use crate::settings::SettingsSecret;

const READ: Operation = Operation {
    service: "secretsmanager",
    target: "secretsmanager.GetSecretValue",
    media_type: "application/x-amz-json-1.1",
    name: "Secrets Manager",
};

/// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    secret_string: String,
}

/// The names and values in the secret.
///
/// # Errors
/// [`Error`], after several tries where they may help.
pub async fn read(
    http: &reqwest::Client,
    clock: &dyn Clock,
    secret: &SettingsSecret,
) -> Result<BTreeMap<String, String>, Error> {
    let body = json!({ "SecretId": secret.id }).to_string().into_bytes();
    let mut waits = WAITS.iter();
    let answer = loop {
        match call(http, clock, &secret.account, READ, &secret.endpoint, body.clone()).await {
            Ok(answer) => break answer,
            Err(error) if error.may_pass() => match waits.next() {
                Some(wait) => clock.sleep(*wait).await,
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    };
    // Nothing of a secret that cannot be read is repeated.
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| not_understood(READ))?;
    serde_json::from_str(&answer.secret_string).map_err(|_| Error::Refused {
        service: READ.name,
        status: 200,
        code: "a secret that is no JSON object of texts".to_owned(),
    })
}
