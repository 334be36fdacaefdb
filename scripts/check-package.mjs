// Packs the project, installs it into empty projects and uses it there, under each Node whose version is an argument
// (`node scripts/check-package.mjs 20 22 24`), or under the one that runs this. test/package.test.ts does the same for one.
import { rmSync } from 'node:fs';
import { register } from 'tsx/esm/api';

register();
const { installInto, installNode, pack, runJavaScript, runServer, runTypeScript, serverPackages, temporaryDirectory } =
  await import('../test/support/installed-package.ts');

const versions = process.argv.slice(2);
const directory = temporaryDirectory();
try {
  const tarball = await pack(directory);
  const javaScript = await installInto(directory, 'javascript', [tarball]);
  const typeScript = await installInto(directory, 'typescript', [tarball]);
  const server = await installInto(directory, 'server', [tarball, ...serverPackages()]);
  for (const version of versions.length > 0 ? versions : [process.versions.node]) {
    try {
      const current = version === process.versions.node || version === process.versions.node.split('.')[0];
      const node = current ? process.execPath : await installNode(directory, version);
      const runs = {
        JavaScript: await runJavaScript(javaScript, node),
        TypeScript: await runTypeScript(typeScript, node),
        'the server': await runServer(server, node),
      };
      for (const [language, outcome] of Object.entries(runs)) {
        console.log(`Node ${outcome.node}, ${language}: works with the ${outcome.kernels} kernels`);
      }
    } catch (error) {
      console.error(`Node ${version}: ${error.message}`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
