// Two people with Hydrogen in a browser, on one server; one of them with a second device.
//
// Usage: node hydrogen.mjs CHROMIUM SCREENSHOTS SCRATCH URL
// Prints a line for each step; ends with status 1 at the first thing that is not as it should be.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Trouble, serve, startBrowser } from "./app.mjs";
import { Person } from "./person.mjs";

const PASSWORD = "a long enough password";
const ALICE = { username: "alice", id: "@alice:hub.test", displayname: "Alice" };
const BOB = { username: "bob", id: "@bob:hub.test", displayname: "Bob" };

// Requests that the server rightly refuses.
const REFUSED = [
    // A wrong password.
    { status: 403, request: /^POST \/_matrix\/client\/r0\/login$/ },
    // A device that was logged out from elsewhere.
    { status: 401, request: /^GET \/_matrix\/client\/r0\/sync$/ },
    // Hydrogen asks for dehydrated devices as a draft had them.
    { status: 404, request: /^GET \/_matrix\/client\/unstable\/org.matrix.msc2697.v2\/dehydrated_device$/ },
];
// Exceptions that are Hydrogen's own.
const STUMBLES = [
    // It opens a room that it is to make before there is an id.
    /StorageError: getKey\(true\) failed on .*archivedRoomSummary/,
];

const [chromium, screenshots, scratch, homeserver] = process.argv.slice(2);
const people = [];

function step(text) {
    console.log(text);
}

async function request(method, path, body, token) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const url = `${homeserver}/_matrix/client/v3/${path}`;
    const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
    const content = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(content)}`);
    return content;
}

/** An account with a name to be shown, which Hydrogen cannot make; its access token. */
async function register({ username, id, displayname }) {
    const auth = { type: "m.login.dummy" };
    const { access_token: token } = await request("POST", "register", { username, password: PASSWORD, auth });
    await request("PUT", `profile/${id}/displayname`, { displayname }, token);
    return token;
}

async function main(browser, site, trouble) {
    const arrive = async (name) => {
        const person = await Person.arrive(browser, site, trouble, name);
        people.push(person);
        return person;
    };
    const token = await register(ALICE);
    await register(BOB);
    const [alice, bob] = [await arrive("alice"), await arrive("bob")];
    await logIn(alice, bob);
    await meet(alice, bob);
    await talk(alice, bob);
    await sendPicture(alice, bob);
    await encrypt(alice, bob);
    await countUnread(alice, bob);
    await reload(alice, bob);
    const again = await arrive("alice-again");
    await secondDevice(alice, bob, again);
    await findAndLeave(alice, bob);
    await Promise.all(people.map((person) => person.screenshot(join(screenshots, `${person.name}.png`))));
    await alice.logOut();
    await request("POST", "logout/all", {}, token);
    await again.see(".LogoutScreen", "Your access token is no longer valid!");
    step("logged out, here and from elsewhere");
}

async function logIn(alice, bob) {
    await alice.logIn(ALICE.username, "not the password");
    await alice.see(".PasswordLoginView .error", "Your username and/or password don't seem to be correct.");
    await alice.logIn(ALICE.username, PASSWORD);
    await alice.seeSession();
    await bob.logIn(BOB.username, PASSWORD);
    await bob.seeSession();
    step("logged in, after a wrong password");
}

async function meet(alice, bob) {
    await alice.createRoom({ name: "Tea", topic: "Which one?" });
    await alice.invite(BOB.id);
    await alice.seeAnnouncement("Bob was invited to the room by Alice");
    await bob.accept("Tea", "Alice (@alice:hub.test) invited you");
    await bob.seeAnnouncement("Bob joined the room");
    await alice.seeAnnouncement("Bob joined the room");
    step("a room made, an invite, a join");
}

async function talk(alice, bob) {
    await alice.say("Is there tea?");
    await bob.seeMessage("Is there tea?");
    await bob.reply("Is there tea?", "There is.");
    await alice.see(".Timeline_message .ReplyPreviewView", "Is there tea?");
    await alice.react("There is.", "👍");
    await bob.seeReaction("There is.", "👍 1");
    await bob.press(".Timeline_messageReactions button", "👍");
    await alice.seeReaction("There is.", "👍 2");
    await alice.press(".Timeline_messageReactions button", "👍");
    await bob.seeReaction("There is.", "👍 1");
    step("a message, a reply, reactions made and taken back");
    await bob.say("It is coffee.");
    await alice.seeMessage("It is coffee.");
    await bob.remove("It is coffee.");
    await alice.see(".Timeline_message .statusMessage", "This message has been deleted");
    await alice.seeNoMore(".Timeline_message", "It is coffee.");
    step("a message removed");
}

async function sendPicture(alice, bob) {
    await bob.sendPicture("tea.png", 1200, 900);
    await bob.seePicture("tea.png");
    await alice.seePicture("tea.png");
    step("a picture");
}

async function encrypt(alice, bob) {
    await alice.createRoom({ name: "Cellar", encrypted: true });
    await alice.seeAnnouncement("Alice has enabled end-to-end encryption");
    await alice.invite(BOB.id);
    await bob.accept("Cellar", "Alice (@alice:hub.test) invited you");
    await alice.seeAnnouncement("Bob joined the room");
    await alice.say("The tea is in the cellar.");
    await bob.seeMessage("The tea is in the cellar.");
    await bob.reply("The tea is in the cellar.", "Not any more.");
    await alice.see(".Timeline_message .ReplyPreviewView", "The tea is in the cellar.");
    await alice.sendPicture("cellar.png", 320, 240);
    await bob.seePicture("cellar.png");
    await bob.screenshot(join(screenshots, "encrypted.png"));
    step("an encrypted room: a message, a reply and a picture");
}

async function countUnread(alice, bob) {
    await bob.openRoom("Tea");
    await bob.seeNoBadge("Tea");
    await bob.openRoom("Cellar");
    await alice.openRoom("Tea");
    await alice.say("One sugar.");
    await alice.say("No, two.");
    await bob.seeBadge("Tea", 2);
    await bob.readRoom("Tea");
    await bob.seeMessage("No, two.");
    await bob.seeNoBadge("Tea");
    step("what is unread is counted until it is read");
}

async function reload(alice, bob) {
    for (const person of [alice, bob]) {
        await person.page.reload();
        await person.seeSession();
        await person.openRoom("Cellar");
        await person.seeMessage("The tea is in the cellar.");
        await person.seePicture("cellar.png");
        await person.openRoom("Tea");
        await person.seeReaction("There is.", "👍 1");
        await person.seePicture("tea.png");
    }
    await alice.screenshot(join(screenshots, "conversation.png"));
    step("pages loaded again: still logged in, with what was said");
}

async function secondDevice(alice, bob, again) {
    await alice.seeNoBadge("Tea");
    await alice.openRoom("Cellar");
    // More than a sync and a page of history have.
    for (let cup = 1; cup <= 30; cup++) await bob.say(`Cup ${cup}.`);
    await alice.seeBadge("Tea", 30);
    await alice.readRoom("Tea");
    await again.logIn(ALICE.username, PASSWORD);
    await again.seeSession();
    await again.see(".RoomList li", "Tea");
    await again.seeNoBadge("Tea");
    await again.openRoom("Tea");
    await again.seeMessage("Cup 30.");
    await again.scrollUpTo('Alice named the room "Tea"');
    await again.seeMessage("Is there tea?");
    await again.openRoom("Cellar");
    await again.see(".Timeline_message", "The sender hasn't sent us the key for this message yet.");
    step("a second device, which knows what was read, and reads back to the beginning, but not what is encrypted");

    await bob.createRoom({ name: "Attic", encrypted: true });
    await bob.invite(ALICE.id);
    await alice.accept("Attic", "Bob (@bob:hub.test) invited you");
    await bob.seeAnnouncement("Alice joined the room");
    await bob.say("There is tea in the attic.");
    await alice.seeMessage("There is tea in the attic.");
    await again.openRoom("Attic");
    await again.seeMessage("There is tea in the attic.");
    await again.say("On my way.");
    await bob.seeMessage("On my way.");
    await alice.seeMessage("On my way.");
    step("two devices of one person in an encrypted room");
}

async function findAndLeave(alice, bob) {
    await alice.createRoom({ name: "Square", alias: "square" });
    await bob.joinRoom("#square:hub.test", "Square");
    // Hydrogen names people as they were known before.
    await alice.seeAnnouncement("@bob:hub.test joined the room");
    await bob.say("Is anybody here?");
    await alice.seeMessage("Is anybody here?");
    await bob.leaveRoom();
    await bob.see(".DisabledComposerView", "You left this room");
    await alice.seeAnnouncement("Bob left the room");
    await bob.roomOption("Forget room");
    await bob.seeNoMore(".RoomList li", "Square");
    await bob.openRoom("Attic");
    step("a public room found by its alias, left and forgotten");
}

await mkdir(screenshots, { recursive: true });
const trouble = new Trouble(REFUSED, STUMBLES);
const site = await serve(scratch, homeserver);
const browser = await startBrowser(chromium);
let status = 0;
try {
    await main(browser, site.url, trouble);
} catch (error) {
    status = 1;
    console.error(error);
    for (const { page, name } of people) {
        const path = join(screenshots, `failed-${name}.png`);
        await page.screenshot({ path }).then(() => console.error(`see ${path}`), console.error);
    }
}
for (const what of await trouble.seen()) {
    status = 1;
    console.error(`unexpected: ${what}`);
}
await browser.close();
await site.close();
process.exit(status);
