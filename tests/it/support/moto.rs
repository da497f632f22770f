//! S3, SQS and Secrets Manager of moto, where `.ci/with-moto` says that it runs: what a test puts there and finds there.

use health_monitor::outside::http_client;
use health_monitor::settings::AwsAccount;
use serde_json::{Value, json};

/// The account that moto has for everybody.
const ACCOUNT: &str = "123456789012";

/// One region of moto. Queues and secrets are a region's own, so that tests have one each.
pub struct Moto {
    pub url: String,
    pub region: &'static str,
}

impl Moto {
    /// None, with a line that says so, where moto does not run.
    #[expect(clippy::disallowed_methods, reason = "the address of moto comes from .ci/with-moto")]
    pub fn in_region(region: &'static str) -> Option<Self> {
        match std::env::var("MOTO_URL") {
            Ok(url) => Some(Self { url: url.trim_end_matches('/').to_owned(), region }),
            Err(_) => {
                println!(
                    "skipped: MOTO_URL is not set; run through .ci/with-moto to test against S3, SQS and Secrets Manager"
                );
                None
            }
        }
    }

    /// Whoever calls: moto takes everybody.
    pub fn account(&self) -> AwsAccount {
        AwsAccount {
            region: self.region.to_owned(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned().into(),
            session_token: None,
        }
    }

    /// The address of a queue.
    pub fn queue(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.url)
    }

    /// Its ARN.
    pub fn queue_arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{ACCOUNT}:{name}", self.region)
    }

    pub async fn make_bucket(&self, name: &str) {
        // The oldest region has no name there.
        let place = match self.region {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
            ),
        };
        let request = http_client().unwrap().put(format!("{}/{name}", self.url)).body(place);
        let answer = request.header("authorization", self.authorization("s3")).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The keys in a bucket.
    pub async fn keys(&self, bucket: &str) -> Vec<String> {
        let request = http_client().unwrap().get(format!("{}/{bucket}?list-type=2", self.url));
        let answer = request.header("authorization", self.authorization("s3")).send().await.unwrap();
        let listing = answer.text().await.unwrap();
        listing.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned()).collect()
    }

    pub async fn make_queue(&self, name: &str, attributes: Value) {
        self.sqs("CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
    }

    pub async fn make_secret(&self, name: &str, text: &str) {
        let body = json!({"Name": name, "SecretString": text, "ClientRequestToken": uuid::Uuid::from_u128(1)});
        self.call("secretsmanager", "secretsmanager.CreateSecret", "1.1", body).await;
    }

    pub async fn send(&self, queue: &str, text: &str) {
        self.sqs("SendMessage", json!({"QueueUrl": self.queue(queue), "MessageBody": text})).await;
    }

    /// Up to ten messages, as SQS hands them out.
    pub async fn receive(&self, queue: &str) -> Vec<Value> {
        let ask = json!({"QueueUrl": self.queue(queue), "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0});
        let answer = self.sqs("ReceiveMessage", ask).await;
        answer["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// Ends a message, or lets it be seen again at once.
    pub async fn settle(&self, queue: &str, message: &Value, succeeded: bool) {
        let mut ask = json!({"QueueUrl": self.queue(queue), "ReceiptHandle": message["ReceiptHandle"]});
        if succeeded {
            self.sqs("DeleteMessage", ask).await;
        } else {
            ask["VisibilityTimeout"] = json!(0);
            self.sqs("ChangeMessageVisibility", ask).await;
        }
    }

    async fn sqs(&self, action: &str, body: Value) -> Value {
        self.call("sqs", &format!("AmazonSQS.{action}"), "1.0", body).await
    }

    async fn call(&self, service: &str, target: &str, version: &str, body: Value) -> Value {
        let answer = http_client()
            .unwrap()
            .post(format!("{}/", self.url))
            .header("authorization", self.authorization(service))
            .header("content-type", format!("application/x-amz-json-{version}"))
            .header("x-amz-target", target)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{target}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// moto reads from it which service and region are meant, and checks no signature.
    fn authorization(&self, service: &str) -> String {
        let scope = format!("AKIAIOSFODNN7EXAMPLE/20260115/{}/{service}/aws4_request", self.region);
        format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none")
    }
}
