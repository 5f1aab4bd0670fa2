// A client of the Model Context Protocol over WebSocket: requests, answers, notifications, and coming back.

const VERSION = '2025-11-25';
/** How long the server may take to answer a request, in milliseconds. */
const TIMEOUT = 60_000;
/** How long it may take to show that it is there, after the page has slept. */
const AWAKE = 5_000;

export class Client extends EventTarget {
    #url;
    #socket;
    #waiting = new Map();
    #next = 1;
    #attempts = 0;
    #timer;
    /** Answers to the server's requests, by method. */
    handlers = { ping: () => ({}) };

    constructor(url, info, capabilities) {
        super();
        this.#url = url;
        this.opening = { protocolVersion: VERSION, clientInfo: info, capabilities };
        // After a sleep, or without a network for a while, the socket may be dead without knowing.
        for (const event of ['online', 'pageshow']) addEventListener(event, () => this.#wake());
        document.addEventListener('visibilitychange', () => document.hidden || this.#wake());
        this.#connect();
    }

    /** Asks the server; rejects if it refuses, takes too long, or the connection is lost. */
    request(method, params = {}, timeout = TIMEOUT) {
        return new Promise((resolve, reject) => {
            if (this.#socket?.readyState !== WebSocket.OPEN) return reject(new Lost());
            const id = this.#next++;
            const timer = setTimeout(() => {
                this.#waiting.delete(id);
                this.notify('notifications/cancelled', { requestId: id, reason: 'timed out' });
                reject(new Error('The server takes too long.'));
            }, timeout);
            this.#waiting.set(id, { resolve, reject, timer });
            this.#send({ id, method, params });
        });
    }

    /** Calls a tool, and returns what it says; an error of the tool's is thrown. */
    async call(name, args, timeout) {
        const result = await this.request('tools/call', { name, arguments: args }, timeout);
        const text = result.content.map((part) => part.text ?? '').join('\n');
        if (result.isError) throw new Refused(text);
        return result.structuredContent ?? text;
    }

    notify(method, params = {}) {
        this.#send({ method, params });
    }

    #send(message) {
        if (this.#socket?.readyState === WebSocket.OPEN) {
            this.#socket.send(JSON.stringify({ jsonrpc: '2.0', ...message }));
        }
    }

    #tell(type, detail) {
        this.dispatchEvent(new CustomEvent(type, { detail }));
    }

    #connect() {
        clearTimeout(this.#timer);
        this.#tell('state', 'connecting');
        const socket = new WebSocket(this.#url, 'mcp');
        this.#socket = socket;
        socket.onmessage = ({ data }) => socket === this.#socket && this.#read(data);
        socket.onopen = async () => {
            try {
                this.server = await this.request('initialize', this.opening);
                this.notify('notifications/initialized');
                this.#attempts = 0;
                this.#tell('state', 'open');
            } catch {
                socket.close();
            }
        };
        socket.onclose = () => socket === this.#socket && this.#lost();
    }

    #lost() {
        this.#socket = undefined;
        for (const { reject, timer } of this.#waiting.values()) {
            clearTimeout(timer);
            reject(new Lost());
        }
        this.#waiting.clear();
        this.#tell('state', 'lost');
        // Twice as long each time, and not everybody at once.
        const wait = Math.min(250 * 2 ** this.#attempts++, 15_000) * (0.5 + Math.random() / 2);
        this.#timer = setTimeout(() => this.#connect(), wait);
    }

    async #wake() {
        const socket = this.#socket;
        if (!socket) return this.#connect();
        if (socket.readyState !== WebSocket.OPEN) return;
        try {
            await this.request('ping', {}, AWAKE);
        } catch {
            if (socket !== this.#socket) return;
            // A dead socket takes long to close: it is left to itself.
            socket.close();
            this.#lost();
        }
    }

    async #read(data) {
        const message = JSON.parse(data);
        if (message.method === undefined) {
            const waiting = this.#waiting.get(message.id);
            if (!waiting) return;
            this.#waiting.delete(message.id);
            clearTimeout(waiting.timer);
            if (message.error) waiting.reject(new Refused(message.error.message));
            else waiting.resolve(message.result);
        } else if (message.id === undefined) {
            this.#tell(message.method, message.params ?? {});
        } else {
            const handler = this.handlers[message.method];
            const { id } = message;
            if (!handler) {
                return this.#send({ id, error: { code: -32601, message: 'method not found' } });
            }
            try {
                this.#send({ id, result: await handler(message.params ?? {}) });
            } catch (error) {
                this.#send({ id, error: { code: -1, message: error.message } });
            }
        }
    }
}

/** The server has said no, and would say so again. */
export class Refused extends Error {}

/** The connection is gone; what was asked may or may not have happened. */
export class Lost extends Error {
    constructor() {
        super('The connection is lost.');
    }
}
