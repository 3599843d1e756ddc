"""A WebSocket client of the few lines that a test needs: text frames, no extensions. RFC 6455."""

import base64
import os
import socket
import struct


class WebSocket:
    def __init__(self, host, port, path, timeout=20):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._some()
        head, self.buffer = head.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(f"no upgrade: {head!r}")

    def send(self, text):
        payload = text.encode()
        mask = os.urandom(4)
        if len(payload) < 126:
            length = struct.pack("!B", 0x80 | len(payload))
        else:
            length = struct.pack("!BH", 0x80 | 126, len(payload))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(b"\x81" + length + mask + masked)

    def receive(self):
        """The next text frame."""
        while True:
            first, second = self._take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._take(8))
            payload = self._take(length)
            if first & 0x0F == 1:
                return payload.decode()
            if first & 0x0F == 8:
                raise ConnectionError("closed")

    def close(self):
        self.socket.close()

    def _take(self, count):
        while len(self.buffer) < count:
            self.buffer += self._some()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _some(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        return data
