import { Client, Refused } from './mcp.js';

const $ = (id) => document.getElementById(id);
const client = new Client(`${location.origin.replace(/^http/, 'ws')}/mcp`, { name: 'chat-page', version: '1' }, { sampling: {} });

/** The rooms this page is in: each with its messages, by number, the last of them up to which none is missing, and who is here. */
const rooms = new Map();
let current;
let name = sessionStorage.getItem('name') ?? '';

/** Messages that are not known to have arrived, oldest first; the key makes sending one again harmless. */
const outbox = [];
let sending = false;
/** The rooms are joined over this connection, so that something can be said. */
let ready = false;
/** Counts what becomes of connections. */
let connection = 0;

client.addEventListener('state', ({ detail }) => {
    document.body.dataset.state = detail;
    $('state').textContent = { open: 'connected', connecting: 'connecting …', lost: 'connection lost, trying again …' }[detail];
    connection += 1;
    ready = false;
    if (detail === 'open') opened(connection);
});
client.addEventListener('chat.message_received', ({ detail }) => receive(detail));
client.addEventListener('chat.member_changed', ({ detail }) => {
    const room = rooms.get(detail.room);
    if (!room) return;
    room.members = detail.members;
    if (detail.room === current) showMembers();
});
// The server had to leave something out for this page: it is in the history.
client.addEventListener('io.mcp-stack/lagged', ({ detail }) => attempt(() => enter(detail.room)));
client.addEventListener('notifications/message', ({ detail }) => {
    const line = document.createElement('li');
    line.textContent = `${detail.level}: ${typeof detail.data === 'string' ? detail.data : JSON.stringify(detail.data)}`;
    $('log').append(line);
    while ($('log').childElementCount > 100) $('log').firstChild.remove();
});

/** A new connection knows nothing of the old one: all rooms are joined again, and what was missed is fetched. */
async function opened(mine) {
    if ($('logging').checked) setLogging();
    await Promise.all([...rooms.keys()].map((id) => attempt(() => enter(id))));
    if (mine !== connection) return;
    ready = true;
    flush();
    listRooms();
}

/** Joins a room, or again; what is new there comes back with the answer, whatever came meanwhile as notifications. */
async function enter(id) {
    const room = rooms.get(id) ?? { messages: new Map(), members: [], last: null };
    rooms.set(id, room);
    try {
        let more = true;
        while (more) {
            const since = room.last === null ? {} : { since: room.last };
            const joined = await client.call('join', { room: id, name, ...since });
            room.members = joined.members;
            room.last ??= (joined.messages[0]?.id ?? 1) - 1;
            joined.messages.forEach(receive);
            advance(room);
            more = joined.more;
        }
        if (id === current) showMembers();
    } catch (error) {
        if (error instanceof Refused) rooms.delete(id);
        throw error;
    }
}

function receive(message) {
    const room = rooms.get(message.room);
    if (!room || room.messages.has(message.id)) return;
    room.messages.set(message.id, message);
    if (message.room === current) showMessage(message);
    if (room.last === null) return;
    advance(room);
    // Numbers have no gaps: one means that something before is still to come, or was left out.
    if (message.id > room.last) setTimeout(() => message.id > room.last && attempt(() => enter(message.room)), 1000);
}

function advance(room) {
    while (room.messages.has(room.last + 1)) room.last += 1;
}

async function choose(id) {
    await enter(id);
    current = id;
    sessionStorage.setItem('room', id);
    $('welcome').hidden = true;
    $('room').hidden = $('people').hidden = false;
    $('room-name').textContent = id;
    $('messages').replaceChildren();
    const messages = [...rooms.get(id).messages.values()].sort((a, b) => a.id - b.id);
    messages.forEach(showMessage);
    showMembers();
    listRooms();
    $('text').focus();
}

function showMessage(message) {
    const [list, scroll] = [$('messages'), $('scroll')];
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    const item = document.createElement('li');
    item.dataset.id = message.id;
    if (message.by === name) item.className = 'mine';
    const by = document.createElement('b');
    by.textContent = message.by;
    const time = document.createElement('time');
    const at = new Date(message.at);
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const text = document.createElement('p');
    text.textContent = message.text;
    item.append(by, ' ', time, text);
    const later = [...list.children].find((other) => Number(other.dataset.id) > message.id);
    list.insertBefore(item, later ?? null);
    if (atEnd || message.by === name) scroll.scrollTop = scroll.scrollHeight;
}

function showMembers() {
    const members = rooms.get(current)?.members ?? [];
    $('members').replaceChildren(...members.map((member) => {
        const item = document.createElement('li');
        item.textContent = member === name ? `${member} (you)` : member;
        return item;
    }));
    $('member-count').textContent = members.length;
}

async function listRooms() {
    let known = [];
    try {
        const { contents } = await client.request('resources/read', { uri: 'chat://rooms' });
        known = JSON.parse(contents[0].text).rooms;
    } catch {
        // Those that this page is in are known anyway.
    }
    const names = new Set([...rooms.keys(), ...known.map((room) => room.room)]);
    $('rooms').replaceChildren(...[...names].sort().map((id) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = id;
        if (id === current) button.setAttribute('aria-current', 'true');
        button.onclick = () => named() && attempt(() => choose(id));
        const item = document.createElement('li');
        item.append(button);
        return item;
    }));
    $('rooms').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

/** Sends what waits, one after the other: the order in which it was written is the order in which it arrives. */
async function flush() {
    if (sending) return;
    sending = true;
    while (ready && outbox.length > 0) {
        try {
            await client.call('say', outbox[0]);
        } catch (error) {
            // Unless it was refused, it is sent again; if it has arrived already, nothing happens.
            if (!(error instanceof Refused)) {
                await new Promise((done) => setTimeout(done, 200));
                continue;
            }
            tell(error.message);
        }
        outbox.shift();
        pending();
    }
    sending = false;
}

function pending() {
    $('pending').textContent = outbox.length === 0 ? '' : `${outbox.length} on the way`;
}

function tell(text) {
    $('notice').textContent = text;
    clearTimeout(tell.timer);
    tell.timer = setTimeout(() => ($('notice').textContent = ''), 8000);
}

async function attempt(action) {
    try {
        await action();
    } catch (error) {
        tell(error.message);
    }
}

function setLogging() {
    const level = $('logging').checked ? 'debug' : 'emergency';
    client.request('logging/setLevel', { level }).catch(() => {});
}

/** Whether there is a name; who has none is asked. */
function named() {
    if (!$('name').reportValidity()) return false;
    name = $('name').value.trim();
    sessionStorage.setItem('name', name);
    return true;
}

$('enter').onsubmit = (event) => {
    event.preventDefault();
    if (named()) attempt(() => choose($('new-room').value.trim()));
};
$('match').onclick = () => {
    if (!named()) return;
    attempt(async () => {
        $('match').disabled = true;
        tell('Waiting for somebody …');
        try {
            const { room } = await client.call('match', { name }, 600_000);
            tell('');
            await choose(room);
        } finally {
            $('match').disabled = false;
        }
    });
};
$('say').onsubmit = (event) => {
    event.preventDefault();
    const text = $('text').value.trim();
    if (!text) return;
    $('text').value = '';
    if (text === '/summarise') return summarise();
    outbox.push({ room: current, text, key: crypto.randomUUID() });
    pending();
    flush();
};
$('leave').onclick = () => attempt(async () => {
    await client.call('leave', { room: current });
    rooms.delete(current);
    current = undefined;
    sessionStorage.removeItem('room');
    $('room').hidden = $('people').hidden = true;
    $('welcome').hidden = false;
    listRooms();
    $('new-room').focus();
});
$('logging').onchange = setLogging;
$('summarise').onclick = summarise;

function summarise() {
    attempt(async () => {
        const { summary } = await client.call('summarise', { room: current }, 600_000);
        tell(`Summary: ${summary}`);
    });
}

/** The server samples through this page, whose model is the person in front of it. */
client.handlers['sampling/createMessage'] = ({ messages }) => new Promise((resolve, reject) => {
    const [{ content }] = messages;
    $('question').textContent = (Array.isArray(content) ? content[0] : content).text;
    $('answer').value = '';
    const dialog = $('sampling');
    dialog.returnValue = '';
    dialog.onclose = () => {
        const text = $('answer').value.trim();
        if (dialog.returnValue !== 'send' || !text) return reject(new Error('Rejected by the user'));
        resolve({ role: 'assistant', model: 'a-person', stopReason: 'endTurn', content: { type: 'text', text } });
    };
    dialog.showModal();
});

$('name').value = name;
// A page that was reloaded goes back to where it was.
const room = sessionStorage.getItem('room');
if (name && room) client.addEventListener('state', function back({ detail }) {
    if (detail !== 'open') return;
    client.removeEventListener('state', back);
    attempt(() => choose(room));
});
