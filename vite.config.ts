// Bundles the console: src/console becomes dist/console, which the HTTP server serves under /console.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));
/** What is bundled, whose licences want their text to go with every copy. */
const BUNDLED = ['preact', 'uplot'];

const licences: Plugin = {
  name: 'licences',
  generateBundle() {
    const texts = BUNDLED.map((name) => {
      const text = readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8');
      return `${name}\n\n${text.trim()}\n`;
    });
    this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join('\n---\n\n') });
  },
};

export default defineConfig({
  root: join(root, 'src/console'),
  base: '/console/',
  cacheDir: join(root, '.cache/vite'),
  publicDir: false,
  plugins: [licences],
  build: {
    outDir: join(root, 'dist/console'),
    emptyOutDir: true,
    target: 'es2022',
    // No data: addresses, which the server's content security policy refuses.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
