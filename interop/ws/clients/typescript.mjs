// The TypeScript SDK's last WebSocket client against our server, whose URL is the argument.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import {
    CreateMessageRequestSchema, ElicitRequestSchema, LoggingMessageNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

globalThis.WebSocket ??= WebSocket;
const url = new URL(process.argv[2]);

async function connect() {
    const client = new Client(
        { name: 'typescript', version: '1' },
        { capabilities: { sampling: {}, elicitation: {} } },
    );
    const logs = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, (log) => logs.push(log.params.data));
    client.setRequestHandler(CreateMessageRequestSchema, (request) => ({
        model: 'none', role: 'assistant',
        content: { type: 'text', text: `heard ${request.params.messages[0].content.text}` },
    }));
    client.setRequestHandler(ElicitRequestSchema, () => ({
        action: 'accept', content: { username: 'me', email: 'me@example.com' },
    }));
    const transport = new WebSocketClientTransport(url);
    await client.connect(transport);
    assert.equal(transport._socket.protocol, 'mcp');
    return { client, logs };
}

const text = (result) => result.content[0].text;
const { client, logs } = await connect();
assert.equal(client.getServerVersion().name, 'everything');
const { tools } = await client.listTools();
assert(tools.length > 20);

await client.setLoggingLevel('info');
await client.callTool({ name: 'test_tool_with_logging', arguments: {} });
assert.equal(logs.length, 3);

const progress = [];
await client.callTool({ name: 'test_tool_with_progress', arguments: {} }, undefined, {
    onprogress: (update) => progress.push(update.progress),
});
assert.deepEqual(progress, [0, 50, 100]);

const sampled = await client.callTool({ name: 'test_sampling', arguments: { prompt: 'a question' } });
assert.equal(text(sampled), 'LLM response: heard a question');
const told = await client.callTool({ name: 'test_elicitation', arguments: { message: 'who?' } });
assert.match(text(told), /accept/);
const failed = await client.callTool({ name: 'test_error_handling', arguments: {} });
assert.equal(failed.isError, true);
await assert.rejects(client.callTool({ name: 'none', arguments: {} }), /none/);
assert((await client.listResources()).resources.length > 0);
assert((await client.listPrompts()).prompts.length > 0);

// Many at once, each with a question back, on one connection and on several.
const others = await Promise.all(Array.from({ length: 10 }, connect));
const asked = [client, ...others.map((other) => other.client)].flatMap((c, i) =>
    Array.from({ length: 20 }, async (_, j) => {
        const prompt = `${i}.${j}`;
        const answer = await c.callTool({ name: 'test_sampling', arguments: { prompt } });
        assert.equal(text(answer), `LLM response: heard ${prompt}`);
    }));
await Promise.all(asked);

// A long message, which takes the long form of a frame's length, both ways.
const long = 'é'.repeat(100_000);
const back = await client.callTool({ name: 'test_sampling', arguments: { prompt: long } });
assert.equal(text(back), `LLM response: heard ${long}`);

await Promise.all([client.close(), ...others.map((other) => other.client.close())]);
console.log('typescript client: ok');
