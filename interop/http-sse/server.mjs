// A server by the official TypeScript package over HTTP+SSE, for `http_client`: server.mjs PORT.
import http from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';

function serve() {
  const server = new McpServer({ name: 'typescript', version: '1.0.0' });
  const text = (text) => ({ content: [{ type: 'text', text }] });
  server.registerTool('hello', { description: 'Greets' }, () => text('Hello.'));
  server.registerTool('steps', { description: 'Reports progress' }, async (extra) => {
    const progressToken = extra._meta?.progressToken;
    for (const progress of [1, 2, 3]) {
      const params = { progressToken, progress, total: 3 };
      if (progressToken !== undefined) {
        await extra.sendNotification({ method: 'notifications/progress', params });
      }
    }
    return text('Done.');
  });
  server.registerTool('ask', { description: 'Asks for a name' }, async () => {
    const properties = { name: { type: 'string' } };
    const requestedSchema = { type: 'object', properties, required: ['name'] };
    const answer = await server.server.elicitInput({ message: 'Your name?', requestedSchema });
    return text(`Hello, ${answer.content.name}.`);
  });
  return server;
}

const transports = new Map();
http
  .createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    if (request.method === 'GET' && url.pathname === '/sse') {
      const transport = new SSEServerTransport('/messages', response);
      transports.set(transport.sessionId, transport);
      response.on('close', () => transports.delete(transport.sessionId));
      return serve().connect(transport);
    }
    const transport = transports.get(url.searchParams.get('sessionId'));
    if (request.method === 'POST' && url.pathname === '/messages' && transport) {
      return transport.handlePostMessage(request, response);
    }
    response.writeHead(404).end();
  })
  .listen(Number(process.argv[2]), '127.0.0.1');
