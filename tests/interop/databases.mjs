// redis-cli and psql, each over a listening `adit connect` and `adit serve`.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';

import { check, freePort, listen, serve, start, wrote } from './peers.mjs';

const redisPort = await freePort();
const redis = start('redis-server', ['--port', `${redisPort}`, '--bind', '127.0.0.1', '--save', '']);
await wrote(redis, /Ready to accept connections/);
const near = await listen(`ws://${await serve(redisPort)}/`);
const cli = (...words) => run('redis-cli', ['-h', '127.0.0.1', '-p', near, ...words]);
check(cli('SET', 'key', 'value') === 'OK', 'redis-cli sets a key');
check(cli('GET', 'key') === 'value', 'and gets it');
const large = 'x'.repeat(8 << 20);
check(run('redis-cli', ['-h', '127.0.0.1', '-p', near, '-x', 'SET', 'large'], large) === 'OK', 'a value of 8 MiB goes in');
check(cli('GET', 'large') === large, 'and comes out');

// PostgreSQL does not run as root.
const asPostgres = os.userInfo().uid === 0 ? ['runuser', '-u', 'postgres', '--'] : [];
const bin = execFileSync('sh', ['-c', 'ls -d /usr/lib/postgresql/*/bin | tail -n 1']).toString().trim();
const data = fs.mkdtempSync('/tmp/adit-postgres-');
process.on('exit', () => fs.rmSync(data, { recursive: true, force: true }));
if (asPostgres.length > 0) execFileSync('chown', ['postgres', data]);
const [command, ...rest] = [...asPostgres, `${bin}/initdb`, '-D', `${data}/db`, '-U', 'postgres', '-A', 'trust', '--no-sync'];
execFileSync(command, rest, { cwd: '/' });
const [program, ...args] = [...asPostgres, `${bin}/postgres`, '-D', `${data}/db`, '-c', 'listen_addresses=', '-c', `unix_socket_directories=${data}`, '-c', 'fsync=off'];
const postgres = start(program, args, { cwd: '/' });
await wrote(postgres, /ready to accept connections/);
const local = await listen(`ws://${await serve(`unix:${data}/.s.PGSQL.5432`)}/`);
const psql = (query) => run('psql', ['-h', '127.0.0.1', '-p', local, '-U', 'postgres', '-At', '-c', query]);
check(psql('select 6 * 7') === '42', 'psql gets an answer');
check(psql("select repeat('x', 1000000) from generate_series(1, 20)").length === 20_000_019, 'and 20 MB of rows');
run('psql', ['-h', '127.0.0.1', '-p', local, '-U', 'postgres', '-c', 'create table t (line text)', '-c', '\\copy t from stdin'], 'line\n'.repeat(500_000));
check(psql('select count(*) from t') === '500000', 'and sends 500000 rows');
process.exit(0);

/** What a program prints. */
function run(name, words, input = '') {
  return execFileSync(name, words, { input, maxBuffer: 64 << 20, timeout: 60_000 }).toString().trimEnd();
}
