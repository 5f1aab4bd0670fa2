//! JSON Schemas of types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The JSON Schema (2020-12) of what is written of a type, a result.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of arguments, which says `"type": "object"` whatever the type does (REQ-TOOL-12), and has `properties`, for
/// without them some clients take it for no schema.
pub(crate) fn object_schema_of<T: JsonSchema>() -> Value {
    let mut schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("type".to_owned(), "object".into());
    let none = || serde_json::json!({});
    let object = schema.ensure_object();
    object.entry("properties").or_insert_with(none);
    schema.to_value()
}

/// The schema of a type with everything in its place, for reading it here: no `$ref`, unless the type contains itself.
pub(crate) fn flat_schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
