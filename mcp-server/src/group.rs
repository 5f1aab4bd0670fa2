//! Tools, resources and prompts that belong together.

use crate::prompt::PromptDef;
use crate::resource::ResourceDef;
use crate::tool::ToolDef;

/// A tool, a resource or a prompt.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Item {
    /// A tool.
    Tool(ToolDef),
    /// A resource or a family of them.
    Resource(ResourceDef),
    /// A prompt.
    Prompt(PromptDef),
}

macro_rules! from {
    ($($variant:ident($def:ty))*) => {
        $(impl From<$def> for Item {
            fn from(def: $def) -> Self {
                Self::$variant(def)
            }
        })*
    };
}

from! { Tool(ToolDef) Resource(ResourceDef) Prompt(PromptDef) }

/// Tools, resources and prompts that are offered together, under a prefix: made by one part of a program, mounted by another.
///
/// The prefix goes before the names of tools and prompts, exactly as it is written. The URIs of resources stay, for these are
/// what they are wherever they are offered.
///
/// ```
/// use mcp_server::{Group, Server, prompt, tool};
///
/// fn files() -> Group {
///     Group::new().tool(tool("list", || "a.txt")).prompt(prompt("tidy", || "Tidy my files."))
/// }
///
/// let server = Server::new("desk", "1.0.0").mount("files.", files()); // files.list, files.tidy
/// ```
#[derive(Debug, Clone, Default)]
pub struct Group {
    items: Vec<Item>,
}

impl Group {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tool.
    #[must_use]
    pub fn tool(self, tool: ToolDef) -> Self {
        self.add(tool)
    }

    /// Adds a resource or a family of them.
    #[must_use]
    pub fn resource(self, resource: ResourceDef) -> Self {
        self.add(resource)
    }

    /// Adds a prompt.
    #[must_use]
    pub fn prompt(self, prompt: PromptDef) -> Self {
        self.add(prompt)
    }

    /// Adds everything of another group, under a prefix of its own.
    #[must_use]
    pub fn mount(mut self, prefix: &str, group: Group) -> Self {
        self.items.extend(group.prefixed(prefix));
        self
    }

    fn add(mut self, item: impl Into<Item>) -> Self {
        self.items.push(item.into());
        self
    }

    pub(crate) fn prefixed(self, prefix: &str) -> Vec<Item> {
        let mut items = self.items;
        for item in &mut items {
            match item {
                Item::Tool(tool) => tool.tool.name.insert_str(0, prefix),
                Item::Prompt(prompt) => prompt.prompt.name.insert_str(0, prefix),
                Item::Resource(_) => {}
            }
        }
        items
    }
}

/// What a group brought, for [`Catalog::unmount`](crate::Catalog::unmount).
#[derive(Debug, Clone, Default)]
pub struct Mounted(
    /// Of each its kind, its key, and its number among those of its kind.
    pub(crate) Vec<(&'static str, String, u64)>,
);
