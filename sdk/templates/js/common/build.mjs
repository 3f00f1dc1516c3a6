// Builds {{name}}.wasm: npm install && npm test && npm run build
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';

const { component } = await componentize({
  sourcePath: './plugin.js',
  witPath: './wit',
  worldName: '{{hook}}',
  // A plugin gets no WASI.
  disableFeatures: ['stdio', 'random', 'clocks', 'http', 'fetch-event'],
});
await writeFile('{{name}}.wasm', component);
console.log(`{{name}}.wasm: ${component.length} octets`);
