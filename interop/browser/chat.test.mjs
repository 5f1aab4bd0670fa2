// The chat's page in a real browser, against the chat itself. The program is in CHAT, the browser in CHROMIUM.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const program = process.env.CHAT;
const here = import.meta.dirname;
const axe = readFileSync(path.join(here, 'node_modules/axe-core/axe.min.js'), 'utf8');
const shots = path.join(here, 'screenshots');
const scratch = mkdtempSync(path.join(tmpdir(), 'chat-'));
let browser;
let server;

/** The chat, on a port of its own choice or that one; all its starts share what was said. */
async function start(listen = '127.0.0.1:0') {
    const child = spawn(program, ['--listen', listen, '--db', path.join(scratch, 'db')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(readline.createInterface(child.stdout), 'line');
    return { child, url: line, address: new URL(line).host };
}

async function stop({ child }, signal = 'SIGTERM') {
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

/** A page of its own, as if in another browser. */
async function open(options = {}, url = server.url) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(error));
    await page.goto(url);
    await page.waitForSelector('[data-state=open]');
    return page;
}

async function enter(page, name, room) {
    await page.fill('#name', name);
    await page.fill('#new-room', room);
    await page.press('#new-room', 'Enter');
    await page.waitForSelector('#room:not([hidden])');
}

async function say(page, text) {
    await page.fill('#text', text);
    await page.press('#text', 'Enter');
}

const messages = (page) => page.$$eval('#messages li', (items) => items.map((item) => `${item.dataset.id} ${item.querySelector('b').textContent}: ${item.querySelector('p').textContent}`));
const members = (page) => page.$$eval('#members li', (items) => items.map((item) => item.textContent));

/** Waits for something to become true of a page. */
async function until(page, what, ...args) {
    await page.waitForFunction(what, args, { timeout: 20_000 });
}
const shows = (page, count) => until(page, ([count]) => document.querySelectorAll('#messages li').length >= count, count);

/** Everything that axe-core has to say against the page as it is now. */
async function accessible(page, where) {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run());
    const said = violations.map((v) => `${v.id}: ${v.help} ${v.nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(said, [], where);
}

before(async () => {
    mkdirSync(shots, { recursive: true });
    server = await start();
    browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
});

after(async () => {
    await browser?.close();
    await stop(server);
    rmSync(scratch, { recursive: true });
});

test('two pages exchange messages, in one order', async () => {
    const [alice, bob] = [await open(), await open()];
    await enter(alice, 'alice', 'order');
    await enter(bob, 'bob', 'order');
    await until(alice, () => document.querySelectorAll('#members li').length === 2);
    assert.deepEqual(await members(alice), ['alice (you)', 'bob']);
    const speaks = async (page, name) => {
        for (let i = 0; i < 30; i++) await say(page, `${name} ${i}`);
    };
    await Promise.all([speaks(alice, 'alice'), speaks(bob, 'bob')]);
    await Promise.all([shows(alice, 60), shows(bob, 60)]);
    const [seen, other] = [await messages(alice), await messages(bob)];
    assert.deepEqual(seen, other);
    assert.deepEqual(seen.map((line) => parseInt(line, 10)), Array.from({ length: 60 }, (_, i) => i + 1));
    for (const name of ['alice', 'bob']) {
        const own = seen.filter((line) => line.includes(`${name}:`)).map((line) => line.split(': ')[1]);
        assert.deepEqual(own, Array.from({ length: 30 }, (_, i) => `${name} ${i}`), 'what one says stays in order');
    }
    await bob.context().close();
    await until(alice, () => document.querySelectorAll('#members li').length === 1);
    await alice.context().close();
});

test('a page that is killed comes back to where it was', async () => {
    const alice = await open();
    let bob = await open();
    await enter(alice, 'alice', 'killed');
    await enter(bob, 'bob', 'killed');
    for (let i = 0; i < 10; i++) await say(alice, `before ${i}`);
    await shows(bob, 10);
    const session = await bob.context().newCDPSession(bob);
    const crashed = bob.waitForEvent('crash');
    session.send('Page.crash').catch(() => {});
    await crashed;
    for (let i = 0; i < 10; i++) await say(alice, `while away ${i}`);
    await bob.context().close();
    bob = await open();
    await enter(bob, 'bob', 'killed');
    for (let i = 0; i < 10; i++) await say(alice, `after ${i}`);
    await Promise.all([shows(alice, 30), shows(bob, 30)]);
    assert.deepEqual(await messages(bob), await messages(alice));
    assert.equal((await messages(bob)).length, 30);
    // A page that is loaded again goes back to its room by itself.
    await bob.reload();
    await shows(bob, 30);
    assert.deepEqual(await messages(bob), await messages(alice));
    await Promise.all([alice.context().close(), bob.context().close()]);
});

test('nothing is lost or doubled when the server is killed while both speak', async () => {
    const [alice, bob] = [await open(), await open()];
    await enter(alice, 'alice', 'restart');
    await enter(bob, 'bob', 'restart');
    const speaks = async (page, name) => {
        for (let i = 0; i < 100; i++) await say(page, `${name} ${i}`);
    };
    const speaking = Promise.all([speaks(alice, 'alice'), speaks(bob, 'bob')]);
    await shows(alice, 40);
    for (const signal of ['SIGKILL', 'SIGTERM']) {
        await stop(server, signal);
        await alice.waitForSelector('[data-state=lost]');
        server = await start(server.address);
        await alice.waitForSelector('[data-state=open]');
    }
    await speaking;
    await Promise.all([shows(alice, 200), shows(bob, 200)]);
    const seen = await messages(alice);
    assert.deepEqual(seen, await messages(bob));
    assert.equal(seen.length, 200);
    assert.equal(new Set(seen.map((line) => line.replace(/^\d+ /, ''))).size, 200);
    // History survives a restart.
    const carol = await open();
    await enter(carol, 'carol', 'restart');
    await shows(carol, 100);
    assert.deepEqual(await messages(carol), seen.slice(100));
    await Promise.all([alice, bob, carol].map((page) => page.context().close()));
});

/** A proxy whose connections can be made to carry nothing any more, as if packets were dropped. */
async function proxy() {
    const pairs = [];
    const listener = net.createServer((client) => {
        const upstream = net.connect(new URL(server.url).port, '127.0.0.1');
        client.pipe(upstream).pipe(client);
        for (const socket of [client, upstream]) socket.on('error', () => {});
        pairs.push([client, upstream]);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    return {
        url: `http://127.0.0.1:${listener.address().port}/`,
        stall() {
            for (const [client, upstream] of pairs.splice(0)) {
                client.unpipe();
                upstream.unpipe();
                client.pause();
                upstream.pause();
            }
        },
        async close() {
            listener.close();
        },
    };
}

test('a page that wakes up on a dead connection makes another, and the dead one is given up in time', { timeout: 120_000 }, async () => {
    const between = await proxy();
    const [alice, bob, carol] = [await open(), await open({}, between.url), await open({}, between.url)];
    await enter(alice, 'alice', 'sleep');
    await enter(bob, 'bob', 'sleep');
    await enter(carol, 'carol', 'sleep');
    await until(alice, () => document.querySelectorAll('#members li').length === 3);
    const stalled = Date.now();
    between.stall();
    await say(alice, 'while bob sleeps');
    // Carol never wakes up.
    await carol.context().close();
    await bob.evaluate(() => dispatchEvent(new Event('online')));
    await shows(bob, 1);
    assert(Date.now() - stalled < 15_000, 'it notices within seconds');
    assert.match((await messages(bob))[0], /while bob sleeps/);
    // 20 s after it was last heard of, carol is asked; 20 s later she is given up.
    await alice.waitForFunction(() => !document.querySelector('#members').textContent.includes('carol'), null, { timeout: 60_000 });
    const took = Date.now() - stalled;
    assert(took > 15_000 && took < 50_000, `given up after ${took} ms`);
    await Promise.all([alice.context().close(), bob.context().close()]);
    await between.close();
});

test('the server samples through the page that asks', async () => {
    const [alice, bob] = [await open(), await open()];
    await enter(alice, 'alice', 'summary');
    await enter(bob, 'bob', 'summary');
    await say(alice, 'shall we meet?');
    await say(bob, 'at eight');
    await shows(alice, 2);
    await say(alice, '/summarise');
    await alice.waitForSelector('dialog[open]');
    assert.match(await alice.textContent('#question'), /alice: shall we meet\?\nbob: at eight/);
    assert.equal(await bob.$('dialog[open]'), null, 'only who asks is asked');
    await accessible(alice, 'the dialog');
    await alice.screenshot({ path: path.join(shots, 'dialog.png') });
    await alice.fill('#answer', 'They meet at eight.');
    await alice.click('dialog .primary');
    await until(alice, () => document.querySelector('#notice').textContent === 'Summary: They meet at eight.');
    await alice.click('#summarise');
    await alice.waitForSelector('dialog[open]');
    await alice.keyboard.press('Escape');
    await until(alice, () => document.querySelector('#notice').textContent.includes('Rejected'));
    await Promise.all([alice.context().close(), bob.context().close()]);
});

test('two who wait are put into a room of their own', async () => {
    const pages = [await open(), await open()];
    for (const [page, name] of [[pages[0], 'alice'], [pages[1], 'bob']]) {
        await page.fill('#name', name);
        await page.click('#match');
    }
    await Promise.all(pages.map((page) => page.waitForSelector('#room:not([hidden])')));
    const names = await Promise.all(pages.map((page) => page.textContent('#room-name')));
    assert.equal(names[0], names[1]);
    await say(pages[0], 'hello');
    await shows(pages[1], 1);
    await Promise.all(pages.map((page) => page.context().close()));
});

test('the terminal is in the same room, in the other era', async () => {
    const alice = await open();
    await enter(alice, 'alice', 'terminal');
    const url = `${server.url.replace('http', 'ws')}mcp`;
    const terminal = spawn(program, ['join', url, '--name', 'terry', '--room', 'terminal', '--model', 'cat >/dev/null; echo All is well.'], { stdio: ['pipe', 'pipe', 'pipe'] });
    const lines = { out: '', err: '' };
    terminal.stdout.on('data', (data) => (lines.out += data));
    terminal.stderr.on('data', (data) => (lines.err += data));
    const says = async (stream, text) => {
        for (let i = 0; i < 200 && !lines[stream].includes(text); i++) await new Promise((done) => setTimeout(done, 50));
        assert(lines[stream].includes(text), `${text} is not in ${JSON.stringify(lines)}`);
    };
    await says('err', 'in terminal with alice, terry');
    await say(alice, 'hello terry');
    await says('out', 'alice: hello terry');
    terminal.stdin.write('hello alice\n/summarise\n');
    await shows(alice, 2);
    await says('err', 'All is well.');
    // It comes back as a page does, and tells what it is told meanwhile.
    await stop(server, 'SIGKILL');
    terminal.stdin.write('still here\n');
    server = await start(server.address);
    await alice.waitForSelector('[data-state=open]');
    await shows(alice, 3);
    await says('err', 'open again');
    await say(alice, 'so am I');
    await says('out', 'alice: so am I');
    terminal.stdin.write('/quit\n');
    await once(terminal, 'exit');
    await until(alice, () => document.querySelectorAll('#members li').length === 1);
    await alice.context().close();
});

test('the server log comes to who asks', async () => {
    const page = await open();
    await page.click('nav summary');
    await page.check('#logging');
    await enter(page, 'alice', 'logged');
    await say(page, 'x');
    await until(page, () => document.querySelector('#log').textContent.includes('message 1'));
    await page.context().close();
});

test('it works by keyboard alone', async () => {
    const page = await open();
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    for (let i = 0; i < 10 && (await focused()) !== 'name'; i++) await page.keyboard.press('Tab');
    await page.keyboard.type('keys');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('keyboard');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#room:not([hidden])');
    await until(page, () => document.activeElement.id === 'text');
    await page.keyboard.type('typed');
    await page.keyboard.press('Enter');
    await shows(page, 1);
    for (let i = 0; i < 10 && (await focused()) !== 'leave'; i++) await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#welcome:not([hidden])');
    await page.context().close();
});

for (const [size, viewport] of Object.entries({ desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } })) {
    for (const colorScheme of ['light', 'dark']) {
        test(`it can be seen and heard by everybody: ${size}, ${colorScheme}`, async () => {
            const page = await open({ viewport, colorScheme });
            await accessible(page, 'who are you');
            await page.screenshot({ path: path.join(shots, `${size}-${colorScheme}-welcome.png`) });
            const room = `${size}-${colorScheme}`;
            const other = await open();
            await enter(page, 'Ada', room);
            await enter(other, 'Grace', room);
            const conversation = [
                [other, 'Has anybody tried the new transport?'],
                [page, 'Yes: it speaks MCP straight from the page, no SDK, about a hundred and fifty lines.'],
                [other, 'And when the connection is lost?'],
                [page, 'It comes back by itself. What was missed is fetched; what was not sent is sent, once.'],
                [other, 'A_very_long_word_that_has_no_place_to_break_'.repeat(4)],
            ];
            for (const [i, [who, text]] of conversation.entries()) {
                await say(who, text);
                await shows(page, i + 1);
            }
            await accessible(page, 'the room');
            const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
            assert(!wide, 'it does not scroll sideways');
            await page.screenshot({ path: path.join(shots, `${size}-${colorScheme}.png`) });
            await Promise.all([page.context().close(), other.context().close()]);
        });
    }
}
