import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Each test file starts worker threads of its own.
    pool: 'forks',
    poolOptions: { forks: { maxForks: 2 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      exclude: [
        'src/shard/kernels/assembly/**',
        '**/*.d.ts',
        // These run in a browser, where nothing is counted.
        'src/console/{api,theme,use-answer,use-live}.ts',
      ],
      reporter: ['text', 'json-summary'],
      thresholds: { lines: 95 },
    },
  },
});
