import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'

// A gateway to develop against: `pointsman serve --demo --listen 127.0.0.1:4000`.
const gateway = process.env['POINTSMAN_GATEWAY'] ?? 'http://127.0.0.1:4000'
const served = ['/admin', '/v1', '/api', '/health', '/openapi.json']

export default defineConfig({
  base: '/console/',
  plugins: [vue()],
  build: {
    outDir: process.env['CONSOLE_OUT'] ?? '../src/pointsman_console/static',
    emptyOutDir: true,
    // Stable names and no source maps: what is built is committed, and compared byte by byte.
    sourcemap: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: '[name][extname]',
      },
    },
  },
  server: { proxy: Object.fromEntries(served.map((path) => [path, { target: gateway, changeOrigin: true }])) },
})
