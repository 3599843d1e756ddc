// One person logs in by OAuth 2.0 with matrix-js-sdk, of a version that wants ID tokens (OpenID Connect), as Element does it.
//
// Usage: node oauth.mjs SCRATCH_FOLDER URL
// Prints a line for each step; ends with status 1 at the first thing that is not as it should be.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";

const PASSWORD = "a long enough password";
// Where the client is, as it says. Nobody goes there.
const ORIGIN = "https://element.example.com";

logger.setLevel("error");

function check(holds, what) {
    if (!holds) throw new Error(`failed: ${what}`);
}

function step(text) {
    console.log(text);
}

/** What a browser keeps for a page. */
function storage() {
    const items = new Map();
    return {
        get length() {
            return items.size;
        },
        key: (index) => [...items.keys()][index] ?? null,
        getItem: (key) => items.get(key) ?? null,
        setItem: (key, value) => items.set(key, value),
        removeItem: (key) => items.delete(key),
    };
}

/** The value of a hidden field in a page. */
function field(html, name) {
    const value = new RegExp(`name="${name}" value="([^"]*)"`).exec(html)?.[1];
    check(value, `the page has no field ${name}: ${html}`);
    return value.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
}

/** What the user does on the server's page; where the browser is sent then. */
async function allow(address, username) {
    const page = await fetch(address);
    const html = await page.text();
    check(page.ok, `the page is not shown: ${html}`);
    const cookie = page.headers.getSetCookie().map((cookie) => cookie.split(";")[0]).join("; ");
    const form = { username, password: PASSWORD, answer: "allow" };
    for (const name of ["secret", "request"]) form[name] = field(html, name);
    const body = new URLSearchParams(form);
    const action = new URL("/oauth2/authorize", address);
    const answer = await fetch(action, { method: "POST", headers: { cookie }, body, redirect: "manual" });
    check(answer.status === 303, `the form is answered ${answer.status}: ${await answer.text()}`);
    return new URL(answer.headers.get("location"));
}

/** Checks a signature, which the library leaves to others. */
async function checkSignature(token, keys) {
    const [header, claims, signature] = token.split(".");
    const { alg, kid } = JSON.parse(Buffer.from(header, "base64url"));
    const key = keys.find((key) => key.kid === kid);
    check(alg === "RS256" && key?.alg === alg, `signed by ${alg} with ${kid}, not with one of ${JSON.stringify(keys)}`);
    const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    const imported = await crypto.subtle.importKey("jwk", key, algorithm, false, ["verify"]);
    const signed = Buffer.from(`${header}.${claims}`);
    check(await crypto.subtle.verify(algorithm, imported, Buffer.from(signature, "base64url"), signed), "bad signature");
}

async function whoami(url, accessToken) {
    return sdk.createClient({ baseUrl: url, accessToken }).whoami();
}

async function main(url) {
    // What the library uses of a browser.
    globalThis.localStorage = storage();
    globalThis.window = { location: new URL(ORIGIN), sessionStorage: storage() };
    const anyone = sdk.createClient({ baseUrl: url });
    await anyone.registerRequest({ username: "alice", password: PASSWORD, auth: { type: "m.login.dummy" } });

    const config = await anyone.getAuthMetadata();
    check(config.signingKeys.length === 1, `keys: ${JSON.stringify(config.signingKeys)}`);
    const { issuer } = await anyone.getAuthIssuer();
    const older = await sdk.discoverAndValidateOIDCIssuerWellKnown(issuer);
    check(JSON.stringify(older) === JSON.stringify(config), `told otherwise: ${JSON.stringify(older)}`);
    step("the server's metadata and keys, in both ways");

    const redirectUri = `${ORIGIN}/?no_universal_links=true`;
    const clientId = await sdk.registerOidcClient(config, {
        clientName: "Element",
        clientUri: ORIGIN,
        logoUri: `${ORIGIN}/vector-icons/1024.png`,
        applicationType: "web",
        redirectUris: [redirectUri],
        contacts: ["admin@example.com"],
    });
    const nonce = "a nonce/+&=";
    const address = await sdk.generateOidcAuthorizationUrl({
        metadata: config,
        clientId,
        redirectUri,
        homeserverUrl: url,
        nonce,
    });
    const back = await allow(address, "alice");
    check(back.href.startsWith(`${redirectUri}&`), `sent to ${back}`);
    step("registered, and allowed by its user");

    const [code, state] = ["code", "state"].map((name) => back.searchParams.get(name));
    const { oidcClientSettings, tokenResponse, idTokenClaims } = await sdk.completeAuthorizationCodeGrant(code, state);
    check(oidcClientSettings.issuer === issuer && oidcClientSettings.clientId === clientId, "another client or issuer");
    check(idTokenClaims.sub === "@alice:hub.test", `the claims: ${JSON.stringify(idTokenClaims)}`);
    await checkSignature(tokenResponse.id_token, config.signingKeys);
    const { user_id: user, device_id: device } = await whoami(url, tokenResponse.access_token);
    check(user === idTokenClaims.sub, `the tokens are of ${user}`);
    check(tokenResponse.scope.split(" ").includes("openid"), `the scope: ${tokenResponse.scope}`);
    step("the code exchanged for tokens and an ID token");

    const refresher = new sdk.OidcTokenRefresher(issuer, clientId, redirectUri, device, idTokenClaims);
    await refresher.oidcClientReady;
    const refreshed = await refresher.doRefreshAccessToken(tokenResponse.refresh_token);
    check(refreshed.accessToken !== tokenResponse.access_token, "the same token");
    check((await whoami(url, refreshed.accessToken)).device_id === device, "the new token is of another device");
    step("refreshed");
}

try {
    await main(process.argv[3]);
    process.exit(0);
} catch (error) {
    console.error(error);
    process.exit(1);
}
