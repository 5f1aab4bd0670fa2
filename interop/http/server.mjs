// A server by the official TypeScript packages, for `http_client`: server.mjs PORT.
import http from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, inputRequired, McpServer } from '@modelcontextprotocol/server';
import * as z from 'zod';

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'typescript', version: '1.0.0' });
  const text = (text) => ({ content: [{ type: 'text', text }] });
  server.registerTool('hello', { description: 'Greets' }, () => text('Hello.'));
  server.registerTool('steps', { description: 'Reports progress' }, async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [1, 2, 3]) {
      const params = { progressToken, progress, total: 3 };
      if (progressToken !== undefined) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params });
      }
    }
    return text('Done.');
  });
  server.registerTool('ask', { description: 'Asks for a name' }, (ctx) => {
    const answer = ctx.mcpReq.inputResponses?.name;
    if (answer) return text(`Hello, ${answer.content.name}.`);
    const requestedSchema = z.object({ name: z.string() });
    const name = inputRequired.elicit({ message: 'Your name?', requestedSchema });
    return inputRequired({ inputRequests: { name } });
  });
  return server;
});
http.createServer(toNodeHandler(handler)).listen(Number(process.argv[2]), '127.0.0.1');
