// MQTT.js over WebSocket to a Mosquitto that only listens on TCP, and a second
// client straight to it: what one publishes, the other receives.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';

import mqtt from 'mqtt';

import { check, freePort, serve, start, within, wrote } from './peers.mjs';

const broker = await freePort();
// MQTT.js publishes without regard for how many publications may be under way.
fs.writeFileSync('mosquitto.conf', `
listener ${broker} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
`);
const mosquitto = start('mosquitto', ['-v', '-c', 'mosquitto.conf'], {
  env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
});
await wrote(mosquitto, /mosquitto version \S+ running/);
const address = await serve(broker, '--subprotocol', 'mqtt', '--frame-type', 'binary');

const options = { protocolVersion: 5, reconnectPeriod: 0, connectTimeout: 15_000 };
const clients = {
  tunnelled: mqtt.connect(`ws://${address}/`, options),
  direct: mqtt.connect(`mqtt://127.0.0.1:${broker}`, options),
};
for (const client of Object.values(clients)) {
  client.on('error', (error) => Promise.reject(error));
  client.on('close', () => client.disconnecting || Promise.reject(new Error('a connection is lost')));
}

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const payloads = [
  Buffer.from('hello'),
  Buffer.alloc(0),
  randomBytes(200_000),
  ...Array.from({ length: 100 }, (_, n) => randomBytes(n * 37)),
];

/** Publishes all payloads at once with QoS 2; they arrive once each and in order. */
async function carry(from, to) {
  const topic = `adit/${from}`;
  const granted = await clients[to].subscribeAsync(topic, { qos: 2 });
  check(granted[0].qos === 2, `${to} is granted QoS 2 for ${topic}`);
  const arrived = [];
  clients[to].on('message', (name, payload, packet) => {
    if (name === topic) arrived.push({ qos: packet.qos, hash: sha256(payload) });
  });
  await Promise.all(payloads.map((payload) => clients[from].publishAsync(topic, payload, { qos: 2 })));
  while (arrived.length < payloads.length) await once(clients[to], 'message');
  const sent = payloads.map((payload) => ({ qos: 2, hash: sha256(payload) }));
  check(JSON.stringify(arrived) === JSON.stringify(sent), `${arrived.length} messages from ${from} to ${to}`);
}

await within(30, 'both clients connected', () =>
  Promise.all(Object.values(clients).map((client) => client.connected || once(client, 'connect'))),
);
await within(60, 'messages to TCP', () => carry('tunnelled', 'direct'));
await within(60, 'messages from TCP', () => carry('direct', 'tunnelled'));
await within(30, 'the end', () => Promise.all(Object.values(clients).map((client) => client.endAsync())));
await wrote(mosquitto, /Client \S+ disconnected[^\n]*\n[^]*Client \S+ disconnected/);
check(true, 'the broker sees both disconnect');
process.exit(0);
