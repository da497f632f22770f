//! Holds JSON against the shapes of an OpenAPI document: the part of JSON Schema that ours use, read strictly. A member that
//! a shape does not name is a fault, unless the shape says that there may be more.

use serde_json::Value;

/// What is wrong with a value, each with its place.
pub fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
    for word in schema.as_object().into_iter().flat_map(|schema| schema.keys()) {
        const KNOWN: [&str; 16] = [
            "$ref",
            "anyOf",
            "type",
            "enum",
            "required",
            "properties",
            "additionalProperties",
            "items",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "format",
            "description",
            "examples",
            "default",
        ];
        assert!(KNOWN.contains(&word.as_str()), "{word}: the shapes use more than this reads");
    }
    if let Some(name) = schema["$ref"].as_str() {
        let schema = document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("no {name}"));
        return check(document, schema, value, place, faults);
    }
    if let Some(ways) = schema["anyOf"].as_array() {
        if !ways.iter().any(|way| self::faults(document, way, value).is_empty()) {
            faults.push(format!("{place}: {value} is none of {ways:?}"));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    if !types.is_empty() && !types.iter().any(|kind| is(kind)) {
        faults.push(format!("{place}: {value} is no {}", types.join(" or ")));
        return;
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        faults.push(format!("{place}: {value} is none of {}", schema["enum"]));
    }
    if let Some(text) = value.as_str() {
        let sound = match schema["format"].as_str() {
            None => true,
            Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z'),
            Some("uuid") => uuid::Uuid::parse_str(text).is_ok(),
            Some("uri") => url::Url::parse(text).is_ok(),
            Some("email") => text.contains('@'),
            Some(other) => panic!("{other} is no format of ours"),
        };
        if !sound {
            faults.push(format!("{place}: {text:?} is no {}", schema["format"]));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{place}/{index}"), faults);
    }
    let Some(object) = value.as_object().filter(|_| !schema["type"].is_null()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            faults.push(format!("{place}: {name} is missing"));
        }
    }
    for (name, member) in object {
        let place = format!("{place}/{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => check(document, schema, member, &place, faults),
            (None, Value::Bool(true)) => {}
            (None, Value::Object(_)) => check(document, &schema["additionalProperties"], member, &place, faults),
            (None, _) => faults.push(format!("{place} is not described")),
        }
    }
}
