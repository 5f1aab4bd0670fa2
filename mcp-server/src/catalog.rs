//! What a server offers, while it serves.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use mcp_peer::types::{
    PromptsCapability, RawJson, ResourcesCapability, ServerCapabilities, TASKS_EXTENSION,
    TaskRequestsCapability, TaskToolsCapability, TasksCapability, ToolsCapability,
};

use crate::decode::Texts;
use crate::group::{Group, Item, Mounted};
use crate::hub::Hub;
use crate::prompt::PromptDef;
use crate::resource::OfferedResource;
use crate::shelf::Shelf;
use crate::tool::OfferedTool;

/// The tools, resources and prompts of a server; clones are handles to the same.
///
/// Whatever is added or removed here while the server serves is so for the next request on every connection. What runs
/// goes on. Every list has the order in which things were added (REQ-TOOL-02).
///
/// A connection declares what there was, or had been, when it began. If tools, resources or prompts may be added later to a server
/// that starts without any, declare the kind by [`Server::will_offer`](crate::Server::will_offer).
///
/// ```
/// use mcp_server::{Server, tool};
///
/// let server = Server::new("plugins", "1.0.0").tool(tool("list", || "none"));
/// let catalog = server.catalog();
/// catalog.add(tool("greet", || "Hello."))?;
/// assert!(catalog.remove_tool("list"));
/// # Ok::<(), mcp_server::Refused>(())
/// ```
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    shelves: RwLock<Shelves>,
    changes: watch::Sender<Changes>,
    hub: Hub,
}

/// How often each kind has changed since the server was made; see [`Catalog::changes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Tools added and removed.
    pub tools: u64,
    /// Resources and templates added and removed.
    pub resources: u64,
    /// Prompts added and removed.
    pub prompts: u64,
}

/// Something that there are lists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Tools.
    Tools,
    /// Resources and resource templates.
    Resources,
    /// Prompts.
    Prompts,
    /// Completion of arguments and variables.
    Completions,
    /// Tools whose calls may become tasks.
    Tasks,
}

impl Offer {
    const ALL: [Self; 5] = [
        Self::Tools,
        Self::Resources,
        Self::Prompts,
        Self::Completions,
        Self::Tasks,
    ];
}

/// Why something is not offered; nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is one of that name, or under that URI, already.
    #[error("there is a {kind} {name:?} already")]
    Taken {
        /// What it is.
        kind: &'static str,
        /// Its name or URI.
        name: String,
    },
    /// A tool's name is not 1 to 128 of `A-Z a-z 0-9 _ . -` (REQ-TOOL-01).
    #[error("tool name {0:?} is not 1 to 128 of A-Z a-z 0-9 _ . -")]
    ToolName(String),
    /// It cannot be what it is meant to be.
    #[error("the {kind} {name:?} cannot be offered: {reason}")]
    Unfit {
        /// What it is.
        kind: &'static str,
        /// Its name or URI.
        name: String,
        /// Why.
        reason: String,
    },
}

#[derive(Debug)]
pub(crate) struct Shelves {
    pub(crate) tools: Shelf<OfferedTool>,
    /// Resources of one URI each.
    pub(crate) resources: Shelf<OfferedResource>,
    pub(crate) templates: Shelf<OfferedResource>,
    pub(crate) prompts: Shelf<PromptDef>,
    completions: bool,
    /// Whether calls of some tool may become tasks.
    tasks: bool,
}

impl Catalog {
    pub(crate) fn new(hub: Hub) -> Self {
        Self(Arc::new(Inner {
            shelves: RwLock::new(Shelves {
                tools: Shelf::default(),
                resources: Shelf::default(),
                templates: Shelf::default(),
                prompts: Shelf::default(),
                completions: false,
                tasks: false,
            }),
            changes: watch::Sender::default(),
            hub,
        }))
    }

    /// Offers a tool, a resource or a prompt from now on.
    ///
    /// # Errors
    /// [`Refused`]: why it is not.
    pub fn add(&self, item: impl Into<Item>) -> Result<(), Refused> {
        self.add_all(vec![item.into()]).map(drop)
    }

    /// Offers everything of a group, the names of its tools and prompts prefixed; or nothing of it, if something is refused.
    ///
    /// # Errors
    /// [`Refused`]: what is not fit, and why.
    pub fn mount(&self, prefix: &str, group: Group) -> Result<Mounted, Refused> {
        self.add_all(group.prefixed(prefix))
    }

    /// Takes away what a group brought, as far as it is still there; what has been added in its place stays.
    pub fn unmount(&self, mounted: Mounted) {
        for (kind, key, number) in mounted.0 {
            self.remove(kind, &key, Some(number));
        }
    }

    fn add_all(&self, items: Vec<Item>) -> Result<Mounted, Refused> {
        // Schemas are compiled before anybody has to wait.
        let ready: Vec<Ready> = items
            .into_iter()
            .map(Item::ready)
            .collect::<Result<_, _>>()?;
        let mut changes = Changes::default();
        let mut shelves = self.write();
        let mut keys = HashSet::new();
        for (kind, name) in ready.iter().map(Ready::key) {
            if shelves.has(kind, &name) || !keys.insert((kind, name.clone())) {
                return Err(Refused::Taken { kind, name });
            }
            changes.count(kind);
        }
        let mut mounted = Mounted::default();
        for item in ready {
            let (kind, key) = item.key();
            shelves.completions |= item.completes();
            shelves.tasks |= item.is_task();
            let number = match item {
                Ready::Tool(tool) => shelves.tools.add(&key, tool),
                Ready::Resource(r) if r.is_family() => shelves.templates.add(&key, r),
                Ready::Resource(resource) => shelves.resources.add(&key, resource),
                Ready::Prompt(prompt) => shelves.prompts.add(&key, prompt),
            };
            mounted.0.push((kind, key, number));
        }
        drop(shelves);
        self.changed(changes);
        Ok(mounted)
    }

    /// Offers a tool no longer; whether it was there.
    pub fn remove_tool(&self, name: &str) -> bool {
        self.remove(TOOL, name, None)
    }

    /// Offers a resource, or the family of a template, no longer; whether it was there.
    pub fn remove_resource(&self, uri: &str) -> bool {
        self.remove(RESOURCE, uri, None) || self.remove(TEMPLATE, uri, None)
    }

    /// Offers a prompt no longer; whether it was there.
    pub fn remove_prompt(&self, name: &str) -> bool {
        self.remove(PROMPT, name, None)
    }

    fn remove(&self, kind: &'static str, key: &str, number: Option<u64>) -> bool {
        let removed = self.write().remove(kind, key, number);
        // What is removed is dropped here, with no lock held: it is the program's.
        if removed.is_none() {
            return false;
        }
        let mut changes = Changes::default();
        changes.count(kind);
        self.changed(changes);
        true
    }

    /// The input schema of a tool, by which a transport may know what of a call it has to look at.
    pub fn input_schema(&self, tool: &str) -> Option<RawJson> {
        let shelves = self.read();
        Some(shelves.tools.get(tool)?.def.tool.input_schema.clone())
    }

    /// Tells when something was added or removed: the counts only ever grow, and are coalesced for whoever looks late.
    ///
    /// Clients who asked are told, too.
    pub fn changes(&self) -> watch::Receiver<Changes> {
        self.0.changes.subscribe()
    }

    fn changed(&self, by: Changes) {
        self.0.changes.send_modify(|changes| {
            changes.tools += by.tools;
            changes.resources += by.resources;
            changes.prompts += by.prompts;
        });
        let hub = &self.0.hub;
        if by.tools > 0 {
            hub.tools_changed();
        }
        if by.resources > 0 {
            hub.resources_changed();
        }
        if by.prompts > 0 {
            hub.prompts_changed();
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(crate) fn announce(&self, offer: Offer) {
        let mut shelves = self.write();
        match offer {
            Offer::Tools => shelves.tools.announced = true,
            Offer::Resources => shelves.resources.announced = true,
            Offer::Prompts => shelves.prompts.announced = true,
            Offer::Completions => shelves.completions = true,
            Offer::Tasks => shelves.tasks = true,
        }
    }

    /// What there is now.
    pub(crate) fn offered(&self) -> Offered {
        let shelves = self.read();
        Offered(Offer::ALL.map(|offer| shelves.offers(offer)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Shelves> {
        self.0
            .shelves
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.0
            .shelves
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of which kinds a server offers something, in the order of [`Offer::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offered([bool; Offer::ALL.len()]);

impl Offered {
    /// Declares it; whether resources can be subscribed to, the author knows.
    pub(crate) fn declare(self, capabilities: &mut ServerCapabilities, subscribe: bool) {
        let offers = |offer| self.0[offer as usize];
        let tools = ToolsCapability::new().list_changed(true);
        let resources = ResourcesCapability::new().list_changed(true);
        let prompts = PromptsCapability::new().list_changed(true);
        capabilities.tools = offers(Offer::Tools).then_some(tools);
        capabilities.resources = offers(Offer::Resources).then(|| resources.subscribe(subscribe));
        capabilities.prompts = offers(Offer::Prompts).then_some(prompts);
        capabilities.completions = offers(Offer::Completions).then_some(RawJson::EMPTY_OBJECT);
        if offers(Offer::Tasks) {
            let call = TaskToolsCapability::new().call();
            let requests = TaskRequestsCapability::new().tools(call);
            capabilities.tasks = Some(TasksCapability::new().list().cancel().requests(requests));
            let extensions = &mut capabilities.extensions;
            extensions.insert(TASKS_EXTENSION.to_owned(), RawJson::EMPTY_OBJECT);
        }
    }
}

const TOOL: &str = "tool";
const RESOURCE: &str = "resource";
const TEMPLATE: &str = "resource template";
const PROMPT: &str = "prompt";

/// Something that has passed its checks.
pub(crate) enum Ready {
    Tool(OfferedTool),
    Resource(OfferedResource),
    Prompt(PromptDef),
}

impl Ready {
    fn key(&self) -> (&'static str, String) {
        match self {
            Self::Tool(tool) => (TOOL, tool.def.tool.name.clone()),
            Self::Resource(resource) => {
                let kind = if resource.is_family() {
                    TEMPLATE
                } else {
                    RESOURCE
                };
                (kind, resource.def.resource.uri.clone())
            }
            Self::Prompt(prompt) => (PROMPT, prompt.prompt.name.clone()),
        }
    }

    fn is_task(&self) -> bool {
        matches!(self, Self::Tool(tool) if tool.def.task_support().is_some())
    }

    fn completes(&self) -> bool {
        match self {
            Self::Tool(_) => false,
            Self::Resource(resource) => !resource.def.completers.is_empty(),
            Self::Prompt(prompt) => !prompt.completers.is_empty(),
        }
    }
}

impl Item {
    fn ready(self) -> Result<Ready, Refused> {
        let unfit = |kind, name| move |reason| Refused::Unfit { kind, name, reason };
        match self {
            Self::Tool(tool) => {
                let name = tool.tool.name.clone();
                let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
                if !(1..=128).contains(&name.len()) || !name.bytes().all(legal) {
                    return Err(Refused::ToolName(name));
                }
                tool.offer().map(Ready::Tool).map_err(unfit(TOOL, name))
            }
            Self::Resource(resource) => {
                let uri = resource.resource.uri.clone();
                let ready = resource.offer().map(Ready::Resource);
                ready.map_err(unfit(RESOURCE, uri))
            }
            Self::Prompt(prompt) => {
                let name = prompt.prompt.name.clone();
                prompt
                    .offer()
                    .map(Ready::Prompt)
                    .map_err(unfit(PROMPT, name))
            }
        }
    }
}

impl Changes {
    fn count(&mut self, kind: &'static str) {
        *match kind {
            TOOL => &mut self.tools,
            PROMPT => &mut self.prompts,
            _ => &mut self.resources,
        } += 1;
    }
}

impl Shelves {
    fn has(&self, kind: &'static str, key: &str) -> bool {
        match kind {
            TOOL => self.tools.get(key).is_some(),
            PROMPT => self.prompts.get(key).is_some(),
            TEMPLATE => self.templates.get(key).is_some(),
            _ => self.resources.get(key).is_some(),
        }
    }

    fn remove(
        &mut self,
        kind: &'static str,
        key: &str,
        number: Option<u64>,
    ) -> Option<Box<dyn std::any::Any>> {
        fn boxed<T: 'static>(item: Arc<T>) -> Box<dyn std::any::Any> {
            Box::new(item)
        }
        match kind {
            TOOL => self.tools.remove(key, number).map(boxed),
            PROMPT => self.prompts.remove(key, number).map(boxed),
            TEMPLATE => self.templates.remove(key, number).map(boxed),
            _ => self.resources.remove(key, number).map(boxed),
        }
    }

    /// Whether clients have been told, or will be, that there are some.
    pub(crate) fn offers(&self, offer: Offer) -> bool {
        match offer {
            Offer::Tools => self.tools.announced,
            Offer::Resources => self.resources.announced || self.templates.announced,
            Offer::Prompts => self.prompts.announced,
            Offer::Completions => self.completions,
            Offer::Tasks => self.tasks,
        }
    }

    /// What a URI is read by: the resource of that URI, or else the first template that it is of.
    pub(crate) fn reads(&self, uri: &str) -> Option<(Arc<OfferedResource>, Texts)> {
        if let Some(resource) = self.resources.get(uri) {
            return Some((Arc::clone(resource), Texts::default()));
        }
        self.templates.from(0).find_map(|(_, family)| {
            let variables = family.template.capture(uri)?;
            Some((Arc::clone(family), variables))
        })
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelves = self.read();
        f.debug_struct("Catalog")
            .field("tools", &shelves.tools.len())
            .field("resources", &shelves.resources.len())
            .field("templates", &shelves.templates.len())
            .field("prompts", &shelves.prompts.len())
            .finish()
    }
}
