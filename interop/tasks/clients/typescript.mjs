// The first TypeScript SDK's client and the tasks of our server `everything`, in the manner of 2025-11-25: `typescript.mjs SERVER`.

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CallToolResultSchema, ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const asked = [];
const client = new Client({ name: "interop", version: "1.0.0" }, { capabilities: { elicitation: { form: {} } } });
client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
  asked.push(params.message);
  return { action: "accept", content: { confirm: true } };
});
await client.connect(new StdioClientTransport({ command: process.argv[2], stderr: "inherit" }));
const { tasks } = client.experimental;

// The task as it was made, and what it has come to.
async function follow(name, args, onTask = () => {}) {
  let task;
  for await (const message of tasks.callToolStream({ name, arguments: args }, CallToolResultSchema, { task: {} })) {
    if (message.type === "taskCreated") await onTask((task = message.task));
    if (message.type === "result" || message.type === "error") return { task, ...message };
  }
}
const text = (result) => result.content[0].text;

const { tools } = await client.listTools();
const support = (name) => tools.find((tool) => tool.name === name).execution?.taskSupport;
assert.deepEqual(["greet", "slow_compute", "failing_job"].map(support), [undefined, "optional", "required"]);

const slow = await follow("slow_compute", { seconds: 1, label: "It" });
assert.equal(slow.task.status, "working");
assert.equal(text(slow.result), "It is done.");
assert.equal((await tasks.getTask(slow.task.taskId)).status, "completed");
const again = await tasks.getTaskResult(slow.task.taskId, CallToolResultSchema);
assert.deepEqual(again, slow.result);

const failed = await follow("failing_job", {});
assert.equal(failed.type, "error");
const why = await tasks.getTaskResult(failed.task.taskId, CallToolResultSchema);
assert.equal(why.isError, true);
assert.equal(text(why), "The job failed.");
const broken = await follow("protocol_error_job", {});
assert.equal(broken.type, "error");
await assert.rejects(tasks.getTaskResult(broken.task.taskId, CallToolResultSchema), /the job broke/);

const deleted = await follow("confirm_delete", { filename: "a.txt" });
assert.equal(text(deleted.result), "Deleted a.txt.");
assert.deepEqual(asked, ["Delete a.txt?"]);

const held = await follow("slow_compute", { seconds: 600, label: "It" }, (task) => tasks.cancelTask(task.taskId));
assert.equal(held.type, "error");
assert.equal((await tasks.getTask(held.task.taskId)).status, "cancelled");
await assert.rejects(tasks.cancelTask(held.task.taskId), { code: -32602 });

const listed = await tasks.listTasks();
assert.equal(listed.tasks.length, 5);
await assert.rejects(tasks.getTask("unknown"), { code: -32602 });
const plain = await follow("greet", { name: "Ann" });
assert.equal(plain.type, "error", "it runs as no task");
await client.close();
console.log("typescript client: 2025-11-25");
