// What scripts/deploy holds, and an upgrade without a loss: scripts of their own,
// which need a network and a /dev for themselves.

import { spawnSync } from 'node:child_process';

import { check } from './peers.mjs';

for (const script of ['deploy.sh', 'upgrade.sh']) {
  const path = `${process.env.ADIT_INTEROP_SOURCE}/../../scripts/${script}`;
  const { status } = spawnSync(path, { stdio: 'inherit' });
  check(status === 0, `scripts/${script}`);
}
process.exit(0);
