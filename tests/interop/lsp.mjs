// A language client that speaks JSON-RPC over WebSocket, one JSON text a
// message, to a language server that speaks it over TCP with Content-Length
// heads (the base protocol of LSP).

import { once } from 'node:events';

import { createWebSocketConnection, toSocket } from 'vscode-ws-jsonrpc';
import WebSocket from 'ws';

import { check, freePort, serve, start, within, wrote } from './peers.mjs';

const SOURCE = 'def grüße(name: str) -> str:\n    """Says 世界."""\n    return name\n\ngrüße("a")\n';

const port = await freePort();
const pylsp = start(process.env.PYLSP, ['-v', '--tcp', '--host', '127.0.0.1', '--port', String(port)]);
await wrote(pylsp, /Serving PythonLSPServer on/);
const address = await serve(port, '--framing', 'content-length');

const socket = new WebSocket(`ws://${address}/`);
await within(15, 'an open socket', () => once(socket, 'open'));
const types = new Set();
socket.on('message', (_, isBinary) => types.add(isBinary ? 'binary' : 'text'));
const client = createWebSocketConnection(toSocket(socket), console);
client.onError(([error]) => Promise.reject(error));
client.listen();

const ask = (method, ...params) =>
  within(60, `an answer to ${method}`, () => client.sendRequest(method, ...params));

const { capabilities, serverInfo } = await ask('initialize', {
  processId: process.pid,
  rootUri: null,
  capabilities: { textDocument: { hover: { contentFormat: ['plaintext'] } } },
});
check(serverInfo.name === 'pylsp' && capabilities.hoverProvider, `${serverInfo.name} ${serverInfo.version} says what it can`);
await client.sendNotification('initialized', {});

const uri = 'file:///greeting.py';
await client.sendNotification('textDocument/didOpen', {
  textDocument: { uri, languageId: 'python', version: 1, text: SOURCE },
});
const at = { textDocument: { uri }, position: { line: 4, character: 2 } };
const hover = await ask('textDocument/hover', at);
check(JSON.stringify(hover).includes('Says 世界'), 'a hover shows the text that was opened');
const completion = await ask('textDocument/completion', at);
check(JSON.stringify(completion).includes('grüße'), 'a completion knows the name');

check((await ask('shutdown')) === null, 'the server shuts down');
check(types.size === 1 && types.has('text'), 'all messages are text');
await client.sendNotification('exit');
const [code] = await within(30, 'a close', () => once(socket, 'close'));
check(code === 1000, `the end of the server is a close with ${code}`);
process.exit(0);
