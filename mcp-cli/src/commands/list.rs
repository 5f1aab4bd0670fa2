//! `mcp list`: what a server offers.

use clap::{Args, ValueEnum};
use console::{Style, Term};
use mcp_client::types::{ErrorCode, Prompt, Resource, ResourceTemplate, Tool};
use mcp_client::{Established, RequestError};
use serde::Serialize;
use serde_json::Value;

use super::no_more;
use crate::arguments::kinds;
use crate::connect::{Connect, Session, print};
use crate::exit::Failure;
use crate::render::{Contents, Saving, colours, printable, table, wrap};

const HELP: &str = "\
Examples:
  mcp list -- npx -y @modelcontextprotocol/server-everything
  mcp list files --only tools --long      a server of the configuration file
  mcp list unix:/run/server.sock --json | jq -r '.tools[].name'";

/// Lists the tools, resources and prompts of a server
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp list [OPTIONS] TARGET\n       mcp list [OPTIONS] -- COMMAND [ARG]...")]
pub(crate) struct List {
    /// An address (unix:/path, tcp://, ws://, http://), or a server of the configuration file
    #[arg(value_name = "TARGET", num_args = 0..)]
    words: Vec<String>,

    /// List these only
    #[arg(long, value_enum, value_name = "KIND")]
    only: Vec<Kind>,

    /// Show everything: whole descriptions, and what each argument is for
    #[arg(long, short)]
    long: bool,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Tools,
    Resources,
    Templates,
    Prompts,
}

/// What there is; what was not asked for, or what the server does not have, is not there.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Offer {
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<Tool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<Resource>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_templates: Option<Vec<ResourceTemplate>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<Vec<Prompt>>,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: List) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    no_more(&args.words)?;
    connect
        .with(&target, connect.screen(), async |session| {
            let offer = offer(session, &args.only).await?;
            let server = session.client.server();
            print(&match connect.json {
                true => as_json(&offer, &server),
                false => for_people(&offer, &server, args.long),
            });
            Ok(())
        })
        .await
}

async fn offer(session: &Session, only: &[Kind]) -> Result<Offer, RequestError> {
    let client = &session.client;
    let server = client.server();
    let has = &server.capabilities;
    let wanted = |kind| only.is_empty() || only.contains(&kind);
    let mut offer = Offer::default();
    if has.tools.is_some() && wanted(Kind::Tools) {
        offer.tools = Some(client.list_tools().await?);
    }
    if has.resources.is_some() && wanted(Kind::Resources) {
        offer.resources = Some(client.list_resources().await?);
    }
    if has.resources.is_some() && wanted(Kind::Templates) {
        // There is no capability for these: a server with resources may not know them.
        offer.resource_templates = match client.list_resource_templates().await {
            Err(RequestError::Refused(error)) if error.code == ErrorCode::METHOD_NOT_FOUND => {
                Some(Vec::new())
            }
            listed => Some(listed?),
        };
    }
    if has.prompts.is_some() && wanted(Kind::Prompts) {
        offer.prompts = Some(client.list_prompts().await?);
    }
    Ok(offer)
}

fn as_json(offer: &Offer, server: &Established) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Json<'a> {
        server: Option<&'a mcp_client::types::Implementation>,
        version: &'a str,
        capabilities: &'a mcp_client::types::ServerCapabilities,
        instructions: Option<&'a str>,
        #[serde(flatten)]
        offer: &'a Offer,
    }
    let json = Json {
        server: server.server_info.as_ref(),
        version: server.version.as_str(),
        capabilities: &server.capabilities,
        instructions: server.instructions.as_deref(),
        offer,
    };
    // Names, texts and JSON serialise.
    serde_json::to_string(&json).unwrap_or_default() + "\n"
}

fn for_people(offer: &Offer, server: &Established, long: bool) -> String {
    let contents = Contents::stdout(Saving::new(".".as_ref(), ""));
    let page = Page {
        width: contents.width(),
        heading: Style::new().bold().force_styling(colours(&Term::stdout())),
        long,
    };
    let who = server
        .server_info
        .as_ref()
        .map_or("a server".to_owned(), ToString::to_string);
    let era = server.version.era();
    let mut out = format!(
        "{}, protocol {} ({era} era)\n",
        printable(&who),
        server.version.as_str()
    );
    if let Some(instructions) = &server.instructions {
        out.push_str(&wrap(&printable(instructions), page.width).join("\n"));
        out.push('\n');
    }
    let tools = offer.tools.iter().flatten().map(tool);
    page.section(&mut out, "tools", offer.tools.is_some(), tools);
    let resources = offer.resources.iter().flatten().map(resource);
    page.section(&mut out, "resources", offer.resources.is_some(), resources);
    let templates = offer.resource_templates.iter().flatten();
    let templates = templates.map(|template| Entry {
        name: template.uri_template.clone(),
        about: about(template.display_name(), template.description.as_deref()),
        details: Vec::new(),
    });
    page.section(
        &mut out,
        "templates",
        offer.resource_templates.is_some(),
        templates,
    );
    let prompts = offer.prompts.iter().flatten().map(prompt);
    page.section(&mut out, "prompts", offer.prompts.is_some(), prompts);
    out
}

/// How lists are written.
struct Page {
    width: Option<usize>,
    heading: Style,
    long: bool,
}

/// Something that a server offers.
struct Entry {
    name: String,
    about: String,
    /// Its arguments: name, and what there is to say about it.
    details: Vec<[String; 2]>,
}

impl Page {
    fn section(
        &self,
        out: &mut String,
        what: &str,
        there: bool,
        entries: impl Iterator<Item = Entry>,
    ) {
        let entries: Vec<Entry> = entries.collect();
        if !there || entries.is_empty() && !self.long {
            return;
        }
        out.push_str(&format!(
            "\n{}\n",
            self.heading.apply_to(format!("{what} ({})", entries.len()))
        ));
        let indented = |text: String, by: &str| -> String {
            text.lines().map(|line| format!("{by}{line}\n")).collect()
        };
        let width = self.width.map(|width| width.saturating_sub(2));
        if !self.long {
            let row = |entry: Entry| {
                let first = entry.about.lines().next().unwrap_or_default().to_owned();
                let arguments: Vec<_> = entry
                    .details
                    .iter()
                    .map(|[name, _]| name.as_str())
                    .collect();
                match &*arguments {
                    [] => [entry.name, first],
                    names => [format!("{} {}", entry.name, names.join(" ")), first],
                }
            };
            let rows: Vec<_> = entries.into_iter().map(row).collect();
            out.push_str(&indented(table(&rows, width), "  "));
            return;
        }
        for entry in entries {
            out.push_str(&format!("  {}\n", printable(&entry.name)));
            let about = wrap(
                &printable(&entry.about),
                width.map(|width| width.saturating_sub(4).max(20)),
            );
            out.push_str(&indented(about.join("\n"), "      "));
            let details = table(&entry.details, width.map(|width| width.saturating_sub(4)));
            out.push_str(&indented(details, "      "));
        }
    }
}

fn about(title: &str, description: Option<&str>) -> String {
    description.unwrap_or(title).trim().to_owned()
}

fn tool(tool: &Tool) -> Entry {
    let schema: Value = tool.input_schema.decode().unwrap_or_default();
    let required = |name: &str| {
        let mut required = schema["required"].as_array().into_iter().flatten();
        required.any(|required| required == name)
    };
    let properties = schema["properties"].as_object().into_iter().flatten();
    let mut details: Vec<_> = properties
        .map(|(name, property)| {
            let kinds = kinds(property, &schema).join("|");
            let about = property["description"].as_str().unwrap_or_default();
            (
                required(name),
                argument(name, required(name)),
                format!("{kinds}  {about}").trim().to_owned(),
            )
        })
        .collect();
    details.sort_by_key(|(required, ..)| !required);
    let hints = tool.annotations.iter().flat_map(|hints| {
        let say = |yes: bool, what| yes.then_some(what);
        [
            say(hints.is_read_only(), "read-only"),
            say(hints.destructive_hint == Some(true), "destructive"),
        ]
    });
    let hints: String = hints.flatten().map(|hint| format!(" [{hint}]")).collect();
    Entry {
        name: tool.name.clone(),
        about: about(tool.display_name(), tool.description.as_deref()) + &hints,
        details: details
            .into_iter()
            .map(|(_, name, about)| [name, about])
            .collect(),
    }
}

fn argument(name: &str, required: bool) -> String {
    match required {
        true => format!("{name}="),
        false => format!("[{name}=]"),
    }
}

fn resource(resource: &Resource) -> Entry {
    let mime = resource.mime_type.iter().cloned();
    let size = resource.size.iter().map(|size| format!("{size} bytes"));
    let facts: Vec<String> = mime.chain(size).collect();
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join(", "))
    };
    Entry {
        name: resource.uri.clone(),
        about: about(resource.display_name(), resource.description.as_deref()) + &facts,
        details: Vec::new(),
    }
}

fn prompt(prompt: &Prompt) -> Entry {
    let arguments = prompt.arguments.iter().flatten();
    let details = arguments.map(|a| {
        let about = a.description.clone().unwrap_or_default();
        [argument(&a.name, a.required), about]
    });
    Entry {
        name: prompt.name.clone(),
        about: about(prompt.display_name(), prompt.description.as_deref()),
        details: details.collect(),
    }
}
