"""A server of FastMCP 4 whose tools become tasks, by the extension of 2026-07-28, for our client to follow."""

import asyncio
from datetime import timedelta

from fastmcp import Context, FastMCP
from fastmcp.utilities.tasks import TaskConfig
from fastmcp_tasks import TasksExtension
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

server = FastMCP("fastmcp4-tasks", version="1.0.0")
server.add_extension(TasksExtension())
task = TaskConfig(mode="optional", poll_interval=timedelta(milliseconds=100))


@server.tool(task=task)
async def slow() -> str:
    await asyncio.sleep(0.5)
    return "slept"


@server.tool(task=task)
async def fail() -> str:
    raise ValueError("as it is meant to")


@server.tool(task=task)
async def refuse() -> str:
    raise MCPError(code=7, message="seven")


@server.tool(task=task)
async def ask(ctx: Context) -> str | InputRequiredResult:
    if ctx.input_responses:
        return f"Hello, {ctx.input_responses['name'].content['name']}!"
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = ElicitRequestFormParams(message="What is your name?", requested_schema=schema)
    return InputRequiredResult(input_requests={"name": ElicitRequest(params=params)})


@server.tool(task=task)
async def hold() -> str:
    await asyncio.sleep(600)
    return "held"


@server.tool()
def plain() -> str:
    return "at once"


server.run("stdio", show_banner=False)
