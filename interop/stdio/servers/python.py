"""A server of the Python SDK with one of each feature, for our client to try; it speaks both eras."""

from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import (
    Completion,
    CreateMessageResult,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel

server = MCPServer("python-everything", version="1.0.0", instructions="Try everything.")


class Sum(BaseModel):
    total: int


@server.tool()
def add(a: int, b: int) -> Sum:
    """Adds, and tells the sum as structured content."""
    return Sum(total=a + b)


@server.tool()
def fail() -> str:
    """Fails."""
    raise ValueError("as it is meant to")


@server.tool()
async def work(steps: int, ctx: Context) -> str:
    """Logs and reports progress, one of each a step."""
    for step in range(1, steps + 1):
        await ctx.info(f"step {step}")
        await ctx.report_progress(step, steps, f"step {step}")
    return f"{steps} steps"


class Name(BaseModel):
    name: str


def ask_name() -> Elicit[Name]:
    return Elicit("What is your name?", Name)


@server.tool()
def greet(name: Annotated[Name, Resolve(ask_name)]) -> str:
    """Asks the user for a name."""
    return f"Hello, {name.name}!"


def ask_model() -> Sample:
    text = TextContent(text="What is the capital of France?")
    return Sample(messages=[SamplingMessage(role="user", content=text)], max_tokens=100)


@server.tool()
def capital(answer: Annotated[CreateMessageResult, Resolve(ask_model)]) -> str:
    """Asks the client's model."""
    return f"{answer.content.text}, says {answer.model}"


def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
def roots(roots: Annotated[ListRootsResult, Resolve(ask_roots)]) -> str:
    """Asks for the client's roots."""
    return " ".join(str(root.uri) for root in roots.roots)


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    """Says that a resource has changed, in the way of the connection's era."""
    if ctx.protocol_version and ctx.protocol_version >= "2026-07-28":
        await ctx.notify_resource_updated(uri)
    else:
        await ctx.session.send_resource_updated(uri)
    return f"touched {uri}"


@server.tool()
async def grow(ctx: Context) -> str:
    """Adds a tool and says so, in the way of the connection's era."""

    def grown() -> str:
        return "grown"

    server.add_tool(grown)
    if ctx.protocol_version and ctx.protocol_version >= "2026-07-28":
        await ctx.notify_tools_changed()
    else:
        await ctx.session.send_tool_list_changed()
    return "grew"


@server.resource("note://static", mime_type="text/plain")
def note() -> str:
    """A text."""
    return "A static note."


@server.resource("note://bytes", mime_type="application/octet-stream")
def octets() -> bytes:
    """Three bytes."""
    return b"\x00\x01\xff"


@server.resource("note://of/{name}")
def note_of(name: str) -> str:
    """A text by its name."""
    return f"The note of {name}."


@server.prompt()
def review(language: str, code: str = "none") -> list[UserMessage]:
    """Asks for a review."""
    return [UserMessage(f"Review this {language}: {code}")]


@server.completion()
async def complete(ref, argument, context):
    known = {"language": ["python", "perl", "rust"], "name": ["ann", "bob"]}
    of = (context.arguments or {}) if context else {}
    values = [v for v in known.get(argument.name, []) if v.startswith(argument.value)]
    values += [f"{argument.name} of {of['language']}"] if "language" in of else []
    return Completion(values=values, total=len(values), has_more=False)


if __name__ == "__main__":
    server.run("stdio")
