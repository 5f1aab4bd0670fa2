// The official TypeScript client over HTTP+SSE against the example `everything`: client.mjs URL.
import assert from 'node:assert/strict';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { CreateMessageRequestSchema, ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const capabilities = { sampling: {}, elicitation: {} };
const client = new Client({ name: 'typescript', version: '1.0.0' }, { capabilities });
client.setRequestHandler(CreateMessageRequestSchema, () => ({
  role: 'assistant',
  model: 'm',
  content: { type: 'text', text: 'Paris' },
}));
client.setRequestHandler(ElicitRequestSchema, () => ({
  action: 'accept',
  content: { username: 'ada', email: 'a@b.example' },
}));
await client.connect(new SSEClientTransport(new URL(process.argv[2])));

const call = async (name, args = {}, options = {}) => {
  const result = await client.callTool({ name, arguments: args }, undefined, options);
  return result.content[0].text;
};
const { tools } = await client.listTools();
assert.equal(tools[0].name, 'test_simple_text');
assert.match(await call('test_simple_text'), /^This is a simple text/);
const steps = [];
await call('test_tool_with_progress', {}, { onprogress: (update) => steps.push(update.progress) });
assert.deepEqual(steps, [0, 50, 100]);
assert.equal(await call('test_sampling', { prompt: 'The capital?' }), 'LLM response: Paris');
assert.match(await call('test_elicitation', { message: 'Who?' }), /action=accept/);
const texts = await Promise.all(Array.from({ length: 10 }, () => call('test_simple_text')));
assert.equal(new Set(texts).size, 1);
await client.close();
console.log('typescript client: as it should be');
