import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Files of the package, which lies two folders above this file in source and build alike. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

export function packageVersion(): string {
  const content = JSON.parse(readFileSync(packageFile('package.json'), 'utf8')) as {
    version: string;
  };
  return content.version;
}

/** The program's own file: `main.ts` in the source, `main.js` in the build. */
export function programFile(): string {
  const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../main.${extension}`, import.meta.url));
}
