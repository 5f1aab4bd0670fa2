//! Answers where the server asks for a model.

use dialoguer::{Confirm, Input};
use mcp_client::CreateMessageResult;
use mcp_client::types::{CreateMessageParams, ErrorCode, ErrorObject};

use super::Answering;
use super::form::theme;
use super::model::Model;
use crate::connect::interactive;
use crate::keyboard::ask;
use crate::render::Event;

/// What the specification's own examples use where the user has refused.
const REFUSED: ErrorCode = ErrorCode(-1);
const BY_USER: &str = "the user refused";

/// Why there is no answer.
enum Unanswered {
    /// The user does not want it (REQ-SAMP-05).
    Refused,
    /// For this reason, which is the user's to know.
    Failed(String),
}

impl Answering {
    /// Answers by the model if it may, else by the person.
    pub(super) async fn sample(
        &self,
        question: CreateMessageParams,
    ) -> Result<CreateMessageResult, ErrorObject> {
        let _turn = self.turn.lock().await;
        let answer = match &self.model {
            Some(model) => self.by_model(model, &question).await,
            None => self.by_person(&question).await,
        };
        let (answer, by) = answer.map_err(|unanswered| {
            // Why a model fails is no business of the server's: addresses and the like are told.
            let (reason, error) = match &unanswered {
                Unanswered::Refused => (BY_USER, ErrorObject::new(REFUSED, BY_USER)),
                Unanswered::Failed(reason) => (
                    reason.as_str(),
                    ErrorObject::internal("the model did not answer"),
                ),
            };
            self.screen.show(&Event::Refused {
                what: "sampling",
                reason,
            });
            error
        })?;
        self.screen.show(&Event::Sampling {
            question: &question,
            answer: &answer,
            answered_by: &by,
        });
        Ok(answer)
    }

    async fn by_model(
        &self,
        model: &Model,
        question: &CreateMessageParams,
    ) -> Result<(CreateMessageResult, String), Unanswered> {
        let name = model.name().to_owned();
        if !self.yes {
            if !interactive() {
                let reason = "nobody is there to approve it; --yes lets the model answer";
                return Err(Unanswered::Failed(reason.to_owned()));
            }
            self.screen.show(&Event::Asked {
                what: "sampling",
                question: &told(question),
            });
            let prompt = format!("May {name} answer this?");
            let confirm = move || {
                Confirm::with_theme(&*theme())
                    .with_prompt(prompt)
                    .default(false)
                    .interact()
            };
            match ask(&self.screen, confirm).await {
                Ok(true) => {}
                _ => return Err(Unanswered::Refused),
            }
        }
        let answer = model.answer(question).await.map_err(Unanswered::Failed)?;
        Ok((answer, format!("model {name}")))
    }

    async fn by_person(
        &self,
        question: &CreateMessageParams,
    ) -> Result<(CreateMessageResult, String), Unanswered> {
        self.screen.show(&Event::Asked {
            what: "sampling",
            question: &told(question),
        });
        let input = || {
            Input::<String>::with_theme(&*theme())
                .with_prompt("Your answer (empty to refuse)")
                .allow_empty(true)
                .interact_text()
        };
        match ask(&self.screen, input).await {
            Ok(text) if !text.trim().is_empty() => Ok((
                CreateMessageResult::text("human", text),
                "person".to_owned(),
            )),
            _ => Err(Unanswered::Refused),
        }
    }
}

/// The question as a person reads it.
fn told(question: &CreateMessageParams) -> String {
    let system = question.system_prompt.iter().cloned();
    let messages = question.messages.iter().map(|message| {
        let text = message.to_text();
        match text.is_empty() {
            true => "[no text]".to_owned(),
            false => text,
        }
    });
    system.chain(messages).collect::<Vec<_>>().join("\n")
}
