// The Inspector's command line against our server `everything`, in both eras: `inspector.mjs SERVER`.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";

const server = process.argv[2];
const inspector = fileURLToPath(import.meta.resolve("@modelcontextprotocol/inspector/clients/launcher/build/index.js"));

/// Runs it once; what it says, whether it succeeds or not.
function inspect(era, method, ...args) {
  const flags = ["--cli", server, "--quiet", "--format", "json", "--protocol-era", era];
  return new Promise((resolve) => {
    const command = [inspector, ...flags, "--method", method, ...args];
    execFile(process.execPath, command, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ ...JSON.parse(stdout || "{}"), code: error?.code ?? 0, stderr });
    });
  });
}

async function succeed(...args) {
  const { code, result, stderr } = await inspect(...args);
  assert.equal(code, 0, `${args}: ${stderr}`);
  return result;
}

for (const era of ["legacy", "modern", "auto"]) {
  const { tools } = await succeed(era, "tools/list");
  assert(tools.length >= 25);
  const call = (name, ...args) => succeed(era, "tools/call", "--tool-name", name, ...args);
  const simple = await call("test_simple_text");
  assert.equal(simple.content[0].text, "This is a simple text response for testing.");
  const json = await call("json_schema_2020_12_tool", "--tool-args-json", '{"email":"a"}');
  assert.equal(json.content[0].text, '{"email":"a"}');
  const progress = await call("test_tool_with_progress");
  assert.equal(progress.content[0].text, "Progress was reported.");
  const failed = await inspect(era, "tools/call", "--tool-name", "test_error_handling");
  assert.notEqual(failed.code, 0);
  assert.equal(failed.result.isError, true);

  const { resources } = await succeed(era, "resources/list");
  assert.equal(resources.length, 3);
  const { contents } = await succeed(era, "resources/read", "--uri", "test://static-text");
  assert.equal(contents[0].text, "This is the content of the static text resource.");
  const { resourceTemplates } = await succeed(era, "resources/templates/list");
  assert.equal(resourceTemplates[0].uriTemplate, "test://template/{id}/data");

  const { prompts } = await succeed(era, "prompts/list");
  assert.equal(prompts.length, 5);
  const args = ["--prompt-name", "test_prompt_with_arguments", "--prompt-args", "arg1=a", "arg2=b"];
  const { messages } = await succeed(era, "prompts/get", ...args);
  assert.equal(messages[0].content.text, "Prompt with arguments: arg1='a', arg2='b'");

  if (era === "legacy") await succeed(era, "logging/setLevel", "--log-level", "debug");
  console.log(`inspector, ${era}`);
}
