"""The first Python SDK's client and the tasks of our server `everything`, in the manner of 2025-11-25: `python.py SERVER`."""

import sys
import warnings

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client

warnings.filterwarnings("ignore", category=DeprecationWarning)

asked: list[str] = []


async def elicit(_, params):
    asked.append(params.message)
    return types.ElicitResult(action="accept", content={"confirm": True})


def same(actual, expected) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


class Tasks:
    def __init__(self, session: ClientSession):
        self.session = session
        self.tasks = session.experimental

    async def start(self, tool: str, **arguments) -> str:
        created = await self.tasks.call_tool_as_task(tool, arguments)
        return created.task.taskId

    async def result(self, id: str) -> types.CallToolResult:
        return await self.tasks.get_task_result(id, types.CallToolResult)

    async def end(self, id: str) -> tuple[str, types.CallToolResult]:
        """How it ends, and with what; what it asks comes while the result is waited for."""
        async for task in self.tasks.poll_task(id):
            if task.status == "input_required":
                await self.result(id)
        return task.status, await self.result(id)

    async def refused(self, request) -> types.ErrorData:
        try:
            raise AssertionError(f"not refused: {await request}")
        except McpError as refusal:
            return refusal.error


async def use(session: ClientSession) -> None:
    server = await session.initialize()
    same(server.protocolVersion, "2025-11-25")
    tasks = Tasks(session)

    slow = await tasks.start("slow_compute", seconds=1, label="It")
    same((await tasks.tasks.get_task(slow)).status, "working")
    status, result = await tasks.end(slow)
    same((status, result.content[0].text), ("completed", "It is done."))
    same(result.meta["io.modelcontextprotocol/related-task"], {"taskId": slow})

    failed = await tasks.start("failing_job")
    status, result = await tasks.end(failed)
    same((status, result.isError, result.content[0].text), ("failed", True, "The job failed."))
    broken = await tasks.start("protocol_error_job")
    same((await tasks.refused(tasks.end(broken))).message, "the job broke")

    deleted = await tasks.start("confirm_delete", filename="a.txt")
    status, result = await tasks.end(deleted)
    same((status, result.content[0].text), ("completed", "Deleted a.txt."))
    same(asked, ["Delete a.txt?"])

    held = await tasks.start("slow_compute", seconds=600, label="It")
    same((await tasks.tasks.cancel_task(held)).status, "cancelled")
    same((await tasks.tasks.get_task(held)).status, "cancelled")
    same((await tasks.refused(tasks.tasks.cancel_task(held))).code, -32602)

    same(len((await tasks.tasks.list_tasks()).tasks), 5)
    same((await tasks.refused(tasks.tasks.get_task("unknown"))).code, -32602)
    same((await tasks.refused(tasks.start("greet", name="Ann"))).code, -32601)


async def main() -> None:
    with anyio.fail_after(60):
        async with stdio_client(StdioServerParameters(command=sys.argv[1])) as (read, write):
            async with ClientSession(read, write, elicitation_callback=elicit) as session:
                await use(session)
    print("python client: 2025-11-25")


anyio.run(main)
