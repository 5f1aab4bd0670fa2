//! Fields of a form, asked one after the other on a terminal.

use dialoguer::theme::{ColorfulTheme, SimpleTheme, Theme};
use dialoguer::{Confirm, Input, MultiSelect, Result, Select};
use mcp_client::types::{EnumSchema, NumberSchema, PrimitiveSchema, StringFormat, StringSchema};
use serde_json::{Number, Value};

use crate::arguments;
use crate::render::{colours, printable};

/// How questions look.
pub(crate) fn theme() -> Box<dyn Theme> {
    match colours(&console::Term::stderr()) {
        true => Box::new(ColorfulTheme::default()),
        false => Box::new(SimpleTheme),
    }
}

/// Asks for a value; `None` if it may be left out and is. It blocks.
pub(crate) fn field(name: &str, schema: &PrimitiveSchema, required: bool) -> Result<Option<Value>> {
    match schema {
        PrimitiveSchema::String(schema) => {
            let prompt = prompt(
                name,
                schema.title.as_deref(),
                schema.description.as_deref(),
                required,
            );
            let default = schema.default_value.clone();
            let valid = |text: &str| text_fault(text, schema);
            line(prompt, default, required, valid).map(|text| text.map(Value::from))
        }
        PrimitiveSchema::Number(schema) => {
            let prompt = prompt(
                name,
                schema.title.as_deref(),
                schema.description.as_deref(),
                required,
            );
            let default = schema.default_value.as_ref().map(Number::to_string);
            let text = line(prompt, default, required, |text| number(text, schema).err())?;
            Ok(text
                .and_then(|text| number(&text, schema).ok())
                .map(Value::Number))
        }
        PrimitiveSchema::Boolean(schema) => {
            let prompt = prompt(
                name,
                schema.title.as_deref(),
                schema.description.as_deref(),
                required,
            );
            let theme = theme();
            let confirm = Confirm::with_theme(&*theme).with_prompt(prompt);
            let confirm = match schema.default_value {
                Some(default) => confirm.default(default),
                None => confirm,
            };
            match required {
                true => confirm.interact().map(|yes| Some(yes.into())),
                false => Ok(confirm.interact_opt()?.map(Value::from)),
            }
        }
        PrimitiveSchema::Enum(schema) => choice(name, schema, required),
        other => {
            let schema = serde_json::to_value(other).unwrap_or_default();
            let kinds = arguments::kinds(&schema, &schema).join(" or ");
            let about = schema["description"]
                .as_str()
                .map_or(kinds.clone(), |about| format!("{about}; {kinds}"));
            let prompt = prompt(name, schema["title"].as_str(), Some(&about), required);
            let value = |text: &str| arguments::value(text, &schema, &schema);
            let text = line(prompt, None, required, |text| value(text).err())?;
            Ok(text.and_then(|text| value(&text).ok()))
        }
    }
}

fn prompt(name: &str, title: Option<&str>, about: Option<&str>, required: bool) -> String {
    let mut prompt = title.unwrap_or(name).to_owned();
    if let Some(about) = about {
        prompt = format!("{prompt} ({about})");
    }
    if !required {
        prompt.push_str(" [optional]");
    }
    printable(&prompt).replace('\n', " ")
}

/// Asks for a line until there is no fault in it; one that is empty stands for the default, or is left out if it may be.
fn line(
    mut prompt: String,
    default: Option<String>,
    required: bool,
    fault: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>> {
    let theme = theme();
    // Not left to the prompt, which would show it as it was sent.
    if let Some(default) = &default {
        let default = printable(default).replace('\n', " ");
        prompt = format!("{prompt} [{default}]");
    }
    let default = default.unwrap_or_default();
    let given = |text: &String| match text.is_empty() {
        true => default.clone(),
        false => text.clone(),
    };
    let text = Input::<String>::with_theme(&*theme)
        .with_prompt(prompt)
        .allow_empty(!required || !default.is_empty())
        .validate_with(|text: &String| match (given(text), fault(&given(text))) {
            (text, Some(_)) if text.is_empty() && !required => Ok(()),
            (_, Some(fault)) => Err(printable(&fault)),
            (_, None) => Ok(()),
        })
        .interact_text()?;
    let text = given(&text);
    Ok((required || !text.is_empty()).then_some(text))
}

fn choice(name: &str, schema: &EnumSchema, required: bool) -> Result<Option<Value>> {
    let prompt = prompt(
        name,
        schema.title.as_deref(),
        schema.description.as_deref(),
        required,
    );
    let names: Vec<String> = schema
        .options
        .iter()
        .map(|option| printable(option.display_name()))
        .collect();
    let defaults = schema.default_values.as_deref().unwrap_or_default();
    let theme = theme();
    if schema.multiple {
        let items = names.iter().zip(&schema.options);
        let items = items.map(|(name, option)| (name, defaults.contains(&option.value)));
        let select = MultiSelect::with_theme(&*theme)
            .with_prompt(prompt)
            .items_checked(items);
        let chosen = match required {
            true => Some(select.interact()?),
            false => select.interact_opt()?,
        };
        return Ok(chosen.map(|chosen| {
            let values = chosen
                .into_iter()
                .map(|at| schema.options[at].value.clone());
            Value::from(values.collect::<Vec<_>>())
        }));
    }
    let first = schema
        .options
        .iter()
        .position(|option| defaults.contains(&option.value));
    let select = Select::with_theme(&*theme)
        .with_prompt(prompt)
        .items(&names)
        .default(first.unwrap_or(0));
    let chosen = match required {
        true => Some(select.interact()?),
        false => select.interact_opt()?,
    };
    Ok(chosen.map(|at| schema.options[at].value.clone().into()))
}

/// What is wrong with a text, if anything.
fn text_fault(text: &str, schema: &StringSchema) -> Option<String> {
    let length = text.chars().count() as u64;
    match (schema.min_length, schema.max_length) {
        (Some(least), _) if length < least => return Some(format!("at least {least} characters")),
        (_, Some(most)) if length > most => return Some(format!("at most {most} characters")),
        _ => {}
    }
    // Rough, to catch a slip; the server looks for itself.
    match &schema.format {
        Some(StringFormat::Email) if !text.contains('@') => Some("an address, a@b".to_owned()),
        Some(StringFormat::Uri) if !text.contains(':') => Some("a URI".to_owned()),
        Some(StringFormat::Date) if text.split('-').count() != 3 => {
            Some("a date, 2026-12-31".to_owned())
        }
        Some(StringFormat::DateTime) if !text.contains('T') => {
            Some("a date and time, 2026-12-31T23:59:59Z".to_owned())
        }
        _ => None,
    }
}

fn number(text: &str, schema: &NumberSchema) -> std::result::Result<Number, String> {
    let number: Number = text.trim().parse().map_err(|_| "a number".to_owned())?;
    if schema.integer && number.is_f64() {
        return Err("a whole number".to_owned());
    }
    let value = number.as_f64();
    let bound = |bound: &Option<Number>| bound.as_ref().and_then(Number::as_f64).zip(value);
    match (bound(&schema.minimum), bound(&schema.maximum)) {
        (Some((least, value)), _) if value < least => Err(format!("at least {least}")),
        (_, Some((most, value))) if value > most => Err(format!("at most {most}")),
        _ => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told() {
        let schema = StringSchema::new().min_length(2).max_length(3);
        let fault = |text| text_fault(text, &schema);
        assert_eq!(fault("äöü"), None);
        assert_eq!(fault("a").as_deref(), Some("at least 2 characters"));
        assert_eq!(fault("abcd").as_deref(), Some("at most 3 characters"));
        let address = StringSchema::new().format(StringFormat::Email);
        assert!(text_fault("x", &address).is_some());
        let schema = NumberSchema::integer().minimum(1).maximum(9);
        assert_eq!(number(" 9 ", &schema), Ok(9.into()));
        for text in ["0", "10", "1.5", "x", ""] {
            assert!(number(text, &schema).is_err(), "{text}");
        }
    }
}
