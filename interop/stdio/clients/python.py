"""The Python SDK's client against our server `everything`, in both eras: `python.py SERVER`."""

import sys
import warnings

import anyio
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters

SERVER = StdioServerParameters(command=sys.argv[1])

logs: list[str] = []
asked: list[str] = []


async def on_log(params: types.LoggingMessageNotificationParams) -> None:
    logs.append(str(params.data))


async def on_sampling(context, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    asked.append("sampling")
    content = types.TextContent(text="Paris")
    return types.CreateMessageResult(role="assistant", model="stub", content=content)


async def on_elicitation(context, params: types.ElicitRequestParams) -> types.ElicitResult:
    asked.append("elicitation")
    properties = params.requested_schema["properties"]
    answers = {"ok": True, "verified": True, "age": 3, "score": 1.5, "status": "active"}
    many = {name: ["one"] for name in properties if name.endswith("Multi")}
    content = {name: (answers | many).get(name, "one") for name in properties}
    return types.ElicitResult(action="accept", content=content)


async def on_roots(context) -> types.ListRootsResult:
    asked.append("roots")
    return types.ListRootsResult(roots=[types.Root(uri="file:///work")])


def text(result: types.CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


def same(actual, expected) -> None:
    assert actual == expected, f"{actual!r} is not {expected!r}"


async def tools(client: Client) -> None:
    listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert len(listed) >= 25, listed.keys()
    same(text(await client.call_tool("test_simple_text")), "This is a simple text response for testing.")
    result = await client.call_tool("test_image_content")
    same(result.content[0].mime_type, "image/png")
    result = await client.call_tool("test_multiple_content_types")
    same([block.type for block in result.content], ["text", "image", "resource"])
    result = await client.call_tool("test_error_handling")
    assert result.is_error
    result = await client.call_tool("json_schema_2020_12_tool", {"phone": 1, "contactMethod": "phone"})
    assert result.is_error, "the arguments do not match the schema"
    try:
        result = await client.call_tool("nothing")
        assert result.is_error
    except MCPError as error:
        same(error.code, types.INVALID_PARAMS)


async def logs_and_progress(client: Client) -> None:
    seen = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total))

    await client.call_tool("test_tool_with_progress", progress_callback=on_progress)
    same(seen, [(0, 100), (50, 100), (100, 100)])
    logs.clear()
    await client.call_tool("test_tool_with_logging")
    same(len(logs), 3)


async def questions(client: Client) -> None:
    asked.clear()
    result = await client.call_tool("test_sampling", {"prompt": "capital?"})
    same(text(result), "LLM response: Paris")
    result = await client.call_tool("test_elicitation", {"message": "who?"})
    assert "action=accept" in text(result), result
    for tool in ["test_elicitation_sep1034_defaults", "test_elicitation_sep1330_enums"]:
        result = await client.call_tool(tool)
        assert not result.is_error, result
    result = await client.call_tool("test_input_required_result_list_roots")
    assert "file:///work" in text(result), result
    result = await client.call_tool("test_input_required_result_multi_round")
    same(text(result), "one, sure: true")
    result = await client.call_tool("test_input_required_result_multiple_inputs")
    same(text(result), "Paris one, with 1 roots")
    result = await client.call_tool("test_input_required_result_request_state")
    same(text(result), "state-ok, confirmed: true")
    # The three that are asked at once come in any order.
    kinds = ["sampling"] + ["elicitation"] * 3 + ["roots"] + ["elicitation"] * 2
    same(asked[:7], kinds)
    same(sorted(asked[7:]), ["elicitation", "elicitation", "roots", "sampling"])


async def resources_and_prompts(client: Client) -> None:
    resources = (await client.list_resources()).resources
    same([r.name for r in resources], ["static-text", "static-binary", "watched-resource"])
    read = await client.read_resource("test://static-text")
    same(read.contents[0].text, "This is the content of the static text resource.")
    templates = (await client.list_resource_templates()).resource_templates
    same([t.uri_template for t in templates], ["test://template/{id}/data"])
    read = await client.read_resource("test://template/7/data")
    assert '"7"' in read.contents[0].text, read
    try:
        await client.read_resource("test://nothing")
        raise AssertionError("there is no such resource")
    except MCPError as error:
        assert error.code in (-32002, types.INVALID_PARAMS), error
    prompts = (await client.list_prompts()).prompts
    same(len(prompts), 5)
    prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "a", "arg2": "b"})
    same(prompt.messages[0].content.text, "Prompt with arguments: arg1='a', arg2='b'")
    prompt = await client.get_prompt("test_input_required_result_prompt")
    same(prompt.messages[0].content.text, "A prompt about one.")
    ref = types.PromptReference(name="test_prompt_with_arguments")
    completed = await client.complete(ref, {"name": "arg1", "value": "teste"})
    same(completed.completion.values, ["tested"])
    ref = types.ResourceTemplateReference(uri="test://template/{id}/data")
    completed = await client.complete(ref, {"name": "id", "value": "12"})
    same(completed.completion.values, ["12", "123"])


async def use(mode: str, version: str) -> None:
    client = Client(
        SERVER,
        mode=mode,
        log_level="debug",
        sampling_callback=on_sampling,
        elicitation_callback=on_elicitation,
        list_roots_callback=on_roots,
        logging_callback=on_log,
        read_timeout_seconds=20,
    )
    async with client:
        same(client.protocol_version, version)
        if mode != version:
            # Pinned to a version it asks nothing beforehand.
            same(client.server_info.name, "everything")
        if version < "2026":
            await client.send_ping()
            await client.set_logging_level("info")
        await tools(client)
        await logs_and_progress(client)
        await questions(client)
        await resources_and_prompts(client)
        if mode == "auto" and client.server_capabilities.tools.list_changed:
            async with client.listen(tools_list_changed=True) as listening:
                assert listening.honored.tools_list_changed
    print(f"python client, {mode}: {version}")


async def main() -> None:
    with anyio.fail_after(60):
        await use("legacy", "2025-11-25")
        await use("2026-07-28", "2026-07-28")
        await use("auto", "2026-07-28")


warnings.simplefilter("ignore")
anyio.run(main)
