# A tool that asks the user for a form, with FastMCP 4.1.
from dataclasses import dataclass

from fastmcp import Context, FastMCP

mcp = FastMCP("shirts")


@dataclass
class Shirt:
    size: str


@mcp.tool
async def order(ctx: Context) -> str:
    answer = await ctx.elicit("Which shirt?", response_type=Shirt)
    return answer.data.size if answer.action == "accept" else "no shirt"


mcp.run()
