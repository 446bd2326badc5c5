import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The bundle is served from this machine only: everything is inlined or beside it, nothing is fetched from elsewhere.
export default defineConfig({
  plugins: [react()],
  build: { outDir: "dist", assetsDir: "assets", chunkSizeWarningLimit: 1500, target: "es2022" },
});
