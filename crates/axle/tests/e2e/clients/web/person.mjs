// What a person does in Hydrogen, by its buttons and fields.

// Milliseconds that one thing may take on a busy machine.
const PATIENCE = 60_000;

export class Person {
    constructor(name, context, page) {
        this.name = name;
        this.context = context;
        this.page = page;
    }

    /** A browser profile of their own, with the login form before them. */
    static async arrive(browser, site, trouble, name) {
        const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: "en-GB" });
        context.setDefaultTimeout(PATIENCE);
        trouble.watch(context, name);
        const page = await context.newPage();
        // Hydrogen may load its page again when its service worker arrives: that is to be there before.
        await page.goto(`${site}config.json`);
        await page.evaluate(async () => {
            await navigator.serviceWorker.register("sw.js");
            await navigator.serviceWorker.ready;
        });
        await page.goto(site);
        const person = new Person(name, context, page);
        await person.see("#password");
        return person;
    }

    /** Waits for an element, and returns where it is. */
    async see(selector, hasText) {
        const place = this.page.locator(selector, { hasText }).last();
        await place.waitFor().catch((error) => {
            throw new Error(`${this.name} never saw ${selector} ${hasText ?? ""}: ${error.message}`);
        });
        return place;
    }

    async seeNoMore(selector, hasText) {
        const place = this.page.locator(selector, { hasText }).first();
        await place.waitFor({ state: "hidden" }).catch((error) => {
            throw new Error(`${this.name} still sees ${selector} ${hasText ?? ""}: ${error.message}`);
        });
    }

    async press(selector, hasText) {
        await (await this.see(selector, hasText)).click();
    }

    async choose(option) {
        await this.press(".popupContainer .menu-item", option);
    }

    async logIn(username, password) {
        await this.page.fill("#username", username);
        await this.page.fill("#password", password);
        await this.press("button[type=submit]", "Log In");
    }

    /** Logged in, and in step with the server. */
    async seeSession() {
        await this.see(".SessionView .LeftPanel");
        await this.page.locator(".SessionStatusView").waitFor({ state: "hidden" });
    }

    async logOut() {
        await this.press(".button-utility.settings");
        await this.press(".Settings button", "Log out");
        await this.press(".LogoutScreen button", "Log out");
        await this.see("h1", "Continue as");
        await this.seeNoMore(".SessionPickerView li");
    }

    /** Ways to rooms. */

    async createRoom({ name, topic = "", encrypted = false, alias }) {
        await this.press(".button-utility.create");
        await this.choose("Create Room");
        await this.page.fill("#name", name);
        await this.page.fill("#topic", topic);
        if (alias) {
            await this.page.check("#isPublic");
            await this.page.fill("#roomAlias", alias);
        } else {
            await this.page.setChecked("#isEncrypted", encrypted);
        }
        await this.press("button[type=submit]", "Create room");
        // Hydrogen 0.3.1 does not wait for the id of the new room, and shows none; until it has one, its entry leads nowhere.
        await this.openRoom(name);
    }

    async joinRoom(alias, name) {
        await this.press(".button-utility.create");
        await this.choose("Join Room");
        await this.page.fill(".JoinRoomView #id", alias);
        await this.press(".JoinRoomView button[type=submit]", "Join");
        await this.seeRoom(name);
    }

    async accept(name, inviter) {
        await this.press(".RoomList li a", name);
        await this.see(".InviteView_inviter", inviter);
        await this.press(".InviteView button", "Accept");
        await this.seeRoom(name);
    }

    async invite(userId) {
        await this.roomOption("Room details");
        await this.press(".RightPanelView button", "People");
        await this.press(".MemberListView button", "Invite to this room");
        await this.page.fill(".InvitePanelView__input", userId);
        await this.press(".InvitePanelView__btn");
        await this.seeNoMore(".RightPanelView");
    }

    async roomOption(option) {
        await this.press(".RoomHeader .room-options");
        await this.choose(option);
    }

    async openRoom(name) {
        await this.press(".RoomList li a:not([href*='local-'])", name);
        await this.seeRoom(name);
    }

    /** Opens a room with something unread, until the server knows that it was read. */
    async readRoom(name) {
        const receipt = this.page.waitForResponse((response) => {
            const room = this.page.url().split("/").at(-1);
            return response.ok() && response.url().includes(`/rooms/${room}/receipt/m.read/`);
        });
        await this.openRoom(name);
        await receipt;
    }

    async leaveRoom() {
        this.page.once("dialog", (question) => question.accept());
        await this.roomOption("Leave room");
    }

    async seeRoom(name) {
        await this.see(".RoomView .RoomHeader h2", name);
        await this.see(".RoomView .Timeline");
    }

    /** How many messages the list of rooms says are unread. */
    async seeBadge(name, count) {
        await this.see(`.RoomList li:has-text("${name}") .badge`, `${count}`);
    }

    async seeNoBadge(name) {
        await this.seeNoMore(`.RoomList li:has-text("${name}") .badge`);
    }

    /** In a room. */

    async say(text) {
        await this.page.fill(".MessageComposer textarea", text);
        await this.page.press(".MessageComposer textarea", "Enter");
        return this.seeMessage(text);
    }

    /** A message that has come back from the server. */
    async seeMessage(text) {
        return this.see(".Timeline .Timeline_message:not(.unsent)", text);
    }

    async seeAnnouncement(text) {
        return this.see(".Timeline .AnnouncementView", text);
    }

    async messageMenu(message) {
        await message.hover();
        await message.locator(".Timeline_messageOptions").click();
    }

    async reply(to, text) {
        await this.messageMenu(await this.seeMessage(to));
        await this.choose("Reply");
        await this.see(".MessageComposer_replyPreview", to);
        await this.say(text);
    }

    async react(to, emoji) {
        await this.messageMenu(await this.seeMessage(to));
        await this.press(".popupContainer .quick-reactions button", emoji);
    }

    /** A reaction to a message, as "emoji count". */
    async seeReaction(to, text) {
        await this.see(`.Timeline_message:has-text("${to}") .Timeline_messageReactions button`, text);
    }

    async remove(text) {
        await this.messageMenu(await this.seeMessage(text));
        await this.choose("Delete");
    }

    async sendPicture(name, width, height) {
        const chooser = this.page.waitForEvent("filechooser");
        await this.press(".MessageComposer .sendFile");
        await this.choose("Send picture");
        const buffer = Buffer.from(await this.page.evaluate(draw, { width, height }), "base64");
        await (await chooser).setFiles({ name, mimeType: "image/png", buffer });
    }

    /** A picture that has been fetched and shown. */
    async seePicture(name) {
        const picture = await this.see(`.Timeline .Timeline_message:not(.unsent) .media img[alt="${name}"]`);
        const isShown = (image) => image.complete && image.naturalWidth > 0;
        await this.page.waitForFunction(isShown, await picture.elementHandle());
    }

    /** Scrolls up through the history until something is there. */
    async scrollUpTo(text) {
        await this.page.waitForFunction((text) => {
            document.querySelector(".Timeline_scroller").scrollTop = 0;
            return [...document.querySelectorAll(".Timeline li")].some((one) => one.textContent.includes(text));
        }, text);
    }

    async screenshot(path) {
        await this.page.screenshot({ path });
        console.log(`screenshot: ${path}`);
    }
}

/** In the page: a picture in PNG, as base64. */
function draw({ width, height }) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    const colours = context.createLinearGradient(0, 0, width, height);
    colours.addColorStop(0, "seagreen");
    colours.addColorStop(1, "gold");
    context.fillStyle = colours;
    context.fillRect(0, 0, width, height);
    return canvas.toDataURL("image/png").split(",")[1];
}
