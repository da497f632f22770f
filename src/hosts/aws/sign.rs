//! AWS Signature Version 4, as far as one POST without a query needs it:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use secrecy::ExposeSecret as _;

use crate::settings::AwsAccount;

/// The `Authorization` header. Header names are lower case, and `x-amz-date` is one of them.
pub(super) fn authorization(
    account: &AwsAccount,
    service: &str,
    method: &str,
    path: &str,
    headers: &BTreeMap<&str, String>,
    body: &[u8],
) -> String {
    let at = headers.get("x-amz-date").map(String::as_str).unwrap_or_default();
    let day = at.get(..8).unwrap_or_default();
    let signed = headers.keys().copied().collect::<Vec<_>>().join(";");
    let mut canonical = format!("{method}\n{path}\n\n");
    for (name, value) in headers {
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let _ = write!(canonical, "\n{signed}\n{}", hex(digest(&SHA256, body).as_ref()));
    let credential = format!("{day}/{}/{service}/aws4_request", account.region);
    let to_sign =
        format!("AWS4-HMAC-SHA256\n{at}\n{credential}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let secret = format!("AWS4{}", account.secret_access_key.expose_secret());
    let key = [day, &account.region, service, "aws4_request"]
        .iter()
        .fold(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        });
    let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{credential}, SignedHeaders={signed}, Signature={signature}",
        account.access_key_id
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's published test suite for this signature: `get-vanilla` and `post-vanilla`.
    #[test]
    fn it_gives_the_signatures_of_the_published_suite() {
        let account = AwsAccount {
            region: "us-east-1".to_owned(),
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: None,
        };
        let headers = BTreeMap::from([
            ("host", "example.amazonaws.com".to_owned()),
            ("x-amz-date", "20150830T123600Z".to_owned()),
        ]);
        let expected = |signature: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            )
        };
        assert_eq!(
            authorization(&account, "service", "GET", "/", &headers, b""),
            expected("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
        );
        assert_eq!(
            authorization(&account, "service", "POST", "/", &headers, b""),
            expected("5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
        );
    }
}
