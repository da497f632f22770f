//! The rows that come by the ten thousand, read straight from their bytes: no tree in between, names in any case, nothing
//! copied that is not kept. What this cannot read, [`Row`] reads through [`lenient`](super::lenient); both give the same.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::health::{Article, AvailabilityProperties, EventProperties, Impact, ImpactedRegion, Row, Update};
use super::lenient::fold_keys;
use crate::azure::time::parse_time;
use crate::model::Timestamp;

/// Reads an event row. None when it is none.
///
/// A region whose updates are byte for byte those of the region before comes without them: they are the same publications.
pub(crate) fn event(row: &[u8]) -> Option<Row<EventProperties>> {
    read::<EventProperties>(row)
}

/// Reads an availability row. None when it is none.
pub(crate) fn availability(row: &[u8]) -> Option<Row<AvailabilityProperties>> {
    read::<AvailabilityProperties>(row)
}

fn read<P: FromMap + Default + DeserializeOwned>(row: &[u8]) -> Option<Row<P>> {
    let fast = match std::str::from_utf8(row) {
        // Seen to be text as a whole, so that none of its texts is looked at again.
        Ok(text) => serde_json::from_str::<Maybe<Row<P>>>(text),
        Err(_) => serde_json::from_slice(row),
    };
    if let Ok(Maybe(Some(row))) = fast {
        return Some(row);
    }
    let value = serde_json::from_slice::<Value>(row).ok().filter(Value::is_object)?;
    Row::deserialize(fold_keys(value)).ok()
}

/// What is read from the members of an object.
trait FromMap: Sized {
    fn from_map<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

/// Reads an object member by member: names in lower case, the last of two wins, others are passed over.
macro_rules! from_map {
    ($type:ty $(where $p:ident)? { $($($name:literal)|+ => $field:ident : $how:ty),+ $(,)? }) => {
        impl $(<$p: FromMap + Default + DeserializeOwned>)? FromMap for $type {
            fn from_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
                $(let mut $field = None;)+
                while let Some(name) = map.next_key::<Name>()? {
                    match name.as_bytes() {
                        $($($name)|+ => $field = Some(map.next_value::<$how>()?.0),)+
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Self { $($field: $field.unwrap_or_default()),+ })
            }
        }
    };
}

from_map!(Row<P> where P {
    b"id" => id: Text,
    b"name" => name: Text,
    b"location" => location: Text,
    b"subscriptionid" => subscription_id: Text,
    b"properties" => properties: Or<P>,
});
from_map!(EventProperties {
    b"trackingid" => tracking_id: Text,
    b"eventtype" => event_type: Text,
    b"eventsubtype" => event_sub_type: Text,
    b"status" => status: Text,
    b"title" => title: Text,
    b"summary" => summary: Text,
    b"header" => header: Text,
    b"description" => description: Text,
    b"eventlevel" => event_level: Text,
    b"iseventsensitive" => is_event_sensitive: Flag,
    b"ishir" => is_hir: Flag,
    b"impactstarttime" => impact_start_time: Time,
    b"impactmitigationtime" => impact_mitigation_time: Time,
    b"lastupdatetime" => last_update_time: Time,
    b"impact" => impact: List<Impact>,
    b"eventtags" => event_tags: List<String>,
    b"article" => article: Or<Article>,
});
from_map!(Impact {
    b"impactedservice" => impacted_service: Text,
    b"impactedserviceguid" => impacted_service_guid: Text,
    b"impactedregions" => impacted_regions: Regions,
});
from_map!(Update {
    b"summary" => summary: Text,
    b"updatedatetime" => update_date_time: Time,
    b"eventtags" => event_tags: List<String>,
});
from_map!(Article { b"articlecontent" => article_content: Text });
from_map!(AvailabilityProperties {
    b"availabilitystate" => availability_state: Text,
    b"summary" => summary: Text,
    b"title" => title: Text,
    b"reasontype" => reason_type: Text,
    b"occuredtime" | b"occurredtime" => occured_time: Time,
    b"targetresourceid" => target_resource_id: Text,
    b"targetresourcetype" => target_resource_type: Text,
});

/// A name in lower case, on the stack. One that is longer than any of ours matches none.
struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Folding;
        impl Visitor<'_> for Folding {
            type Value = Name;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                let mut name = Name { bytes: [0; 32], length: 0 };
                if let Some(room) = name.bytes.get_mut(..text.len()) {
                    room.copy_from_slice(text.as_bytes());
                    room.make_ascii_lowercase();
                    name.length = text.len();
                }
                Ok(name)
            }
        }
        deserializer.deserialize_str(Folding)
    }
}

/// The scalars, the object or the array of a value, whichever is asked for; everything else is passed over and is nothing.
trait Lenient<'de>: Sized {
    fn nothing() -> Self;
    fn text(_: &str) -> Self {
        Self::nothing()
    }
    fn number(_: serde_json::Number) -> Self {
        Self::nothing()
    }
    fn flag(_: bool) -> Self {
        Self::nothing()
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::nothing())
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::nothing())
    }
}

struct Any<T>(PhantomData<T>);

impl<'de, T: Lenient<'de>> Visitor<'de> for Any<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_bool<E>(self, flag: bool) -> Result<T, E> {
        Ok(T::flag(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(number.into()))
    }
    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(number.into()))
    }
    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(serde_json::Number::from_f64(number).map_or_else(T::nothing, T::number))
    }
    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }
    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::nothing())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::map(map)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
}

macro_rules! deserialize_any {
    ($($type:ty $(where $p:ident: $bound:ident)?),+) => {
        $(impl<'de $(, $p: $bound)?> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Any(PhantomData))
            }
        })+
    };
}
deserialize_any!(Text, Flag, Time, Maybe<T> where T: FromMap, List<T> where T: Element, Regions);

/// As [`lenient::text`](super::lenient::text).
struct Text(Option<String>);

impl Lenient<'_> for Text {
    fn nothing() -> Self {
        Self(None)
    }
    fn text(text: &str) -> Self {
        Self((!text.trim().is_empty()).then(|| text.to_owned()))
    }
    fn number(number: serde_json::Number) -> Self {
        Self(Some(number.to_string()))
    }
    fn flag(flag: bool) -> Self {
        Self(Some(flag.to_string()))
    }
}

/// As [`lenient::flag`](super::lenient::flag).
struct Flag(bool);

impl Lenient<'_> for Flag {
    fn nothing() -> Self {
        Self(false)
    }
    fn text(text: &str) -> Self {
        Self(text.eq_ignore_ascii_case("true"))
    }
    fn flag(flag: bool) -> Self {
        Self(flag)
    }
}

/// As [`lenient::time`](super::lenient::time).
struct Time(Option<Timestamp>);

impl Lenient<'_> for Time {
    fn nothing() -> Self {
        Self(None)
    }
    fn text(text: &str) -> Self {
        Self(parse_time(&Value::String(text.to_owned())))
    }
    fn number(number: serde_json::Number) -> Self {
        Self(parse_time(&Value::Number(number)))
    }
}

/// The object, or None when it is something else.
struct Maybe<T>(Option<T>);

impl<'de, T: FromMap> Lenient<'de> for Maybe<T> {
    fn nothing() -> Self {
        Self(None)
    }
    fn map<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::from_map(map).map(|value| Self(Some(value)))
    }
}

/// The object, or its default when it is something else.
struct Or<T>(T);

impl<'de, T: FromMap + Default> Deserialize<'de> for Or<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Maybe::<T>::deserialize(deserializer).map(|value| Self(value.0.unwrap_or_default()))
    }
}

/// What a list may be of.
trait Element: Sized {
    fn next<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Option<Self>>, A::Error>;
}

impl Element for String {
    fn next<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Option<Self>>, A::Error> {
        struct Exactly(Option<String>);
        impl Lenient<'_> for Exactly {
            fn nothing() -> Self {
                Self(None)
            }
            fn text(text: &str) -> Self {
                Self(Some(text.to_owned()))
            }
        }
        deserialize_any!(Exactly);
        Ok(list.next_element::<Exactly>()?.map(|one| one.0))
    }
}

impl<T: FromMap> Element for T {
    fn next<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Option<Self>>, A::Error> {
        Ok(list.next_element::<Maybe<T>>()?.map(|one| one.0))
    }
}

/// As [`lenient::list`](super::lenient::list).
struct List<T>(Vec<T>);

impl<'de, T: Element> Lenient<'de> for List<T> {
    fn nothing() -> Self {
        Self(Vec::new())
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = T::next(&mut list)? {
            elements.extend(element);
        }
        Ok(Self(elements))
    }
}

/// The regions of a service: each says the same, so what the one before said is not read again.
struct Regions(Vec<ImpactedRegion>);

impl<'de> Lenient<'de> for Regions {
    fn nothing() -> Self {
        Self(Vec::new())
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut regions = Vec::new();
        let mut before = None;
        while let Some(Region(element)) = list.next_element()? {
            let Some((mut region, updates)) = element else { continue };
            if let Some(updates) = updates.filter(|updates| before != Some(*updates)) {
                region.updates = serde_json::from_str::<List<Update>>(updates).map_err(serde::de::Error::custom)?.0;
                before = Some(updates);
            }
            regions.push(region);
        }
        Ok(Self(regions))
    }
}

/// One region without its updates, and these as they stand in the row.
struct Region<'de>(Option<(ImpactedRegion, Option<&'de str>)>);

impl<'de> Deserialize<'de> for Region<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any(PhantomData))
    }
}

impl<'de> Lenient<'de> for Region<'de> {
    fn nothing() -> Self {
        Self(None)
    }
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let (mut impacted_region, mut status, mut updates) = (None, None, None);
        while let Some(name) = map.next_key::<Name>()? {
            match name.as_bytes() {
                b"impactedregion" => impacted_region = map.next_value::<Text>()?.0,
                b"status" => status = map.next_value::<Text>()?.0,
                b"updates" => updates = Some(map.next_value::<&'de RawValue>()?.get()),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Self(Some((ImpactedRegion { impacted_region, status, updates: Vec::new() }, updates))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn slowly<P: Default + DeserializeOwned>(row: &Value) -> Option<Row<P>> {
        Row::deserialize(fold_keys(row.clone())).ok()
    }

    /// As read by the slow way, but for updates that repeat those of the region before.
    fn without_repetition(mut row: Row<EventProperties>) -> Row<EventProperties> {
        for service in &mut row.properties.impact {
            let mut before = String::new();
            for region in &mut service.impacted_regions {
                let said = format!("{:?}", region.updates);
                if said == before {
                    region.updates.clear();
                } else if !region.updates.is_empty() {
                    before = said;
                }
            }
        }
        row
    }

    fn assert_same(row: &Value) {
        let text = row.to_string();
        // Numbers as they are read, not as they were made.
        let row = &serde_json::from_str::<Value>(&text).expect("JSON");
        let fast = event(text.as_bytes()).map(without_repetition);
        let slow = slowly::<EventProperties>(row).map(without_repetition);
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"), "{text}");
        let (fast, slow) = (availability(text.as_bytes()), slowly::<AvailabilityProperties>(row));
        assert_eq!(format!("{fast:?}"), format!("{slow:?}"), "{text}");
    }

    #[test]
    fn both_ways_read_the_same_from_every_official_example() {
        let mut rows = 0;
        for file in crate::azure::examples::all() {
            let listed = ["value", "data"].iter().filter_map(|name| file.get(*name)?.as_array()).flatten();
            for row in listed.chain([&file]) {
                assert_same(row);
                rows += 1;
            }
        }
        eprintln!("{rows} rows compared; 0 where the examples are not on this machine");
    }

    #[test]
    fn a_region_does_not_repeat_the_updates_of_the_one_before() {
        let region = |text: &str| json!({"ImpactedRegion": text, "Updates": [{"Summary": text.split(' ').next()}]});
        let row = json!({"name": "A-1", "properties": {"Impact": [{"ImpactedRegions": [
            region("a 1"), region("a 2"), 7, region("b 1"), region("a 3")
        ]}]}});
        let read = event(row.to_string().as_bytes()).expect("read");
        let regions = &read.properties.impact[0].impacted_regions;
        assert_eq!(regions.iter().map(|region| region.updates.len()).collect::<Vec<_>>(), [1, 0, 1, 1]);
    }

    #[test]
    fn an_array_is_no_object_and_what_is_in_it_no_field() {
        let row = json!({"name": "A-1", "properties": ["B-1", "ServiceIssue"]});
        assert_same(&row);
        assert_eq!(event(row.to_string().as_bytes()).expect("read").properties.tracking_id, None);
        assert_same(&json!({"name": "A-1", "properties": {"impact": [["Virtual Machines"]]}}));
        assert!(event(b"[\"/x\",\"A-1\"]").is_none());
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        let text = br#"{"Name":"A-1","name":"B-1","properties":{"title":"x","Title":"y"}}"#;
        let row = event(text).expect("read");
        assert_eq!((row.name.as_deref(), row.properties.title.as_deref()), (Some("B-1"), Some("y")));
    }

    fn odd() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f32>().prop_map(Value::from),
            prop::sample::select(vec!["", " ", "x", "true", "2026-01-15T10:00:00Z", "Active"]).prop_map(Value::from),
        ];
        let names = vec![
            "Id",
            "name",
            "properties",
            "Title",
            "impact",
            "ImpactedRegions",
            "impactedregion",
            "Updates",
            "summary",
            "updateDateTime",
            "eventTags",
            "isHIR",
            "Article",
            "articleContent",
            "lastUpdateTime",
            "availabilityState",
            "occuredTime",
            "other",
        ];
        leaf.prop_recursive(6, 64, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(names.clone()), inner, 0..5).prop_map(|map| {
                    Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        /// Whatever a row holds, wherever: both ways read the same.
        #[test]
        fn both_ways_read_the_same(properties in odd(), impact in odd(), row in odd()) {
            let mut whole = json!({"name": "A-1", "properties": properties});
            assert_same(&whole);
            if let Value::Object(members) = &mut whole["properties"] {
                members.insert("impact".to_owned(), json!([{"impactedRegions": [impact.clone(), impact]}]));
            }
            assert_same(&whole);
            if row.is_object() {
                assert_same(&row);
            }
        }
    }
}
