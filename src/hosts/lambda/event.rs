//! Which kind of event came ("functions-host" section 10).

use serde::Deserialize;
use serde_json::Value;

/// An event that this function is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A request, from API Gateway, a function URL or a load balancer.
    Http,
    /// A timer, from EventBridge.
    Schedule {
        /// The function that it is for.
        function: String,
    },
    /// A batch of messages, from SQS.
    Queue {
        /// The queue.
        name: String,
        /// The messages.
        records: Vec<Record>,
    },
}

/// One SQS message. Its body is the text as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub message_id: String,
    pub body: String,
    event_source: String,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

impl Event {
    /// The kind of event, or why it is none of ours.
    pub(super) fn recognise(payload: &Value) -> Result<Self, String> {
        // Our own discriminator, set as the constant input of a rule or a schedule.
        if let Some(function) = payload.get("function").and_then(Value::as_str) {
            return Ok(Self::Schedule { function: function.to_owned() });
        }
        if let Some(records) = payload.get("Records") {
            return Self::queue(records);
        }
        // A rule or a schedule without a constant input: there is one timer that it can mean.
        if matches!(payload.get("source").and_then(Value::as_str), Some("aws.events" | "aws.scheduler")) {
            return match payload.get("detail-type").and_then(Value::as_str) {
                Some("Scheduled Event") | None => Ok(Self::Schedule { function: "PollTimer".to_owned() }),
                Some(other) => Err(format!("an EventBridge event of the type {other:?}")),
            };
        }
        if payload.get("requestContext").is_some() {
            return Ok(Self::Http);
        }
        let members: Vec<_> = payload.as_object().into_iter().flat_map(|members| members.keys().take(8)).collect();
        Err(format!("it has the members {members:?}"))
    }

    fn queue(records: &Value) -> Result<Self, String> {
        let records: Vec<Record> =
            Vec::deserialize(records).map_err(|error| format!("Records that are no SQS messages, {error}"))?;
        let Some(first) = records.first() else { return Err("a batch without messages".to_owned()) };
        if let Some(other) = records.iter().find(|record| record.event_source != "aws:sqs") {
            return Err(format!("records of {:?}", other.event_source));
        }
        let name = first.event_source_arn.rsplit(':').next().unwrap_or_default().to_owned();
        if records.iter().any(|record| record.event_source_arn != first.event_source_arn) {
            return Err("a batch of several queues".to_owned());
        }
        Ok(Self::Queue { name, records })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(source: &str) -> Value {
        json!({"messageId": "m1", "body": "{}", "eventSource": source,
               "eventSourceARN": "arn:aws:sqs:eu-west-1:111122223333:health-poll"})
    }

    #[test]
    fn each_kind_of_event_is_recognised() {
        let timer = Ok(Event::Schedule { function: "PollTimer".to_owned() });
        let rule = json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}});
        assert_eq!(Event::recognise(&rule), timer);
        assert_eq!(Event::recognise(&json!({"source": "aws.scheduler"})), timer);
        assert_eq!(Event::recognise(&json!({"function": "PollTimer"})), timer);
        assert_eq!(Event::recognise(&json!({"requestContext": {}})), Ok(Event::Http));
        let batch = Event::recognise(&json!({"Records": [record("aws:sqs")]})).unwrap();
        assert!(matches!(batch, Event::Queue { name, records } if name == "health-poll" && records.len() == 1));
    }

    #[test]
    fn other_events_are_named_and_refused() {
        let why = |event: Value| Event::recognise(&event).unwrap_err();
        assert!(why(json!({})).contains("members []"));
        assert!(why(json!("text")).contains("members []"));
        assert!(why(json!({"Records": [record("aws:sns")]})).contains("aws:sns"));
        assert!(why(json!({"Records": []})).contains("without messages"));
        assert!(why(json!({"Records": [{"messageId": 1}]})).contains("no SQS messages"));
        assert!(why(json!({"source": "aws.events", "detail-type": "EC2 Change"})).contains("EC2 Change"));
    }
}
