//! Models that answer: behind an endpoint, or a program.

use std::process::Stdio;
use std::time::Duration;

use mcp_client::CreateMessageResult;
use mcp_client::types::{CreateMessageParams, Role, SamplingContent, SamplingMessage, StopReason};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::Answers;
use crate::exit::Failure;

/// Variables that may hold the key of an endpoint; the first one that is set counts.
const KEYS: [&str; 2] = ["MCP_LLM_KEY", "OPENAI_API_KEY"];

/// How long an endpoint may take.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Something that answers a question for a model.
#[derive(Debug, Clone)]
pub(super) enum Model {
    Endpoint { url: String, name: String },
    Command(Vec<String>),
}

impl Model {
    pub(super) fn new(answers: &Answers) -> Result<Option<Self>, Failure> {
        if let Some(command) = &answers.llm_command {
            let words = shell_words::split(command)
                .map_err(|e| Failure::Usage(format!("--llm-command: {e}")))?;
            return match words.is_empty() {
                true => Err(Failure::Usage("--llm-command is empty".to_owned())),
                false => Ok(Some(Self::Command(words))),
            };
        }
        let (Some(url), Some(name)) = (&answers.llm_url, &answers.llm_model) else {
            return Ok(None);
        };
        if cfg!(not(feature = "tls")) && url.starts_with("https:") {
            let reason = "--llm-url: this program was built without TLS, so only http:// will do";
            return Err(Failure::Usage(reason.to_owned()));
        }
        let url = url.trim_end_matches('/').to_owned();
        let name = name.clone();
        Ok(Some(Self::Endpoint { url, name }))
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Endpoint { name, .. } => name,
            Self::Command(words) => words.first().map_or("", String::as_str),
        }
    }

    /// Asks it; the error says in a line why there is no answer.
    pub(super) async fn answer(
        &self,
        question: &CreateMessageParams,
    ) -> Result<CreateMessageResult, String> {
        match self {
            Self::Endpoint { url, name } => {
                let body = request(name, question)?;
                let url = format!("{url}/chat/completions");
                // A client without a runtime: it waits in a thread of its own.
                let reply = tokio::task::spawn_blocking(move || post(&url, &body));
                let reply = reply.await.map_err(|e| e.to_string())??;
                response(name, &reply)
            }
            Self::Command(words) => run(words, question).await,
        }
    }
}

/// The question as the endpoint wants it.
fn request(model: &str, question: &CreateMessageParams) -> Result<Value, String> {
    let system = question.system_prompt.iter();
    let mut messages: Vec<Value> = system
        .map(|text| json!({ "role": "system", "content": text }))
        .collect();
    for message in &question.messages {
        messages.push(self::message(message)?);
    }
    let mut body = json!({
        "model": model,
        "messages": messages,
        "max_tokens": question.max_tokens,
    });
    if let Some(temperature) = question.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(stop) = &question.stop_sequences {
        body["stop"] = json!(stop);
    }
    Ok(body)
}

fn message(message: &SamplingMessage) -> Result<Value, String> {
    let role = match message.role {
        Role::Assistant => "assistant",
        _ => "user",
    };
    let parts: Result<Vec<Value>, String> = message.content.iter().map(part).collect();
    let content = match &*parts? {
        // Not every endpoint knows lists of parts.
        [part] if part["type"] == "text" => part["text"].clone(),
        parts => json!(parts),
    };
    Ok(json!({ "role": role, "content": content }))
}

fn part(content: &SamplingContent) -> Result<Value, String> {
    match content {
        SamplingContent::Text(text) => Ok(json!({ "type": "text", "text": text.text })),
        SamplingContent::Image(image) => {
            let url = format!("data:{};base64,{}", image.mime_type, image.data);
            Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        _ => Err("the model takes text and images only".to_owned()),
    }
}

fn post(url: &str, body: &Value) -> Result<Value, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        // What an endpoint says about its refusal is worth more than its number.
        .http_status_as_error(false);
    let agent = ureq::Agent::new_with_config(with_tls(config).build());
    let mut request = agent.post(url);
    let key = KEYS.iter().find_map(|key| std::env::var(key).ok());
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        request = request.header("Authorization", format!("Bearer {key}"));
    }
    let mut response = request.send_json(body).map_err(|e| format!("{url}: {e}"))?;
    let status = response.status();
    let text = response.body_mut().read_to_string();
    let text = text.map_err(|e| format!("{url}: {e}"))?;
    if !status.is_success() {
        let said: Option<Value> = serde_json::from_str(&text).ok();
        let said = said
            .as_ref()
            .and_then(|said| said["error"]["message"].as_str());
        let said = said.unwrap_or(&text);
        return Err(format!(
            "{url}: {status}: {}",
            crate::render::shorten(said, 300)
        ));
    }
    serde_json::from_str(&text).map_err(|e| format!("{url}: the answer is no JSON: {e}"))
}

type Config = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[cfg(feature = "tls")]
fn with_tls(config: Config) -> Config {
    use std::sync::Arc;
    use ureq::tls::{RootCerts, TlsConfig};

    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    config.tls_config(tls.build())
}

#[cfg(not(feature = "tls"))]
fn with_tls(config: Config) -> Config {
    config
}

fn response(model: &str, reply: &Value) -> Result<CreateMessageResult, String> {
    let choice = &reply["choices"][0];
    let Some(text) = choice["message"]["content"].as_str() else {
        let reply = crate::render::shorten(&reply.to_string(), 300);
        return Err(format!("the model's answer has no text: {reply}"));
    };
    let model = reply["model"].as_str().unwrap_or(model);
    let answer = CreateMessageResult::text(model, text);
    Ok(match choice["finish_reason"].as_str() {
        Some("length") => answer.stop_reason(StopReason::MaxTokens),
        _ => answer,
    })
}

async fn run(
    words: &[String],
    question: &CreateMessageParams,
) -> Result<CreateMessageResult, String> {
    let (program, args) = words.split_first().ok_or("no command")?;
    let told = |e: std::io::Error| format!("{program}: {e}");
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(told)?;
    let question = serde_json::to_vec(question).map_err(|e| e.to_string())?;
    let stdin = child.stdin.take();
    let asking = async {
        if let Some(mut stdin) = stdin {
            // A program that answers without reading is within its rights.
            let _ = stdin.write_all(&question).await;
        }
    };
    let ((), output) = tokio::join!(asking, child.wait_with_output());
    let output = output.map_err(told)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or_default();
        return Err(format!("{program}: {}: {said}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(CreateMessageResult::text(program, text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_client::types::Sampling;

    #[test]
    fn a_question_is_put_as_the_endpoint_wants_it() {
        let question = Sampling::user("Who?")
            .message(SamplingMessage::user(SamplingContent::image(
                "AAAA",
                "image/png",
            )))
            .system_prompt("Be brief.")
            .temperature(0.5)
            .max_tokens(9);
        let expected = json!({
            "model": "m", "max_tokens": 9, "temperature": 0.5,
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": "Who?" },
                { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }] },
            ],
        });
        assert_eq!(request("m", &question), Ok(expected));
        let sound = Sampling::user(SamplingContent::audio("AAAA", "audio/wav"));
        assert!(request("m", &sound).is_err());
    }

    #[test]
    fn an_answer_is_its_text() {
        let reply = json!({ "model": "m-1", "choices": [{ "message": { "content": "Me." }, "finish_reason": "length" }] });
        let answer = response("m", &reply).unwrap();
        assert_eq!(
            (answer.to_text(), answer.model.as_str()),
            ("Me.".to_owned(), "m-1")
        );
        assert_eq!(answer.stop_reason, Some(StopReason::MaxTokens));
        assert!(response("m", &json!({ "choices": [] })).is_err());
    }
}
