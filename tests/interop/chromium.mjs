// A browser without a window, a profile of its own, and no traffic of its own.

import { chromium } from 'playwright-core';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts Chromium with a fresh profile in the working directory. */
export function browse(options = {}) {
  return chromium.launchPersistentContext('profile', {
    executablePath: '/usr/bin/chromium',
    args: FLAGS,
    ...options,
  });
}

/** Ends the part when the page complains. */
export function listenFor(page) {
  page.on('pageerror', (error) => Promise.reject(error));
  page.on('console', (message) => {
    if (message.type() === 'error') Promise.reject(new Error(`console: ${message.text()}`));
  });
}
