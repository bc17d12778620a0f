//! Arguments with names that the caller chooses. Strict modes of model APIs take no object with free names, so tools declare a list
//! of names and values, or the object as a text. The object itself is accepted as well.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};

/// Texts by name, such as the variables of a template.
#[derive(Debug, Default)]
pub struct NamedValues(pub BTreeMap<String, String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedValue {
    name: String,
    value: String,
}

impl<'de> Deserialize<'de> for NamedValues {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = NamedValues;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of names and values, or an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<NamedValues, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(fields)).map(NamedValues)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<NamedValues, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(NamedValue { name, value }) = items.next_element()? {
            // The second value of a name would replace the first one without a word.
            if values.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is present twice"));
            }
        }
        Ok(NamedValues(values))
    }
}

impl JsonSchema for NamedValues {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NamedValues".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "value"],
                        "properties": { "name": { "type": "string" }, "value": { "type": "string" } },
                        "additionalProperties": false,
                    },
                },
                { "type": "object", "additionalProperties": { "type": "string" } },
            ],
        })
    }
}

/// An object without a declared form.
#[derive(Debug)]
pub struct JsonObject(pub Map<String, Value>);

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let object = match Value::deserialize(input)? {
            Value::String(text) => serde_json::from_str(&text).ok(),
            Value::Object(fields) => Some(fields),
            _ => None,
        };
        object.map(JsonObject).ok_or_else(|| D::Error::custom("no object"))
    }
}

impl JsonSchema for JsonObject {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "JsonObject".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "object" }] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Option<BTreeMap<String, String>> {
        serde_json::from_value::<NamedValues>(value).ok().map(|values| values.0)
    }

    #[test]
    fn list_and_object_are_the_same_values() {
        let expected = BTreeMap::from([("1".to_owned(), "Ann".to_owned()), ("2".to_owned(), "8 pm".to_owned())]);
        let list = json!([{ "name": "1", "value": "Ann" }, { "name": "2", "value": "8 pm" }]);
        assert_eq!(read(list), Some(expected.clone()));
        assert_eq!(read(json!({ "1": "Ann", "2": "8 pm" })), Some(expected));
        assert_eq!(read(json!([])), read(json!({})));
    }

    #[test]
    fn object_is_accepted_as_text_too() {
        for (value, expected) in [
            (json!({ "a": 1 }), Some(json!({ "a": 1 }))),
            (json!("{\"a\":1}"), Some(json!({ "a": 1 }))),
            (json!("a"), None),
            (json!("[1]"), None),
            (json!([1]), None),
            (json!(1), None),
        ] {
            let object = serde_json::from_value::<JsonObject>(value.clone()).ok();
            assert_eq!(object.map(|object| Value::Object(object.0)), expected, "{value}");
        }
    }

    #[test]
    fn refuses_other_forms_and_a_name_that_is_given_twice() {
        for value in [
            json!("1=Ann"),
            json!(["1=Ann"]),
            json!([{ "name": "1" }]),
            json!([{ "name": "1", "value": 2 }]),
            json!([{ "name": "1", "value": "a" }, { "name": "1", "value": "b" }]),
            json!({ "1": 2 }),
        ] {
            assert_eq!(read(value.clone()), None, "{value}");
        }
    }
}
