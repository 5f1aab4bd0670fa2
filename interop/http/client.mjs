// The official TypeScript client against the example `everything`: client.mjs URL auto|legacy.
import assert from 'node:assert/strict';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const [url, mode] = process.argv.slice(2);
const client = new Client(
  { name: 'typescript', version: '1.0.0' },
  { capabilities: { sampling: {}, elicitation: {} }, versionNegotiation: { mode } },
);
client.setRequestHandler('sampling/createMessage', () => ({
  role: 'assistant',
  model: 'm',
  content: { type: 'text', text: 'Paris' },
}));
client.setRequestHandler('elicitation/create', () => ({
  action: 'accept',
  content: { username: 'ada', email: 'a@b.example' },
}));
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const version = client.getNegotiatedProtocolVersion?.() ?? '?';
assert.equal(version === '2026-07-28', mode === 'auto');

const call = async (name, args = {}, options = {}) => {
  const result = await client.callTool({ name, arguments: args }, options);
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
if (mode === 'auto') {
  // Its value stands in a header, too, and is none that can stand there as it is.
  assert.equal(await call('test_custom_header', { value: ' Köln' }), ' Köln');
} else {
  // Hung up in the middle, and taken up again.
  assert.match(await call('test_reconnection'), /completed/);
}
const read = await client.readResource({ uri: 'test://static-text' });
assert.match(read.contents[0].text, /^This is the content/);
const prompt = await client.getPrompt({
  name: 'test_prompt_with_arguments',
  arguments: { arg1: 'a', arg2: 'b' },
});
assert.match(prompt.messages[0].content.text, /arg1='a'/);
await client.close();
console.log(`typescript client, ${version}: as it should be`);
