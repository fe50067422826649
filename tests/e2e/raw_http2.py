"""Just enough HTTP/2 (RFC 9113, RFC 7541) by hand to be the client that no library lets one be."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 4
CANCEL = 8


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def literal(name: str, value: str) -> bytes:
    """A header field without indexing, its strings as they are."""

    def text(data: bytes) -> bytes:
        assert len(data) < 127
        return bytes([len(data)]) + data

    return b"\x00" + text(name.encode()) + text(value.encode())


def call_headers(path: str) -> bytes:
    return b"".join(
        literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
    )


def message(data: bytes) -> bytes:
    """A gRPC message, not compressed."""
    return b"\0" + struct.pack(">I", len(data)) + data


class RawConnection:
    """A connection that answers nothing by itself, but pings and settings while it is read."""

    def __init__(self, port: int, window: int = 65535, receive_buffer: int | None = None):
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        setting = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.send(PREFACE + frame(SETTINGS, 0, 0, setting))
        self._buffer = b""

    def send(self, data: bytes):
        self.socket.sendall(data)

    def call(self, stream: int, path: str, data: bytes):
        self.send(
            frame(HEADERS, END_HEADERS, stream, call_headers(path))
            + frame(DATA, END_STREAM, stream, message(data))
        )

    def widen(self, by: int):
        """Lets the whole connection carry more than the 65,535 bytes it begins with."""
        self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", by)))

    def reset(self, stream: int):
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))

    def read_frame(self):
        """(kind, flags, stream, payload), or None when the server has closed the connection."""
        header = self._read(9)
        if header is None:
            return None
        payload = self._read(int.from_bytes(header[:3], "big"))
        if payload is None:
            return None
        kind, flags, stream = header[3], header[4], int.from_bytes(header[5:9], "big")
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        return kind, flags, stream, payload

    def read_until(self, kind: int, stream: int = 0):
        """The first frame of this kind; None when the connection ends before it."""
        while True:
            got = self.read_frame()
            if got is None or (got[0] == kind and got[2] == stream):
                return got

    def _read(self, count: int):
        while len(self._buffer) < count:
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            if not data:
                return None
            self._buffer += data
        result, self._buffer = self._buffer[:count], self._buffer[count:]
        return result

    def vanish(self):
        """Closes hard: the peer gets a reset, not an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
