// The TypeScript SDK's client against our server `everything`, in both eras: `typescript.mjs SERVER`.

import assert from "node:assert/strict";
import { Client, ProtocolError } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const command = process.argv[2];

/// A client with an answer to everything, and what it has seen.
async function connect(mode) {
  const seen = { logs: [], asked: [] };
  const client = new Client(
    { name: "interop", version: "1.0.0" },
    {
      versionNegotiation: { mode },
      capabilities: { sampling: {}, elicitation: { form: {} }, roots: {} },
    },
  );
  client.setNotificationHandler("notifications/message", (note) => {
    seen.logs.push(note.params.data);
  });
  client.setRequestHandler("sampling/createMessage", async () => {
    seen.asked.push("sampling");
    return { role: "assistant", model: "stub", content: { type: "text", text: "Paris" } };
  });
  client.setRequestHandler("elicitation/create", async ({ params }) => {
    seen.asked.push("elicitation");
    const answers = { ok: true, verified: true, age: 3, score: 1.5, status: "active" };
    const names = Object.keys(params.requestedSchema.properties);
    const answer = (name) => answers[name] ?? (name.endsWith("Multi") ? ["one"] : "one");
    return { action: "accept", content: Object.fromEntries(names.map((n) => [n, answer(n)])) };
  });
  client.setRequestHandler("roots/list", async () => {
    seen.asked.push("roots");
    return { roots: [{ uri: "file:///work" }] };
  });
  await client.connect(new StdioClientTransport({ command, stderr: "inherit" }));
  return { client, seen };
}

const text = (result) => result.content.filter((b) => b.type === "text").map((b) => b.text).join("\n");

async function tools(client) {
  const { tools } = await client.listTools();
  assert(tools.length >= 25);
  const simple = await client.callTool({ name: "test_simple_text" });
  assert.equal(text(simple), "This is a simple text response for testing.");
  const mixed = await client.callTool({ name: "test_multiple_content_types" });
  assert.deepEqual(mixed.content.map((b) => b.type), ["text", "image", "resource"]);
  const failed = await client.callTool({ name: "test_error_handling" });
  assert.equal(failed.isError, true);
  const args = { phone: 1, contactMethod: "phone" };
  const wrong = await client.callTool({ name: "json_schema_2020_12_tool", arguments: args });
  assert.equal(wrong.isError, true, "the arguments do not match the schema");
  await assert.rejects(client.callTool({ name: "nothing" }), ProtocolError);
}

async function logsAndProgress(client, seen, modern) {
  const progress = [];
  const onprogress = ({ progress: done, total }) => progress.push([done, total]);
  await client.callTool({ name: "test_tool_with_progress" }, { onprogress });
  assert.deepEqual(progress, [[0, 100], [50, 100], [100, 100]]);
  if (!modern) await client.setLoggingLevel("info");
  const _meta = { "io.modelcontextprotocol/logLevel": "info" };
  await client.callTool({ name: "test_tool_with_logging", ...(modern && { _meta }) });
  assert.equal(seen.logs.length, 3);
}

async function questions(client, seen) {
  const ask = async (name, args = {}) => text(await client.callTool({ name, arguments: args }));
  assert.equal(await ask("test_sampling", { prompt: "capital?" }), "LLM response: Paris");
  assert.match(await ask("test_elicitation", { message: "who?" }), /action=accept/);
  assert.match(await ask("test_elicitation_sep1034_defaults"), /action=accept/);
  assert.match(await ask("test_elicitation_sep1330_enums"), /action=accept/);
  assert.match(await ask("test_input_required_result_list_roots"), /file:\/\/\/work/);
  assert.equal(await ask("test_input_required_result_multi_round"), "one, sure: true");
  assert.equal(await ask("test_input_required_result_multiple_inputs"), "Paris one, with 1 roots");
  assert.equal(await ask("test_input_required_result_request_state"), "state-ok, confirmed: true");
  assert.equal(seen.asked.length, 11);
}

async function resourcesAndPrompts(client) {
  const { resources } = await client.listResources();
  assert.deepEqual(resources.map((r) => r.name), ["static-text", "static-binary", "watched-resource"]);
  const read = async (uri) => (await client.readResource({ uri })).contents[0].text;
  assert.equal(await read("test://static-text"), "This is the content of the static text resource.");
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.deepEqual(resourceTemplates.map((t) => t.uriTemplate), ["test://template/{id}/data"]);
  assert.match(await read("test://template/7/data"), /"7"/);
  await assert.rejects(read("test://nothing"));
  const { prompts } = await client.listPrompts();
  assert.equal(prompts.length, 5);
  const prompt = async (name, args) =>
    (await client.getPrompt({ name, arguments: args })).messages[0].content.text;
  const two = { arg1: "a", arg2: "b" };
  assert.equal(await prompt("test_prompt_with_arguments", two), "Prompt with arguments: arg1='a', arg2='b'");
  assert.equal(await prompt("test_input_required_result_prompt"), "A prompt about one.");
  const complete = async (ref, name, value) =>
    (await client.complete({ ref, argument: { name, value } })).completion.values;
  const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" };
  assert.deepEqual(await complete(ref, "arg1", "teste"), ["tested"]);
  const template = { type: "ref/resource", uri: "test://template/{id}/data" };
  assert.deepEqual(await complete(template, "id", "12"), ["12", "123"]);
}

for (const [mode, version] of [
  ["legacy", "2025-11-25"],
  [{ pin: "2026-07-28" }, "2026-07-28"],
  ["auto", "2026-07-28"],
]) {
  const modern = version >= "2026";
  const { client, seen } = await connect(mode);
  assert.equal(client.getNegotiatedProtocolVersion(), version);
  assert.equal(client.getServerVersion().name, "everything");
  await tools(client);
  await logsAndProgress(client, seen, modern);
  await questions(client, seen);
  await resourcesAndPrompts(client);
  if (!modern) await client.ping();
  if (modern && client.getServerCapabilities().tools.listChanged) {
    const listening = await client.listen({ toolsListChanged: true });
    assert.equal(listening.honoredFilter.toolsListChanged, true);
    await listening.close();
    assert.equal(await listening.closed, "local");
  }
  await client.close();
  console.log(`typescript client, ${JSON.stringify(mode)}: ${version}`);
}
