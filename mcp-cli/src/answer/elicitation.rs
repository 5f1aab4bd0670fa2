//! Answers where the server asks the user.

use dialoguer::{Confirm, Select};
use mcp_client::types::{
    ElicitFormParams, ElicitParams, ElicitResult, ElicitSchema, ElicitUrlParams, ErrorObject,
};
use serde_json::{Map, Value};

use super::Answering;
use super::form::{field, theme};
use crate::arguments::{self, Word};
use crate::connect::interactive;
use crate::keyboard::ask;
use crate::render::Event;

/// What a question to the user is called where it is shown.
const FORM: &str = "form";

impl Answering {
    /// Answers by what the command line says, and asks the person for what it does not.
    pub(super) async fn elicit(&self, question: ElicitParams) -> Result<ElicitResult, ErrorObject> {
        let _turn = self.turn.lock().await;
        let what = FORM;
        self.screen.show(&Event::Asked {
            what,
            question: question.message(),
        });
        let result = match &question {
            ElicitParams::Form(form) => self.fill_in(form).await?,
            ElicitParams::Url(url) => self.open(url).await,
            _ => ElicitResult::cancel(),
        };
        let content = result.content.as_ref().map(|content| format!(" {content}"));
        let answer = format!("{}{}", result.action, content.unwrap_or_default());
        self.screen.show(&Event::Answered {
            what,
            answer: &answer,
        });
        Ok(result)
    }

    async fn fill_in(&self, form: &ElicitFormParams) -> Result<ElicitResult, ErrorObject> {
        let invalid = |e: &dyn std::fmt::Display| ErrorObject::invalid_params(e.to_string());
        let json: Value = form.requested_schema.decode().map_err(|e| invalid(&e))?;
        let schema = form.schema().map_err(|e| invalid(&e))?;
        // Others are for other questions.
        let mut given = self.answers.clone();
        given.retain_mut(|word| match word {
            Word::Typed(key, _) | Word::Json(key, _) => schema.property(key).is_some(),
            Word::Object(members) => {
                members.retain(|key, _| schema.property(key).is_some());
                true
            }
        });
        let mut content = match arguments::typed(given, &json) {
            Ok(content) => content,
            Err(failure) => {
                let reason = failure.to_string();
                self.screen.show(&Event::Refused {
                    what: FORM,
                    reason: &reason,
                });
                return Ok(ElicitResult::cancel());
            }
        };
        let missing = arguments::missing(&content, &json);
        if interactive() && (content.is_empty() || !missing.is_empty()) {
            return Ok(self.ask_for_rest(schema, content).await);
        }
        if !missing.is_empty() {
            let reason = format!("no --answer for {}", missing.join(", "));
            self.screen.show(&Event::Refused {
                what: FORM,
                reason: &reason,
            });
            return Ok(ElicitResult::cancel());
        }
        // As a form would be sent that is left as it was shown.
        for (name, property) in json["properties"].as_object().into_iter().flatten() {
            if let Some(default) = property.get("default") {
                content.entry(name).or_insert_with(|| default.clone());
            }
        }
        Ok(ElicitResult::accept(content))
    }

    async fn ask_for_rest(&self, schema: ElicitSchema, given: Map<String, Value>) -> ElicitResult {
        let questions = move || -> dialoguer::Result<ElicitResult> {
            let choice = Select::with_theme(&*theme())
                .with_prompt("Your answer")
                .items(["fill in the form", "decline", "cancel"])
                .default(0)
                .interact_opt()?;
            match choice {
                Some(0) => {}
                Some(1) => return Ok(ElicitResult::decline()),
                _ => return Ok(ElicitResult::cancel()),
            }
            let mut content = given;
            for (name, property) in &schema.properties {
                if !content.contains_key(name)
                    && let Some(value) = field(name, property, schema.required.contains(name))?
                {
                    content.insert(name.clone(), value);
                }
            }
            Ok(ElicitResult::accept(content))
        };
        // A terminal that is gone cancels, as a person does who goes away.
        ask(&self.screen, questions)
            .await
            .unwrap_or_else(|_| ElicitResult::cancel())
    }

    async fn open(&self, page: &ElicitUrlParams) -> ElicitResult {
        self.screen.show(&Event::Asked {
            what: "page",
            question: &page.url,
        });
        if !interactive() {
            return ElicitResult::cancel();
        }
        let confirm = || {
            Confirm::with_theme(&*theme())
                .with_prompt("Open this page yourself if you trust it. Have you?")
                .interact_opt()
        };
        match ask(&self.screen, confirm).await {
            Ok(Some(true)) => ElicitResult::accept_url(),
            Ok(Some(false)) => ElicitResult::decline(),
            _ => ElicitResult::cancel(),
        }
    }
}
