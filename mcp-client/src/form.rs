//! Answers to forms: completed by the defaults, and checked, before the server sees them.

use mcp_peer::types::{
    ElicitResult, ElicitSchema, EnumSchema, ErrorObject, NumberSchema, PrimitiveSchema, RawJson,
    StringSchema,
};
use serde_json::{Map, Number, Value};

/// Adds what an accepted answer leaves to the form's defaults.
///
/// # Errors
/// It does not fit the form.
pub(crate) fn complete(
    form: &RawJson,
    mut answer: ElicitResult,
) -> Result<ElicitResult, ErrorObject> {
    // A form that is none is the server's fault, and the handler has agreed to it all the same.
    let Ok(form) = form.decode::<ElicitSchema>() else {
        return Ok(answer);
    };
    if !answer.is_accepted() {
        return Ok(answer);
    }
    let unfit = |what: String| ErrorObject::internal(format!("the answer to the form: {what}"));
    let mut content: Map<String, Value> = match &answer.content {
        None => Map::new(),
        Some(content) => content
            .decode()
            .map_err(|_| unfit("it is no object".to_owned()))?,
    };
    for (name, schema) in &form.properties {
        match content.get(name) {
            Some(value) => check(schema, value).map_err(|what| unfit(format!("{name}: {what}")))?,
            None => {
                if let Some(value) = default(schema) {
                    content.insert(name.clone(), value);
                }
            }
        }
    }
    if let Some(name) = form.required.iter().find(|n| !content.contains_key(*n)) {
        return Err(unfit(format!("{name} is missing")));
    }
    answer.content = RawJson::encode(&content).ok();
    Ok(answer)
}

fn default(schema: &PrimitiveSchema) -> Option<Value> {
    match schema {
        PrimitiveSchema::String(text) => text.default_value.clone().map(Value::String),
        PrimitiveSchema::Number(number) => number.default_value.clone().map(Value::Number),
        PrimitiveSchema::Boolean(boolean) => boolean.default_value.map(Value::Bool),
        PrimitiveSchema::Enum(choice) => {
            let values = choice.default_values.clone()?;
            match choice.multiple {
                true => Some(values.into()),
                false => values.into_iter().next().map(Value::String),
            }
        }
        _ => None,
    }
}

fn check(schema: &PrimitiveSchema, value: &Value) -> Result<(), &'static str> {
    match (schema, value) {
        (PrimitiveSchema::String(schema), Value::String(text)) => check_text(schema, text),
        (PrimitiveSchema::String(_), _) => Err("not a text"),
        (PrimitiveSchema::Number(schema), Value::Number(number)) => check_number(schema, number),
        (PrimitiveSchema::Number(_), _) => Err("not a number"),
        (PrimitiveSchema::Boolean(_), Value::Bool(_)) => Ok(()),
        (PrimitiveSchema::Boolean(_), _) => Err("neither true nor false"),
        (PrimitiveSchema::Enum(schema), value) => check_choice(schema, value),
        _ => Ok(()),
    }
}

fn check_text(schema: &StringSchema, text: &str) -> Result<(), &'static str> {
    let length = text.chars().count() as u64;
    if schema.min_length.is_some_and(|min| length < min) {
        return Err("too short");
    }
    if schema.max_length.is_some_and(|max| length > max) {
        return Err("too long");
    }
    Ok(())
}

fn check_number(schema: &NumberSchema, number: &Number) -> Result<(), &'static str> {
    let value = |number: &Number| number.as_f64().unwrap_or(f64::NAN);
    let found = value(number);
    if schema.integer && found.fract() != 0.0 {
        return Err("not a whole number");
    }
    if schema
        .minimum
        .as_ref()
        .is_some_and(|min| found < value(min))
    {
        return Err("too small");
    }
    if schema
        .maximum
        .as_ref()
        .is_some_and(|max| found > value(max))
    {
        return Err("too great");
    }
    Ok(())
}

fn check_choice(schema: &EnumSchema, value: &Value) -> Result<(), &'static str> {
    let offered = |value: &Value| {
        let text = value.as_str();
        text.is_some_and(|text| schema.options.iter().any(|o| o.value == text))
    };
    match value {
        Value::Array(chosen) if schema.multiple => {
            let count = chosen.len() as u64;
            if schema.min_items.is_some_and(|min| count < min) {
                return Err("too few are chosen");
            }
            if schema.max_items.is_some_and(|max| count > max) {
                return Err("too many are chosen");
            }
            match chosen.iter().all(offered) {
                true => Ok(()),
                false => Err("not one of the choices"),
            }
        }
        value if !schema.multiple && offered(value) => Ok(()),
        _ => Err("not one of the choices"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_peer::types::BooleanSchema;
    use serde_json::json;

    fn form() -> RawJson {
        let mut several = EnumSchema::new(["a", "b", "c"]).multiple();
        (several.min_items, several.max_items) = (Some(1), Some(2));
        let mut named = StringSchema::new().min_length(2);
        named.max_length = Some(5);
        ElicitSchema::new()
            .required("name", named)
            .optional(
                "age",
                NumberSchema::integer()
                    .minimum(0)
                    .maximum(150)
                    .default_value(30),
            )
            .optional("sure", BooleanSchema::new().default_value(true))
            .optional("one", EnumSchema::new(["a", "b"]).default_value("b"))
            .optional("several", several)
            .into()
    }

    #[test]
    fn what_is_left_out_gets_its_default() {
        let given = ElicitResult::accept(json!({ "name": "Ann", "sure": false, "more": 1 }));
        let answer = complete(&form(), given).unwrap();
        let content: Value = answer.decode().unwrap().unwrap();
        let expected = json!({ "name": "Ann", "sure": false, "more": 1, "age": 30, "one": "b" });
        assert_eq!(content, expected);
        for other in [ElicitResult::decline(), ElicitResult::cancel()] {
            assert_eq!(complete(&form(), other.clone()).unwrap(), other);
        }
    }

    #[test]
    fn what_does_not_fit_is_no_answer() {
        #[rustfmt::skip]
        let cases = [
            (json!({}), "name is missing"),
            (json!({ "name": 1 }), "name: not a text"),
            (json!({ "name": "x" }), "name: too short"),
            (json!({ "name": "xxxxxx" }), "name: too long"),
            (json!({ "name": "xx", "age": "1" }), "age: not a number"),
            (json!({ "name": "xx", "age": 1.5 }), "age: not a whole number"),
            (json!({ "name": "xx", "age": -1 }), "age: too small"),
            (json!({ "name": "xx", "age": 151 }), "age: too great"),
            (json!({ "name": "xx", "sure": "yes" }), "sure: neither true nor false"),
            (json!({ "name": "xx", "one": "c" }), "one: not one of the choices"),
            (json!({ "name": "xx", "one": ["a"] }), "one: not one of the choices"),
            (json!({ "name": "xx", "several": "a" }), "several: not one of the choices"),
            (json!({ "name": "xx", "several": [] }), "several: too few are chosen"),
            (json!({ "name": "xx", "several": ["a", "b", "c"] }), "several: too many are chosen"),
            (json!({ "name": "xx", "several": ["d"] }), "several: not one of the choices"),
            (json!([1]), "it is no object"),
        ];
        for (content, what) in cases {
            let error = complete(&form(), ElicitResult::accept(&content)).unwrap_err();
            assert_eq!(
                error.message,
                format!("the answer to the form: {what}"),
                "{content}"
            );
        }
    }
}
