"""The official Python client over HTTP+SSE against the example `everything`: client.py URL."""

import asyncio
import sys

from mcp import ClientSession, types
from mcp.client.sse import sse_client


async def main(url: str) -> None:
    logs, steps = [], []

    async def sample(context, params):
        text = types.TextContent(type="text", text="Paris")
        return types.CreateMessageResult(role="assistant", content=text, model="m")

    async def elicit(context, params):
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "a@b.example"})

    async def log(params):
        logs.append(params.data)

    async def progress(progress, total, message):
        steps.append(progress)

    async with (
        sse_client(url) as (read, write),
        ClientSession(
            read, write, sampling_callback=sample, elicitation_callback=elicit, logging_callback=log
        ) as client,
    ):
        version = (await client.initialize()).protocolVersion

        async def call(name, arguments=None, **more):
            result = await client.call_tool(name, arguments, **more)
            return result.content[0].text

        tools = (await client.list_tools()).tools
        assert tools[0].name == "test_simple_text", tools
        assert (await call("test_simple_text")).startswith("This is a simple text")
        await call("test_tool_with_progress", progress_callback=progress)
        assert steps == [0, 50, 100], steps
        await call("test_tool_with_logging")
        assert len(logs) == 3, logs
        assert await call("test_sampling", {"prompt": "The capital?"}) == "LLM response: Paris"
        assert "action=accept" in await call("test_elicitation", {"message": "Who?"})
        texts = await asyncio.gather(*(call("test_simple_text") for _ in range(10)))
        assert len(set(texts)) == 1
    print(f"python client, {version}: as it should be")


asyncio.run(main(sys.argv[1]))
