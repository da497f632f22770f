//! The payloads of timers and queues, both ways ("functions-host" section 3).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::functions::{Function, Trigger};
use crate::hosts::work::{Done, Failure, Work};

/// What the host sends. `Metadata` is left out on purpose: properties of a message overwrite it, so it proves nothing.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "Data")]
    data: Map<String, Value>,
}

/// The work that a payload asks for.
pub(super) fn work(function: &Function, body: &[u8]) -> Result<Work, Failure> {
    let payload: Payload = serde_json::from_slice(body).map_err(|error| malformed(format!("no payload, {error}")))?;
    let found = |binding: &str| {
        payload.data.get(binding).ok_or_else(|| malformed(format!("the payload has no Data.{binding}")))
    };
    let work = match &function.trigger {
        Trigger::Timer { binding, .. } => {
            if found(binding)?.get("IsPastDue").and_then(Value::as_bool) == Some(true) {
                tracing::info!("the timer comes late");
            }
            Work::of_timer(&function.name).map(Ok)
        }
        Trigger::Queue { binding, .. } => Work::of_message(&function.name, &message_text(found(binding)?)),
        Trigger::Http { .. } => None,
    };
    work.unwrap_or_else(|| Err(malformed(format!("{} does no work of this kind", function.name))))
}

/// The text of the message in a payload. None: it is no message.
pub(super) fn message(function: &Function, body: &[u8]) -> Option<String> {
    let Trigger::Queue { binding, .. } = &function.trigger else { return None };
    let payload: Payload = serde_json::from_slice(body).ok()?;
    payload.data.get(binding).map(message_text)
}

/// What the host wants to hear. Queue outputs are arrays of strings, always: a lone string that happens to look like base64
/// or JSON would be changed on its way.
pub(super) fn answer(function: &Function, done: Done) -> Value {
    let mut outputs: Map<String, Value> = Map::new();
    for output in &function.outputs {
        let texts: Vec<_> =
            done.messages.iter().filter(|(queue, _)| *queue == output.queue).map(|(_, text)| text.as_str()).collect();
        if !texts.is_empty() {
            outputs.insert(output.binding.clone(), json!(texts));
        }
    }
    json!({ "Outputs": outputs, "Logs": [done.summary], "ReturnValue": null })
}

/// A message's text: the host sends a JSON string that holds the JSON of the text; its documentation shows the text itself,
/// or the JSON in it. All three are read.
fn message_text(value: &Value) -> String {
    match value {
        Value::String(outer) => match serde_json::from_str(outer) {
            Ok(Value::String(text)) => text,
            _ => outer.clone(),
        },
        other => other.to_string(),
    }
}

fn malformed(why: String) -> Failure {
    Failure::Malformed(why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::Functions;
    use crate::hosts::work::POLLS;

    const TENANT: &str = "11111111-1111-4111-8111-111111111111";

    fn function(name: &str) -> Function {
        Functions::embedded().named(name).unwrap().clone()
    }

    fn queue_payload(message: Value) -> Vec<u8> {
        json!({"Data": {"message": message}, "Metadata": {"DequeueCount": "1", "sys": {}}}).to_string().into_bytes()
    }

    #[test]
    fn a_queue_message_is_read_however_often_it_is_encoded() {
        let text = json!({ "tenantId": TENANT }).to_string();
        let twice = json!(json!(text).to_string());
        for message in [twice, json!(text), json!({ "tenantId": TENANT })] {
            let work = work(&function("PollTenant"), &queue_payload(message.clone())).unwrap();
            assert!(matches!(work, Work::PollTenant(poll) if poll.tenant_id.to_string() == TENANT), "{message}");
        }
    }

    #[test]
    fn a_timer_runs_whatever_its_status_is() {
        for timer in [
            json!({"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false}),
            json!({"IsPastDue": true, "ScheduleStatus": {"Last": "0001-01-01T00:00:00"}}),
            json!({}),
        ] {
            let body = json!({"Data": {"timer": timer}, "Metadata": {}}).to_string();
            assert_eq!(work(&function("PollTimer"), body.as_bytes()).unwrap(), Work::PollTimer);
        }
    }

    #[test]
    fn a_payload_that_is_none_is_refused_with_what_is_missing() {
        let why = |name: &str, body: &[u8]| work(&function(name), body).unwrap_err().to_string();
        assert!(why("PollTimer", b"").contains("no payload"));
        assert!(why("PollTimer", b"{}").contains("`Data`"));
        assert!(why("PollTimer", b"{\"Data\":{}}").contains("Data.timer"));
        assert!(why("PollTenant", b"{\"Data\":{\"msg\":\"x\"}}").contains("Data.message"));
        assert!(why("PollTenant", &queue_payload(json!("x"))).contains("cannot be read"));
        assert!(why("PollTenant", &queue_payload(Value::Null)).contains("cannot be read"));
    }

    #[test]
    fn messages_leave_as_an_array_of_strings_under_their_binding() {
        let done =
            Done { messages: vec![(POLLS, "{\"a\":1}".to_owned()), (POLLS, "test".to_owned())], summary: "two".into() };
        let expected = json!({"Outputs": {"polls": ["{\"a\":1}", "test"]}, "Logs": ["two"], "ReturnValue": null});
        assert_eq!(answer(&function("PollTimer"), done), expected);
        let nothing = answer(&function("PollTimer"), Done::default());
        assert_eq!(nothing["Outputs"], json!({}));
    }
}
