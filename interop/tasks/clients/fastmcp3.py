"""FastMCP 3's client and the tasks of our server `everything`, in the manner of 2025-11-25: `fastmcp3.py SERVER`."""

import asyncio
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError

asked: list[str] = []


async def elicit(message, response_type, params, context):
    asked.append(message)
    return {"confirm": True}


def same(actual, expected) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


async def use(client: Client) -> None:
    slow = await client.call_tool("slow_compute", {"seconds": 1, "label": "It"}, task=True)
    assert not slow.returned_immediately
    same((await slow).content[0].text, "It is done.")
    same((await client.get_task_status(slow.task_id)).status, "completed")

    failed = await client.call_tool("failing_job", task=True)
    try:
        raise AssertionError(f"it should fail: {await failed}")
    except ToolError as error:
        same(str(error), "The job failed.")

    deleted = await client.call_tool("confirm_delete", {"filename": "a.txt"}, task=True)
    same((await deleted).content[0].text, "Deleted a.txt.")
    same(asked, ["Delete a.txt?"])

    held = await client.call_tool("slow_compute", {"seconds": 600, "label": "It"}, task=True)
    await held.cancel()
    same((await held.wait()).status, "cancelled")


async def main() -> None:
    transport = StdioTransport(sys.argv[1], [])
    client = Client(transport, elicitation_handler=elicit)
    async with asyncio.timeout(60):
        async with client:
            await use(client)
        # It keeps the process, and shakes hands with it again.
        async with client:
            same((await client.call_tool("greet", {"name": "you"})).content[0].text, "Hello, you!")
    print("fastmcp 3 client: 2025-11-25")


asyncio.run(main())
