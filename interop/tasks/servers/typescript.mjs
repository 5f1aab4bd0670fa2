// A server of the first TypeScript SDK whose tools become tasks, in the manner of 2025-11-25, for our client to follow.

import { InMemoryTaskMessageQueue, InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { setTimeout } from "node:timers/promises";

const taskStore = new InMemoryTaskStore();
const server = new McpServer(
  { name: "typescript-tasks", version: "1.0.0" },
  {
    capabilities: { tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
    taskStore,
    taskMessageQueue: new InMemoryTaskMessageQueue(),
  },
);

const text = (text) => ({ content: [{ type: "text", text }] });

// The work ends in a result, which may be an error.
function tool(name, work) {
  const handler = {
    createTask: async (extra) => {
      const task = await extra.taskStore.createTask({ ttl: 60000, pollInterval: 100 });
      work(task.taskId).then(
        (result) => taskStore.storeTaskResult(task.taskId, "completed", result),
        (error) => taskStore.storeTaskResult(task.taskId, "failed", { ...text(error.message), isError: true }),
      );
      return { task };
    },
    getTask: (extra) => extra.taskStore.getTask(extra.taskId),
    getTaskResult: (extra) => extra.taskStore.getTaskResult(extra.taskId),
  };
  server.experimental.tasks.registerToolTask(name, { execution: { taskSupport: "optional" } }, handler);
}

tool("slow", async () => {
  await setTimeout(500);
  return text("slept");
});

tool("fail", async () => {
  throw new Error("as it is meant to");
});

tool("ask", async (taskId) => {
  await taskStore.updateTaskStatus(taskId, "input_required");
  const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
  const params = { message: "What is your name?", requestedSchema };
  const answer = await server.server.elicitInput(params, { relatedTask: { taskId } });
  await taskStore.updateTaskStatus(taskId, "working");
  return text(`Hello, ${answer.content.name}!`);
});

tool("hold", () => new Promise(() => {}));

server.registerTool("plain", {}, async () => text("at once"));

// Tasks are kept for a while, and the process with them.
process.stdin.on("end", () => process.exit());
await server.connect(new StdioServerTransport());
