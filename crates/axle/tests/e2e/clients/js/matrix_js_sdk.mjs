// Two people with matrix-js-sdk (rust crypto), on one server, encrypted; one of them with a second device.
//
// Usage: node matrix_js_sdk.mjs SCRATCH_FOLDER URL
// Prints a line for each step; ends with status 1 at the first thing that is not as it should be.

import * as sdk from "matrix-js-sdk";
import { logger } from "matrix-js-sdk/lib/logger.js";
import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/index.js";

const PASSWORD = "a long enough password";
// Milliseconds that one thing may take on a busy machine.
const PATIENCE = 60_000;

logger.setLevel("error");

class Failed extends Error {}

function check(holds, what) {
    if (!holds) throw new Failed(what);
}

function step(text) {
    console.log(text);
}

// Rooms in answers of sync, by where their state is told.
const rooms = { before: 0, after: 0 };

/** What the library asks the server with: looks where syncs tell the state of rooms. */
async function asking(url, options) {
    const answer = await fetch(url, options);
    if (answer.ok && new URL(url).pathname.endsWith("/sync")) {
        const { join } = (await answer.clone().json()).rooms;
        for (const room of Object.values(join)) {
            rooms["org.matrix.msc4222.state_after" in room ? "after" : "before"] += 1;
        }
    }
    return answer;
}

/** Calls `look` whenever something happens, until it finds something. */
async function until(person, what, look) {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
        const found = await look();
        if (found) return found;
        check(Date.now() < deadline, `${person.name} never saw ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

/** A user on one device. */
class Person {
    constructor(name, client, secrets) {
        this.name = name;
        this.client = client;
        this.secrets = secrets;
    }

    get id() {
        return this.client.getUserId();
    }

    get crypto() {
        return this.client.getCrypto();
    }

    static async register(url, name) {
        const anyone = sdk.createClient({ baseUrl: url });
        check(await anyone.isUsernameAvailable(name), `${name} is taken`);
        const account = await anyone.registerRequest({
            username: name,
            password: PASSWORD,
            auth: { type: "m.login.dummy" },
        });
        return Person.start(url, name, account, new Map());
    }

    /** Another device of the same user, who remembers the secrets that the first one was shown. */
    async secondDevice(url) {
        const anyone = sdk.createClient({ baseUrl: url });
        const account = await anyone.loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user: this.name },
            password: PASSWORD,
            initial_device_display_name: "second device",
        });
        return Person.start(url, this.name, account, this.secrets);
    }

    static async start(url, name, account, secrets) {
        const client = sdk.createClient({
            baseUrl: url,
            userId: account.user_id,
            deviceId: account.device_id,
            accessToken: account.access_token,
            timelineSupport: true,
            fetchFn: asking,
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) => {
                    const id = Object.keys(keys).find((id) => secrets.has(id));
                    return id ? [id, secrets.get(id)] : null;
                },
                cacheSecretStorageKey: (id, _info, key) => secrets.set(id, key),
            },
        });
        await client.initRustCrypto({ useIndexedDB: false });
        const person = new Person(name, client, secrets);
        await client.startClient({ lazyLoadMembers: true, threadSupport: true, initialSyncLimit: 20 });
        await until(person, "the first sync", () => client.isInitialSyncComplete());
        return person;
    }

    /** What Element does after the first login. */
    async setUpEncryption() {
        const auth = { type: "m.login.password", password: PASSWORD };
        auth.identifier = { type: "m.id.user", user: this.id };
        await this.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (request) => request(auth) });
        await this.crypto.bootstrapSecretStorage({
            createSecretStorageKey: async () => {
                this.recovery = await this.crypto.createRecoveryKeyFromPassphrase();
                return this.recovery;
            },
            setupNewSecretStorage: true,
            setupNewKeyBackup: true,
        });
        check(await this.crypto.isCrossSigningReady(), "cross-signing is not ready");
        check(await this.crypto.isSecretStorageReady(), "secret storage is not ready");
        await until(this, "its key backup", () => this.crypto.getActiveSessionBackupVersion());
    }

    /** A room that this person is in. */
    room(roomId) {
        const room = this.client.getRoom(roomId);
        return room?.getMyMembership() === "join" ? room : undefined;
    }

    /** An event that can be read here. */
    async event(roomId, eventId) {
        return until(this, `the event ${eventId}`, async () => {
            const event = this.room(roomId)?.findEventById(eventId);
            if (!event) return undefined;
            await this.client.decryptEventIfNeeded(event);
            return event.isBeingDecrypted() || event.isDecryptionFailure() ? undefined : event;
        });
    }

    async say(roomId, content) {
        const sent = await this.client.sendMessage(roomId, { msgtype: "m.text", ...content });
        return sent.event_id;
    }
}

async function talk(alice, bob) {
    const { room_id: roomId } = await alice.client.createRoom({
        name: "Tea",
        preset: "private_chat",
        invite: [bob.id],
        initial_state: [{ type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
    });
    await until(bob, "the invite", () => bob.client.getRoom(roomId)?.getMyMembership() === "invite");
    await bob.client.joinRoom(roomId);
    await until(bob, "the room", () => bob.room(roomId));
    await until(alice, "that bob came", () => alice.room(roomId)?.getMember(bob.id)?.membership === "join");
    check(await alice.crypto.isEncryptionEnabledInRoom(roomId), "the room is not encrypted");
    step("an encrypted room, an invite, a join");

    const first = await alice.say(roomId, { body: "Is there tea?" });
    const got = await bob.event(roomId, first);
    check(got.isEncrypted() && got.getContent().body === "Is there tea?", "another message arrived");
    const second = await bob.say(roomId, {
        body: "There is.",
        "m.relates_to": { "m.in_reply_to": { event_id: first } },
    });
    check((await alice.event(roomId, second)).replyEventId === first, "the reply refers to nothing");
    step("a message and a reply, decrypted on the other side");

    await alice.say(roomId, {
        body: "* Green tea?",
        "m.new_content": { msgtype: "m.text", body: "Green tea?" },
        "m.relates_to": { rel_type: "m.replace", event_id: first },
    });
    await until(bob, "the edit", () => got.getContent().body === "Green tea?");
    const key = "👍";
    await alice.client.sendEvent(roomId, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: second, key },
    });
    const reactions = () => bob.room(roomId).relations.getChildEventsForEvent(second, "m.annotation", "m.reaction");
    await until(bob, "the reaction", () => reactions()?.getSortedAnnotationsByKey()?.some(([of]) => of === key));
    step("an edit and a reaction");

    await bob.client.redactEvent(roomId, second, undefined, { reason: "It was coffee." });
    await until(alice, "the redaction", () => alice.room(roomId).findEventById(second)?.isRedacted());
    step("a redaction");
    return { roomId, first };
}

async function media(alice, bob) {
    const picture = new Uint8Array(16_384).map((_, index) => index % 256);
    const { content_uri: uri } = await alice.client.uploadContent(new Blob([picture]), {
        name: "tea.png",
        type: "image/png",
    });
    const address = bob.client.mxcUrlToHttp(uri, undefined, undefined, undefined, true, true, true);
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${bob.client.getAccessToken()}` } });
    const fetched = new Uint8Array(await answer.arrayBuffer());
    check(answer.ok && fetched.every((byte, index) => byte === picture[index]), `the picture is another: ${answer.status}`);
    step("a picture, uploaded and fetched");
}

async function restore(alice, url, { roomId, first }) {
    const version = await alice.crypto.getActiveSessionBackupVersion();
    // What the library says of the backup is older.
    const backup = () => alice.client.http.authedRequest(sdk.Method.Get, "/room_keys/version");
    await until(alice, "its keys in the backup", async () => (await backup()).count > 0);
    const again = await alice.secondDevice(url);
    await until(again, "the room", () => again.room(roomId));
    // Clients ask for the user's public keys before they take over the private ones.
    check(await again.crypto.userHasCrossSigningKeys(again.id, true), "no cross-signing keys");
    await again.crypto.bootstrapCrossSigning({});
    await again.crypto.loadSessionBackupPrivateKeyFromSecretStorage();
    const restored = await again.crypto.restoreKeyBackup();
    check(restored.imported > 0 && restored.imported === restored.total, `restored ${JSON.stringify(restored)}`);
    check((await again.crypto.checkKeyBackupAndEnable())?.backupInfo.version === version, "another backup");
    await again.client.scrollback(again.room(roomId), 50);
    const read = await again.event(roomId, first);
    check(read.getClearContent()?.body === "Is there tea?", "the second device reads something else");
    const status = await again.crypto.getDeviceVerificationStatus(alice.id, again.client.getDeviceId());
    check(status.crossSigningVerified, "the second device is not verified");
    await until(alice, "the second device", async () => {
        const seen = await alice.crypto.getDeviceVerificationStatus(alice.id, again.client.getDeviceId());
        return seen?.crossSigningVerified;
    });
    step("a second device, its keys restored from the backup, verified by cross-signing");
    return again;
}

async function leave(person) {
    await person.client.logout(true);
    const refused = await person.client.whoami().then(
        () => undefined,
        (error) => error,
    );
    check(refused?.errcode === "M_UNKNOWN_TOKEN", `a token after logout: ${refused}`);
}

async function main(url) {
    const alice = await Person.register(url, "alice");
    const bob = await Person.register(url, "bob");
    step("two people registered and synced");
    await alice.setUpEncryption();
    await bob.setUpEncryption();
    step("cross-signing, secret storage and key backup");
    const said = await talk(alice, bob);
    await media(alice, bob);
    const again = await restore(alice, url, said);
    for (const person of [again, alice, bob]) await leave(person);
    step("logged out");
    check(rooms.after > 0 && rooms.before === 0, `where syncs told the state of rooms: ${JSON.stringify(rooms)}`);
    step("the state of rooms, told after their timelines");
}

try {
    await main(process.argv[3]);
    process.exit(0);
} catch (error) {
    console.error(error instanceof Failed ? `failed: ${error.message}` : error);
    process.exit(1);
}
