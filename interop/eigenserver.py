#!/usr/bin/env python3
"""Axle against a running eigenserver, in both roles.

    interop/eigenserver.py --peer localhost:3000 [--axle target/release/axle]

The peer must speak plain HTTP under the name it is given here (ES_INSECURE_HTTP=true, ES_HOSTNAME, ES_PORT). An Axle
server of its own is started for the test, on a free port, and stopped at the end. Only Python's standard library is
needed. Exits 0 if every step went as it should; prints each step.
"""

import argparse
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from websocket import WebSocket

VERSION = "org.matrix.i-d.ralston-mimi-linearized-matrix.02"
PATIENCE = 30
LOGIN, CREATE_ROOM, ROOM_JOINED, INVITE, ROOM_INVITED, JOIN, ERROR, SEND, EVENT, DUMP = range(10)


def until(what, probe, patience=PATIENCE):
    """Calls `probe` until it gives something; fails loudly if it never does."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"never happened: {what}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Axle:
    """A server, and one user on it."""

    def __init__(self, binary, peer):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="axle-interop-"))
        federation, client = free_port(), free_port()
        self.name = f"localhost:{federation}"
        self.url = f"http://127.0.0.1:{client}"
        config = self.folder / "axle.toml"
        config.write_text(
            f"""server_name = "{self.name}"
data = "{self.folder}/data"
[client]
listen = ["127.0.0.1:{client}"]
[federation]
listen = ["127.0.0.1:{federation}"]
plain_http = true
plain_http_peers = ["{peer}"]
allowed_networks = ["127.0.0.0/8", "::1/128"]
[registration]
mode = "open"
[rooms]
default_version = "{VERSION}"
"""
        )
        self.log = open(self.folder / "axle.log", "wb")
        self.command = [binary, "serve", "--config", str(config)]
        self.token = None
        self._start()
        body = {"username": "alice", "password": "a long password", "auth": {"type": "m.login.dummy"}}
        answer = self.call("POST", "/_matrix/client/v3/register", body)
        self.user, self.token = answer["user_id"], answer["access_token"]
        self.txn = 0

    def _start(self):
        self.process = subprocess.Popen(self.command, stdout=self.log, stderr=self.log)
        until("axle is up", lambda: self.process.poll() is not None or self._healthy())
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "axle.log").read_text())

    def restart(self):
        """Stops the server, as an operator would, and starts it again."""
        self._end()
        self._start()

    def _healthy(self):
        try:
            return urllib.request.urlopen(self.url + "/_axle/health", timeout=2).status == 200
        except OSError:
            return False

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None

    def room(self, room_id, tail):
        return f"/_matrix/client/v3/rooms/{urllib.request.quote(room_id)}/{tail}"

    def send(self, room_id, text):
        self.txn += 1
        path = self.room(room_id, f"send/m.room.message/t{self.txn}")
        return self.call("PUT", path, {"msgtype": "m.text", "body": text})["event_id"]

    def messages(self, room_id):
        """The room's log as this server has it, oldest first."""
        events, token = [], ""
        while True:
            tail = f"messages?dir=b&limit=100{token}"
            page = self.call("GET", self.room(room_id, tail))
            events += page["chunk"]
            if not page["chunk"] or "end" not in page:
                return list(reversed(events))
            token = "&from=" + urllib.request.quote(page["end"])

    def bodies(self, room_id):
        return [event["content"].get("body") for event in self.messages(room_id) if event["type"] == "m.room.message"]

    def sync(self):
        return self.call("GET", "/_matrix/client/v3/sync?timeout=0").get("rooms", {})

    def stop(self):
        self._end()
        self.log.close()

    def _end(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Eigen:
    """A user on the eigenserver, by its WebSocket protocol."""

    def __init__(self, peer, localpart):
        self.peer = peer
        host, port = peer.rsplit(":", 1)
        self.socket = WebSocket(host, int(port), f"/client?preferredLocalpart={localpart}")
        self.seen = []
        self.user = self.expect(LOGIN)["userId"]

    def send(self, kind, **fields):
        self.socket.send(json.dumps({"type": kind, **fields}))

    def expect(self, kind, matches=lambda packet: True):
        for packet in self.seen:
            if packet["type"] == kind and matches(packet):
                self.seen.remove(packet)
                return packet
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            packet = json.loads(self.socket.receive())
            if packet["type"] == kind and matches(packet):
                return packet
            if packet["type"] == ERROR:
                raise AssertionError(f"eigenserver: {packet}")
            self.seen.append(packet)
        raise AssertionError(f"eigenserver sent no packet of type {kind}")

    def message(self, body):
        return self.expect(EVENT, lambda packet: packet["event"].get("content", {}).get("body") == body)

    def dump(self, room_id):
        url = f"http://{self.peer}/dump/{urllib.request.quote(room_id)}"
        return json.load(urllib.request.urlopen(url, timeout=10))


def step(text):
    print(f"  ok  {text}", flush=True)


def axle_is_the_hub(axle, peer):
    print("Axle is the hub, eigenserver the participant")
    bob = Eigen(peer, f"bob{int(time.time())}")
    room_id = axle.call("POST", "/_matrix/client/v3/createRoom", {"preset": "private_chat", "name": "Interop"})[
        "room_id"
    ]
    axle.call("POST", axle.room(room_id, "invite"), {"user_id": bob.user})
    bob.expect(ROOM_INVITED, lambda packet: packet["roomId"] == room_id)
    step("invite reached the participant")
    bob.send(JOIN, targetRoomId=room_id)
    bob.expect(ROOM_JOINED, lambda packet: packet["roomId"] == room_id and packet["targetUserId"] == bob.user)
    step("participant joined by make_join and send_join")
    axle.send(room_id, "from the hub é 日本")
    bob.message("from the hub é 日本")
    step("hub to participant")
    bob.send(SEND, roomId=room_id, eventType="m.room.message", content={"msgtype": "m.text", "body": "from below"})
    until("the participant's message", lambda: "from below" in axle.bodies(room_id))
    bob.message("from below")
    step("participant to hub, and its echo")
    for number in range(20):
        axle.send(room_id, f"burst {number}")
    for number in range(20):
        bob.message(f"burst {number}")
    step("20 messages in a row arrive in order")
    axle.call("POST", axle.room(room_id, "kick"), {"user_id": bob.user, "reason": "interop"})
    bob.send(SEND, roomId=room_id, eventType="m.room.message", content={"msgtype": "m.text", "body": "still here"})
    time.sleep(2)
    if "still here" in axle.bodies(room_id):
        raise AssertionError("a kicked user could send")
    step("a kick holds")
    bob.socket.close()


def eigenserver_is_the_hub(axle, peer):
    print("eigenserver is the hub, Axle the participant")
    carol = Eigen(peer, f"carol{int(time.time())}")
    carol.send(CREATE_ROOM)
    room_id = carol.expect(ROOM_JOINED)["roomId"]
    carol.send(INVITE, targetUserId=axle.user, targetRoomId=room_id)
    until("the invite", lambda: room_id in axle.sync().get("invite", {}))
    step("invite reached Axle")
    axle.call("POST", axle.room(room_id, "join"), {})
    until("the join", lambda: room_id in axle.sync().get("join", {}))
    step("Axle joined")
    axle.send(room_id, "from Axle")
    carol.message("from Axle")
    step("participant to hub; the client got the final id from the echo")
    carol.send(SEND, roomId=room_id, eventType="m.room.message", content={"msgtype": "m.text", "body": "from eigen"})
    until("the hub's message", lambda: "from eigen" in axle.bodies(room_id))
    step("hub to participant")
    for number in range(20):
        axle.send(room_id, f"up {number}")
        content = {"msgtype": "m.text", "body": f"down {number}"}
        carol.send(SEND, roomId=room_id, eventType="m.room.message", content=content)
    wanted = {f"up {n}" for n in range(20)} | {f"down {n}" for n in range(20)}
    until("all of both", lambda: wanted <= set(axle.bodies(room_id)))
    step("20 messages each way, none lost")
    dumped = [event.get("content", {}).get("body") for event in events_of(carol.dump(room_id))]
    dumped = [body for body in dumped if body in wanted]
    ours = [body for body in axle.bodies(room_id) if body in wanted]
    if sorted(dumped) != sorted(ours):
        raise AssertionError(f"the hub has {dumped}, Axle {ours}")
    step(f"same messages on both sides ({'same' if dumped == ours else 'other'} order)")
    # The hub does not echo the leave of a server's last user.
    axle.call("POST", axle.room(room_id, "leave"), {})
    gone = lambda: any(
        event.get("state_key") == axle.user and event.get("content", {}).get("membership") == "leave"
        for event in events_of(carol.dump(room_id))
    )
    until("the leave at the hub", gone)
    if room_id in axle.call("GET", "/_matrix/client/v3/joined_rooms")["joined_rooms"]:
        raise AssertionError("Axle's user is still in the room")
    step("Axle left by an LPDU, and its user is out of the room")
    axle.restart()
    if room_id in axle.call("GET", "/_matrix/client/v3/joined_rooms")["joined_rooms"]:
        raise AssertionError("Axle's user is in the room again after a restart")
    step("and stays out of it after a restart")
    carol.socket.close()


def events_of(dump):
    """The ordered events, wherever in the dump they are."""
    if isinstance(dump, list):
        return dump
    return next((value for value in dump.values() if isinstance(value, list) and value), [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True, help="name of the running eigenserver, such as localhost:3000")
    parser.add_argument("--axle", default="target/release/axle", help="the axle binary")
    args = parser.parse_args()
    axle = Axle(args.axle, args.peer)
    try:
        axle_is_the_hub(axle, args.peer)
        eigenserver_is_the_hub(axle, args.peer)
    except (AssertionError, OSError) as error:
        print(f"FAILED: {error}\nthe server's log: {axle.folder}/axle.log", file=sys.stderr)
        return 1
    finally:
        axle.stop()
    shutil.rmtree(axle.folder)
    print("all steps passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
