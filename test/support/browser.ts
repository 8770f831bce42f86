import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { chromium, type Browser, type Page } from 'playwright-core';
import { findTool } from './tools.ts';

const flags = [
  // Chromium refuses its sandbox to root, and containers often lack what it needs.
  '--no-sandbox',
  '--ignore-certificate-errors',
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  '--disable-dev-shm-usage',
];

/**
 * Headless Chromium; it trusts every certificate. The test's end closes it.
 *
 * @param moreFlags e.g. `--disable-http2`
 */
export async function openBrowser(
  t: TestContext,
  moreFlags: readonly string[] = [],
): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: findTool('chromium') ?? 'chromium',
    args: [...flags, ...moreFlags],
  });
  t.after(() => browser.close());
  return browser;
}

/**
 * A page of headless Chromium in which `global` is the CommonJS package `name`. It stands on loopback,
 * so that the page may use microphones, and trusts every certificate.
 */
export async function openPage(t: TestContext, name: string, global: string): Promise<Page> {
  const script = bundle(name, global);
  const server = createServer((request, response) => {
    const isScript = request.url === '/script.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? script : '<!doctype html><script src="/script.js"></script>');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const page = await (await openBrowser(t)).newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return page;
}

/** All CommonJS modules that a package needs, in one script with a `require` of its own. */
function bundle(name: string, global: string): string {
  const modules = new Map<string, string>();
  const entry = add(modules, createRequire(import.meta.url).resolve(name));
  return `(() => {
const loaders = {${[...modules].map(([file, text]) => `${JSON.stringify(file)}: ${text}`).join(',\n')}};
const loaded = {};
function load(file) {
  if (!(file in loaded)) {
    const module = (loaded[file] = { exports: {} });
    loaders[file](module, module.exports, load);
  }
  return loaded[file].exports;
}
globalThis.process = { env: {} };
globalThis[${JSON.stringify(global)}] = load(${JSON.stringify(entry)});
})();`;
}

/** Adds a module and those that it needs; gives its name, which is its path. */
function add(modules: Map<string, string>, file: string): string {
  if (modules.has(file)) return file;
  modules.set(file, '');
  const text = readFileSync(file, 'utf8');
  if (file.endsWith('.json')) {
    modules.set(file, `(module) => { module.exports = ${text}; }`);
    return file;
  }
  const resolved = text.replaceAll(
    /\brequire\(['"]([^'"]+)['"]\)/g,
    (_, wanted: string) => `require(${JSON.stringify(add(modules, resolve(file, wanted)))})`,
  );
  modules.set(file, `(module, exports, require) => {\n${resolved}\n}`);
  return file;
}

/** As browsers' bundlers do: a package may name another entry for them, and Node's own modules give way. */
function resolve(from: string, wanted: string): string {
  const require = createRequire(from);
  if (wanted.startsWith('.')) return require.resolve(wanted);
  const manifest = require.resolve(`${wanted}/package.json`);
  const { browser, main } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<string, unknown>;
  const entry = typeof browser === 'string' ? browser : main;
  return require.resolve(join(dirname(manifest), typeof entry === 'string' ? entry : 'index.js'));
}
