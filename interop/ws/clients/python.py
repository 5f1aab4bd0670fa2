"""The Python SDK's last WebSocket client against our server, whose URL is the argument."""

import sys
import warnings

import anyio
from mcp import ClientSession, types
from mcp.client.websocket import websocket_client

warnings.filterwarnings("ignore", category=DeprecationWarning)


async def sample(_, params):
    text = f"heard {params.messages[0].content.text}"
    content = types.TextContent(type="text", text=text)
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def elicit(_, params):
    return types.ElicitResult(action="accept", content={"username": "me", "email": "me@example.com"})


async def main(url):
    logs = []

    async def log(params):
        logs.append(params.data)

    async with websocket_client(url) as (read, write):
        async with ClientSession(
            read, write, sampling_callback=sample, elicitation_callback=elicit, logging_callback=log
        ) as session:
            server = await session.initialize()
            assert server.serverInfo.name == "everything", server
            assert len((await session.list_tools()).tools) > 20

            await session.set_logging_level("info")
            await session.call_tool("test_tool_with_logging", {})
            assert len(logs) == 3, logs

            progress = []

            async def update(done, total, message):
                progress.append(done)

            await session.call_tool("test_tool_with_progress", {}, progress_callback=update)
            assert progress == [0, 50, 100], progress

            async def ask(prompt):
                result = await session.call_tool("test_sampling", {"prompt": prompt})
                assert result.content[0].text == f"LLM response: heard {prompt}", result

            await ask("é" * 100_000)
            async with anyio.create_task_group() as many:
                for i in range(50):
                    many.start_soon(ask, str(i))

            result = await session.call_tool("test_elicitation", {"message": "who?"})
            assert "accept" in result.content[0].text, result
            assert (await session.call_tool("test_error_handling", {})).isError
            assert (await session.list_resources()).resources
            assert (await session.list_prompts()).prompts
    print("python client: ok")


anyio.run(main, sys.argv[1])
