# A room in which everybody hears what is said, with FastMCP 4.1.
from typing import Literal

from fastmcp import Context, FastMCP
from mcp.types import Notification

mcp = FastMCP("chat")
members = set()


class Said(Notification[dict, Literal["chat.said"]]):
    method: Literal["chat.said"] = "chat.said"


@mcp.tool
def join(ctx: Context) -> None:
    members.add(ctx.session)


@mcp.tool
async def say(text: str) -> None:
    for member in list(members):
        try:
            await member.send_notification(Said(params={"text": text}))
        except Exception:
            members.discard(member)


mcp.run()
