"""A server of the first Python SDK whose tools become tasks, in the manner of 2025-11-25, for our client to follow."""

import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolResult, TextContent, Tool, ToolExecution

server = Server("python-tasks", version="1.0.0")
server.experimental.enable_tasks()


def text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


async def slow(task) -> CallToolResult:
    await anyio.sleep(0.5)
    return text("slept")


async def fail(task) -> CallToolResult:
    raise ValueError("as it is meant to")


async def ask(task) -> CallToolResult:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    answer = await task.elicit("What is your name?", schema)
    return text(f"Hello, {answer.content['name']}!")


async def hold(task) -> CallToolResult:
    # If it ended after it was cancelled, the whole server would end.
    await anyio.sleep_forever()


TASKS = {work.__name__: work for work in (slow, fail, ask, hold)}


@server.list_tools()
async def tools() -> list[Tool]:
    def tool(name: str, support: str) -> Tool:
        execution = ToolExecution(taskSupport=support)
        return Tool(name=name, inputSchema={"type": "object"}, execution=execution)

    return [tool(name, "required") for name in TASKS] + [tool("plain", "forbidden")]


@server.call_tool()
async def call(name: str, arguments: dict):
    experimental = server.request_context.experimental
    experimental.validate_task_mode("required" if name in TASKS else "forbidden")
    if name in TASKS:
        return await experimental.run_task(TASKS[name])
    return text("at once")


async def main() -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
