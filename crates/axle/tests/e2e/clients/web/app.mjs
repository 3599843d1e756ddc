// The web client as a site on loopback, and the browser that shows it.

import { copyFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { build, preview } from "vite";
import { chromium } from "playwright-core";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Builds the client for one homeserver and serves it; its address, and what ends it. */
export async function serve(folder, homeserver) {
    const outDir = join(folder, "site");
    const options = { root: HERE, configFile: false, base: "./", logLevel: "error" };
    await build({ ...options, build: { outDir, target: "esnext", chunkSizeWarningLimit: Infinity } });
    await copyFile(join(HERE, "node_modules/hydrogen-view-sdk/lib-build/sw.js"), join(outDir, "sw.js"));
    await writeFile(join(outDir, "config.json"), JSON.stringify({ defaultHomeServer: homeserver }));
    // Any free port: tests run side by side.
    const server = await preview({ ...options, build: { outDir }, preview: { host: "127.0.0.1", port: 0 } });
    const { port } = server.httpServer.address();
    return { url: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

export async function startBrowser(executablePath) {
    // Chromium refuses to be sandboxed for root.
    return chromium.launch({ executablePath, headless: true, chromiumSandbox: process.getuid() !== 0 });
}

/**
 * Everything that goes wrong in the pages: answers with errors, requests without an answer, complaints on the console,
 * exceptions.
 */
export class Trouble {
    #seen = [];

    /** `refused` has the answers with errors that are as they should be, `stumbles` the client's own exceptions. */
    constructor(refused, stumbles) {
        this.refused = refused;
        this.stumbles = stumbles;
    }

    watch(context, name) {
        const note = (what) => this.#seen.push(Promise.resolve(what).then((text) => `${name}: ${text}`));
        // What the service worker fetches for a page is told of the page, too.
        const isPages = (request) => !request.serviceWorker();
        context.on("response", (response) => {
            const request = response.request();
            if (response.status() < 400 || !isPages(request) || this.#isRefused(response)) return;
            const body = response.text().catch((error) => error.message);
            note(body.then((text) => `${describe(request)}: ${response.status()} ${text.slice(0, 500)}`));
        });
        context.on("requestfailed", (request) => {
            const { errorText } = request.failure();
            // The client itself gives up a sync that waits.
            if (errorText !== "net::ERR_ABORTED" && isPages(request)) note(`${describe(request)}: ${errorText}`);
        });
        context.on("console", (message) => {
            // The browser says the same of every answer with an error, which is told above with more.
            const isAnswer = message.text().startsWith("Failed to load resource: the server responded with");
            if (message.type() === "error" && !isAnswer) note(`console: ${message.text()}`);
        });
        context.on("weberror", (error) => {
            const { stack } = error.error();
            if (!this.stumbles.some((one) => one.test(stack))) note(`exception: ${stack}`);
        });
    }

    async seen() {
        return Promise.all(this.#seen);
    }

    #isRefused(response) {
        const [status, request] = [response.status(), describe(response.request())];
        return this.refused.some((one) => one.status === status && one.request.test(request));
    }
}

function describe(request) {
    return `${request.method()} ${new URL(request.url()).pathname}`;
}
