//! What answers when the server asks: a model, a person, or what the command line says.

mod elicitation;
pub(crate) mod form;
mod model;
mod sampling;

use std::sync::Arc;

use clap::Args;
use mcp_client::ClientBuilder;
use mcp_client::types::{ElicitationCapability, RawJson};

use crate::arguments::{self, Word};
use crate::connect::interactive;
use crate::exit::Failure;
use crate::render::Screen;

use model::Model;

/// Who answers when the server asks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "When the server asks")]
pub(crate) struct Answers {
    /// Let this model answer: an endpoint that speaks as OpenAI's does, as http://127.0.0.1:8080/v1
    ///
    /// The key comes from MCP_LLM_KEY or OPENAI_API_KEY.
    #[arg(long, value_name = "URL", requires = "llm_model")]
    pub(crate) llm_url: Option<String>,

    /// The name of the model
    #[arg(long, value_name = "NAME")]
    pub(crate) llm_model: Option<String>,

    /// Let this program answer: it reads the question as JSON from its stdin and writes the answer, a text, to its stdout
    #[arg(long, value_name = "COMMAND", conflicts_with = "llm_url")]
    pub(crate) llm_command: Option<String>,

    /// Answer this where the server asks the user; once for each field of the form
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) answer: Vec<String>,

    /// Let the model answer without asking whether it may
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Answers the server's questions, one after the other.
#[derive(Clone)]
pub(crate) struct Answering {
    model: Option<Model>,
    answers: Vec<Word>,
    yes: bool,
    screen: Screen,
    /// One question at a time, with what is shown of it.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Answering {
    /// # Errors
    /// [`Failure::Usage`]: the command line makes no sense.
    pub(crate) fn new(answers: Answers, screen: Screen) -> Result<Self, Failure> {
        Ok(Self {
            model: Model::new(&answers)?,
            answers: arguments::words(&answers.answer)?,
            yes: answers.yes,
            screen,
            turn: Arc::default(),
        })
    }

    /// Declares what can be answered, and nothing else.
    pub(crate) fn declare(self, mut builder: ClientBuilder) -> ClientBuilder {
        if self.model.is_some() || interactive() {
            let this = self.clone();
            builder = builder.on_sampling(move |question| {
                let this = this.clone();
                async move { this.sample(question).await }
            });
        }
        if !self.answers.is_empty() || interactive() {
            builder = builder
                .on_elicitation(move |question| {
                    let this = self.clone();
                    async move { this.elicit(question).await }
                })
                .capabilities(|can| {
                    let mut elicitation = ElicitationCapability::default();
                    elicitation.form = Some(RawJson::EMPTY_OBJECT);
                    // Only a person can open a page.
                    elicitation.url = interactive().then_some(RawJson::EMPTY_OBJECT);
                    can.elicitation = Some(elicitation);
                });
        }
        builder
    }
}
