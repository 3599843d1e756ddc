"""People with matrix-nio, on one server and on two, encrypted.

Usage: matrix_nio.py SCRATCH_FOLDER URL [URL_OF_ANOTHER_SERVER]
Prints a line for each step; ends with status 1 at the first thing that is not as it should be.
"""

import asyncio
import io
import sys
from pathlib import Path

from nio import (
    AsyncClient,
    AsyncClientConfig,
    EnableEncryptionBuilder,
    InviteMemberEvent,
    ReactionEvent,
    RedactionEvent,
    RoomEncryptedImage,
    RoomMessageText,
    crypto,
)
from nio.crypto.sas import SasState

PASSWORD = "a long enough password"
# Seconds that one thing may take on a busy machine.
PATIENCE = 60
# Milliseconds that a sync waits.
POLL = 2_000


class Failed(Exception):
    """Something is not as it should be."""


class Person:
    """A user with one device, who remembers what arrived."""

    def __init__(self, scratch: Path, url: str, name: str):
        store = scratch / name
        store.mkdir(parents=True)
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=True)
        self.client = AsyncClient(url, "", store_path=str(store), config=config)
        self.name = name
        self.events = []
        self.left = set()
        self.client.add_event_callback(self.saw, (RoomMessageText, RoomEncryptedImage, ReactionEvent, RedactionEvent))
        self.client.add_event_callback(self.saw, InviteMemberEvent)

    def saw(self, room, event):
        self.events.append((room.room_id, event))

    async def register(self):
        ok(await self.client.register(self.name, PASSWORD, device_name=f"{self.name}'s nio"))
        # Registering logs in; people also log out and in again.
        self.client.user = self.client.user_id
        ok(await self.client.logout())
        ok(await self.client.login(PASSWORD, device_name=f"{self.name}'s nio"))
        await self.sync()

    async def sync(self):
        answer = ok(await self.client.sync(timeout=POLL, full_state=False))
        # The library itself does not take note of rooms that were left.
        self.left.update(answer.rooms.leave)
        if self.client.should_upload_keys:
            ok(await self.client.keys_upload())
        if self.client.should_query_keys:
            ok(await self.client.keys_query())
        if self.client.should_claim_keys:
            ok(await self.client.keys_claim(self.client.get_users_for_key_claiming()))
        await self.client.send_to_device_messages()

    async def wait_for(self, what, find):
        """Syncs until there is what is looked for."""

        async def look():
            while (found := find()) is None:
                await self.sync()
            return found

        try:
            return await asyncio.wait_for(look(), PATIENCE)
        except asyncio.TimeoutError:
            raise Failed(f"{self.name} never saw {what}") from None

    async def message(self, room_id, body):
        """Waits for a message with this text."""

        def find():
            events = (event for where, event in self.events if where == room_id and isinstance(event, RoomMessageText))
            return next((event for event in events if event.body == body), None)

        return await self.wait_for(f"the message {body!r}", find)

    async def say(self, room_id, body, **content):
        content = {"msgtype": "m.text", "body": body, **content}
        return await self.send(room_id, "m.room.message", content)

    async def send(self, room_id, event_type, content):
        sent = await self.client.room_send(room_id, event_type, content, ignore_unverified_devices=True)
        return ok(sent).event_id

    async def join(self, room_id):
        await self.wait_for("the invite", lambda: self.client.invited_rooms.get(room_id))
        ok(await self.client.join(room_id))
        await self.wait_for("the room", lambda: self.client.rooms.get(room_id))

    async def leave_server(self):
        ok(await self.client.logout())
        refused = await self.client.whoami()
        check(getattr(refused, "status_code", None) == "M_UNKNOWN_TOKEN", f"a token after logout: {refused}")
        await self.client.close()


def ok(response):
    """The response, if it is not an error."""
    if type(response).__name__.endswith("Error"):
        raise Failed(f"{type(response).__name__}: {response}")
    return response


def check(holds, what):
    if not holds:
        raise Failed(what)


def step(text):
    print(text, flush=True)


async def verify(alice: Person, bob: Person):
    """Compares short codes, as two people do who look at both screens."""
    device = next(iter(alice.client.device_store.active_user_devices(bob.client.user_id)))
    started = ok(await alice.client.start_key_verification(device))
    transaction = started.to_device_message.content["transaction_id"]

    async def both(find):
        for _ in range(10):
            await bob.sync()
            await alice.sync()
            if find():
                return
        raise Failed(f"the verification stopped: {alice.client.key_verifications} {started}")

    await both(lambda: transaction in bob.client.key_verifications)
    ok(await bob.client.accept_key_verification(transaction))
    sas = [person.client.key_verifications[transaction] for person in (alice, bob)]
    await both(lambda: all(one.state == SasState.key_received for one in sas))
    check(sas[0].get_emoji() == sas[1].get_emoji(), "the two see different codes")
    for person in (alice, bob):
        ok(await person.client.confirm_short_auth_string(transaction))
    await both(lambda: all(one.verified for one in sas))
    check(alice.client.device_store[bob.client.user_id][device.id].verified, "the device is not verified")


async def encrypted(alice: Person, bob: Person):
    made = await alice.client.room_create(
        name="Tea",
        invite=[bob.client.user_id],
        initial_state=[EnableEncryptionBuilder().as_dict()],
    )
    room_id = ok(made).room_id
    await bob.join(room_id)
    await alice.wait_for("that bob came", lambda: room_of(alice, room_id, bob))
    check(alice.client.rooms[room_id].encrypted, "the room is not encrypted")
    step("an encrypted room, an invite, a join")

    first = await alice.say(room_id, "Is there tea?")
    got = await bob.message(room_id, "Is there tea?")
    check(got.decrypted and got.event_id == first, "the message was not encrypted")
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": first}}}
    second = await bob.say(room_id, "There is.", **reply)
    got = await alice.message(room_id, "There is.")
    check(got.decrypted and got.source["content"]["m.relates_to"] == reply["m.relates_to"], "the reply refers to nothing")
    step("a message and a reply, decrypted on the other side")

    edit = {"m.new_content": {"msgtype": "m.text", "body": "Green tea?"}}
    edit["m.relates_to"] = {"rel_type": "m.replace", "event_id": first}
    await alice.say(room_id, "* Green tea?", **edit)
    await bob.message(room_id, "* Green tea?")
    annotation = {"m.relates_to": {"rel_type": "m.annotation", "event_id": second, "key": "👍"}}
    await alice.send(room_id, "m.reaction", annotation)
    await bob.wait_for(
        "the reaction",
        lambda: next((e for _, e in bob.events if isinstance(e, ReactionEvent) and e.key == "👍"), None),
    )
    step("an edit and a reaction")

    picture = bytes(range(256)) * 64
    uploaded, keys = await alice.client.upload(
        lambda *_: io.BytesIO(picture), content_type="image/png", filename="tea.png", encrypt=True, filesize=len(picture)
    )
    file = {"url": ok(uploaded).content_uri, **keys}
    await alice.send(room_id, "m.room.message", {"msgtype": "m.image", "body": "tea.png", "file": file})
    image = await bob.wait_for(
        "the picture", lambda: next((e for _, e in bob.events if isinstance(e, RoomEncryptedImage)), None)
    )
    fetched = ok(await bob.client.download(mxc=image.url)).body
    check(fetched != picture, "the picture was not encrypted")
    opened = crypto.attachments.decrypt_attachment(fetched, image.key["k"], image.hashes["sha256"], image.iv)
    check(opened == picture, "the picture is another")
    step("an encrypted picture, uploaded and fetched")

    ok(await bob.client.room_redact(room_id, second, reason="It was coffee."))
    await alice.wait_for(
        "the redaction",
        lambda: next((e for _, e in alice.events if isinstance(e, RedactionEvent) and e.redacts == second), None),
    )
    step("a redaction")
    await verify(alice, bob)
    step("a device verified by comparing codes")


def room_of(person, room_id, other):
    room = person.client.rooms.get(room_id)
    return room if room and other.client.user_id in room.users else None


def device_of(person, other):
    return next(iter(person.client.device_store.active_user_devices(other.client.user_id)), None)


async def between_servers(alice: Person, carol: Person):
    made = await alice.client.room_create(
        name="Between",
        invite=[carol.client.user_id],
        initial_state=[EnableEncryptionBuilder().as_dict()],
    )
    room_id = ok(made).room_id
    await carol.join(room_id)
    await alice.wait_for("that carol came", lambda: room_of(alice, room_id, carol))
    for one, other in ((alice, carol), (carol, alice)):
        await one.wait_for("the other's device", lambda: device_of(one, other))
    check(carol.client.rooms[room_id].encrypted, "the room is not encrypted")
    for one, other, text in ((carol, alice, "Hello from elsewhere."), (alice, carol, "Hello to elsewhere.")):
        sent = await one.say(room_id, text)
        got = await other.message(room_id, text)
        check(got.decrypted and got.event_id == sent, f"{text!r} was not encrypted")
    step("two servers: keys claimed, messages both ways, decrypted on the other side")

    ok(await carol.client.room_typing(room_id, timeout=60_000))
    await alice.wait_for(
        "that carol types", lambda: carol.client.user_id in alice.client.rooms[room_id].typing_users or None
    )
    ok(await alice.client.room_read_markers(room_id, sent, sent))
    await carol.wait_for(
        "that alice has read it",
        lambda: (receipt := carol.client.rooms[room_id].read_receipts.get(alice.client.user_id))
        and receipt.event_id == sent
        or None,
    )
    step("two servers: who types, who has read")
    await verify(alice, carol)
    step("two servers: a device verified by comparing codes")
    ok(await alice.client.room_kick(room_id, carol.client.user_id, reason="Enough."))
    await carol.wait_for("the kick", lambda: room_id in carol.left or None)
    step("two servers: a kick")


async def main(scratch, url, elsewhere=None):
    alice, bob = (Person(scratch, url, name) for name in ("alice", "bob"))
    people = [alice, bob]
    try:
        for person in (alice, bob):
            await person.register()
        step("two people registered and logged in")
        await encrypted(alice, bob)
        if elsewhere:
            carol = Person(scratch, elsewhere, "carol")
            people.append(carol)
            await carol.register()
            await between_servers(alice, carol)
        for person in people:
            await person.leave_server()
        step("logged out")
    finally:
        for person in people:
            await person.client.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
    except Failed as failure:
        sys.exit(f"failed: {failure}")
