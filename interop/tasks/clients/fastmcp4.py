"""FastMCP 4's client and the tasks of our server `everything`, by the extension of 2026-07-28: `fastmcp4.py SERVER`."""

import asyncio
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError
from fastmcp_tasks.client import call_tool_task

asked: list[str] = []


async def elicit(message, response_type, params, context):
    asked.append(message)
    names = params.requested_schema["properties"]
    return {name: {"confirm": True, "name": "Ann"}[name] for name in names}


def same(actual, expected) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


async def fails(request, error: str) -> None:
    try:
        raise AssertionError(f"it should fail: {await request}")
    except ToolError as failure:
        assert error in str(failure), failure


async def use(client: Client) -> None:
    slow = await call_tool_task(client, "slow_compute", {"seconds": 1, "label": "It"})
    same((await slow.status()).status, "working")
    same((await slow.result()).content[0].text, "It is done.")
    same((await slow.status()).status, "completed")

    # A call follows the task that it has become.
    result = await client.call_tool("slow_compute", {"seconds": 0, "label": "It"})
    same(result.content[0].text, "It is done.")
    await fails(client.call_tool("failing_job"), "The job failed.")
    await fails(client.call_tool("protocol_error_job"), "the job broke")

    deleted = await client.call_tool("confirm_delete", {"filename": "a.txt"})
    same(deleted.content[0].text, "Deleted a.txt.")
    both = await client.call_tool("multi_input")
    same(both.content[0].text, "Ann and Ann")
    same(sorted(asked), ["Delete a.txt?", "The first name?", "The second name?"])

    held = await call_tool_task(client, "slow_compute", {"seconds": 600, "label": "It"})
    await held.cancel()
    same((await held.wait(timeout=10)).status, "cancelled")

    plain = await client.call_tool("greet", {"name": "Ann"})
    same(plain.content[0].text, "Hello, Ann!")


async def main() -> None:
    transport = StdioTransport(sys.argv[1], [])
    async with asyncio.timeout(60), Client(transport, elicitation_handler=elicit) as client:
        await use(client)
    print("fastmcp 4 client: 2026-07-28")


asyncio.run(main())
