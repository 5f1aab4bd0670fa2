"""A server of the Python SDK's, over its last WebSocket transport; prints its URL when it listens."""

import socket
import warnings

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.websocket import websocket_server
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

warnings.filterwarnings("ignore", category=DeprecationWarning)
server = Server("python")


@server.list_tools()
async def list_tools():
    return [types.Tool(name="work", description="Does everything", inputSchema={"type": "object"})]


@server.set_logging_level()
async def set_level(level):
    pass


@server.call_tool()
async def call_tool(name, arguments):
    session = server.request_context.session
    token = server.request_context.meta.progressToken if server.request_context.meta else None
    await session.send_log_message("info", "started", related_request_id=server.request_context.request_id)
    for step in range(3):
        if token is not None:
            await session.send_progress_notification(token, step + 1, 3, f"step {step + 1}")
    question = types.TextContent(type="text", text=arguments["prompt"])
    messages = [types.SamplingMessage(role="user", content=question)]
    answer = await session.create_message(messages, max_tokens=10)
    return [types.TextContent(type="text", text=answer.content.text)]


class Endpoint:
    def __init__(self, scope, receive, send):
        self.asgi = (scope, receive, send)

    def __await__(self):
        return self.serve().__await__()

    async def serve(self):
        async with websocket_server(*self.asgi) as (read, write):
            await server.run(read, write, server.create_initialization_options())


listening = socket.create_server(("127.0.0.1", 0))
print(f"ws://127.0.0.1:{listening.getsockname()[1]}/ws", flush=True)
app = Starlette(routes=[WebSocketRoute("/ws", Endpoint)])
config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio")
uvicorn.Server(config).run(sockets=[listening])
