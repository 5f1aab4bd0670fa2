"""A server of FastMCP 3 whose tools become tasks, in the manner of 2025-11-25, for our client to follow."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from fastmcp import Context, FastMCP
from fastmcp.server.tasks import TaskConfig

server = FastMCP("fastmcp3-tasks", version="1.0.0")
task = TaskConfig(mode="optional", poll_interval=timedelta(milliseconds=100))


@dataclass
class Name:
    name: str


@server.tool(task=task)
async def slow() -> str:
    await asyncio.sleep(0.5)
    return "slept"


@server.tool(task=task)
async def fail() -> str:
    raise ValueError("as it is meant to")


@server.tool(task=task)
async def ask(ctx: Context) -> str:
    answer = await ctx.elicit("What is your name?", Name)
    return f"Hello, {answer.data.name}!"


@server.tool(task=task)
async def hold() -> str:
    await asyncio.sleep(600)
    return "held"


@server.tool()
def plain() -> str:
    return "at once"


server.run("stdio", show_banner=False)
