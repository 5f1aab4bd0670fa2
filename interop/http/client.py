"""The official Python client against the example `everything`: client.py URL auto|legacy."""

import asyncio
import sys

from mcp import types
from mcp.client import Client


async def main(url: str, mode: str) -> None:
    logs, steps = [], []

    async def sample(context, params):
        text = types.TextContent(type="text", text="Paris")
        return types.CreateMessageResult(role="assistant", content=text, model="m")

    async def elicit(context, params):
        return types.ElicitResult(action="accept", content={"username": "ada", "email": "a@b.example", "ok": True})

    async def log(params):
        logs.append(params.data)

    async def progress(progress, total, message):
        steps.append(progress)

    client = Client(
        url,
        mode=mode,
        sampling_callback=sample,
        elicitation_callback=elicit,
        logging_callback=log,
        log_level="info",
    )
    async with client:
        version = client.session.protocol_version
        assert (version == "2026-07-28") == (mode == "auto"), version
        tools = (await client.list_tools()).tools
        assert tools[0].name == "test_simple_text", tools

        async def call(name, arguments=None, **more):
            result = await client.call_tool(name, arguments, **more)
            return result.content[0].text

        assert (await call("test_simple_text")).startswith("This is a simple text")
        await call("test_tool_with_progress", progress_callback=progress)
        assert steps == [0, 50, 100], steps
        await call("test_tool_with_logging")
        assert len(logs) == 3, logs
        assert await call("test_sampling", {"prompt": "The capital?"}) == "LLM response: Paris"
        assert "action=accept" in await call("test_elicitation", {"message": "Who?"})
        failed = await client.call_tool("test_error_handling", {})
        assert failed.is_error
        # Ten at a time.
        texts = await asyncio.gather(*(call("test_simple_text") for _ in range(10)))
        assert len(set(texts)) == 1
        read = await client.read_resource("test://static-text")
        assert read.contents[0].text.startswith("This is the content")
        prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
        assert "arg1='a'" in prompt.messages[0].content.text
    print(f"python client, {version}: as it should be")


asyncio.run(main(*sys.argv[1:]))
