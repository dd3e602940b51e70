import { defineConfig } from 'vite'

/** The page is served below any path (behind a proxy, under /node/…), so every address in it is relative. */
export default defineConfig({
  base: './',
  build: {
    outDir: '../dist/ui',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 600,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { proxy: { '/api': { target: 'http://127.0.0.1:7070', ws: true } } },
})
