// A server of the second TypeScript SDK for our client to try; it speaks both eras. (`server-everything` speaks the legacy one.)

import { McpServer, inputRequired, inputResponse } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import * as z from "zod/v4";

const text = (text) => ({ content: [{ type: "text", text }] });

function everything() {
  const server = new McpServer(
    { name: "typescript-everything", version: "1.0.0" },
    {
      capabilities: {
        logging: {},
        tools: { listChanged: true },
        resources: { subscribe: true },
      },
    },
  );

  const steps = z.object({ steps: z.number() });
  server.registerTool("work", { inputSchema: steps }, async ({ steps }, ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (let progress = 1; progress <= steps; progress++) {
      const message = `step ${progress}`;
      await ctx.mcpReq.log("info", message);
      const params = { progressToken, progress, total: steps, message };
      if (progressToken !== undefined) await ctx.mcpReq.notify({ method: "notifications/progress", params });
    }
    return text(`${steps} steps`);
  });

  // Asks twice: for two things at once, then, with a state, for a third.
  server.registerTool("ask", {}, async (ctx) => {
    const { inputResponses, requestState } = ctx.mcpReq;
    const name = inputResponse(inputResponses, "name");
    const capital = inputResponse(inputResponses, "capital");
    const roots = inputResponse(inputResponses, "roots");
    if (name.kind === "elicit" && capital.kind === "sampling") {
      const state = `${name.content.name} of ${capital.result.content.text}`;
      const inputRequests = { roots: inputRequired.listRoots() };
      return inputRequired({ inputRequests, requestState: state });
    }
    if (roots.kind === "roots") {
      return text(`${requestState()} in ${roots.roots.map((root) => root.uri)}`);
    }
    const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
    const messages = [{ role: "user", content: { type: "text", text: "The capital?" } }];
    return inputRequired({
      inputRequests: {
        name: inputRequired.elicit({ message: "Your name?", requestedSchema }),
        capital: inputRequired.createMessage({ messages, maxTokens: 100 }),
      },
    });
  });

  server.registerTool("touch", {}, async () => {
    await server.server.sendResourceUpdated({ uri: "note://static" });
    return text("touched");
  });

  server.registerTool("grow", {}, async () => {
    server.registerTool("grown", {}, async () => text("grown"));
    return text("grew");
  });

  server.registerResource("note", "note://static", {}, async () => ({
    contents: [{ uri: "note://static", text: "A static note." }],
  }));
  return server;
}

serveStdio(everything);
