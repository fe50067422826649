#!/usr/bin/env python3
"""A closed loop of streamed completions over HTTP, for the peers that speak it; the counterpart of
`chorus bench`, in a process of its own so that its processor time is known.

Reads a JSON object from standard input and prints one:
  {"port", "concurrency", "limit_seconds", "dialect": "openai" | "llama", "path", "bodies": [{…}]}
  → {"requests", "completion_tokens", "seconds", "client_cpu_seconds", "ttft_ms", "itl_ms",
     "outputs": [[token ids; null where the server does not say one], …]}

While requests run it only receives: one thread, a read and a time for each piece that arrives. What
the pieces say is found out after the last one, and costs nobody's time.
"""

import bisect
import itertools
import json
import resource
import selectors
import socket
import sys
import time

RECEIVE_BYTES = 1 << 16
LAST_CHUNK = b"\r\n0\r\n\r\n"


class LoadError(Exception):
    pass


class Stream:
    """One request: what came, and when."""

    def __init__(self, port, message):
        self.begin = time.monotonic()
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(message)
        self.pieces = []  # (time, bytes)
        self._end = b""

    def receive(self):
        """True when the answer has ended."""
        data = self.socket.recv(RECEIVE_BYTES)
        if data:
            self.pieces.append((time.monotonic(), data))
            self._end = (self._end + data)[-len(LAST_CHUNK):]
        if data and self._end != LAST_CHUNK:
            return False
        self.socket.close()
        return True


def request(port, path, body):
    content = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n").encode() + content


def run(port, messages, concurrency, limit_seconds):
    """The ended streams in the order of the messages, seconds, processor seconds."""
    streams = [None] * len(messages)
    waiting = iter(enumerate(messages))
    running = 0
    with selectors.DefaultSelector() as selector:

        def begin_next():
            index, message = next(waiting, (None, None))
            if message is None:
                return 0
            streams[index] = Stream(port, message)
            selector.register(streams[index].socket, selectors.EVENT_READ, streams[index])
            return 1

        begin, cpu = time.monotonic(), _cpu_seconds()
        running = sum(begin_next() for _ in range(concurrency))
        while running:
            ready = selector.select(max(0.0, begin + limit_seconds - time.monotonic()))
            if not ready:
                raise LoadError(f"{running} requests had not ended after {limit_seconds} s")
            for key, _ in ready:
                selector.unregister(key.fileobj)
                if not key.data.receive():
                    selector.register(key.fileobj, selectors.EVENT_READ, key.data)
                else:
                    running += begin_next() - 1
        return streams, time.monotonic() - begin, _cpu_seconds() - cpu


def _cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def events(pieces):
    """(time, object) of each server-sent event of an answer; its time is that of the piece which
    completed it."""
    raw = b"".join(data for _, data in pieces)
    head, separator, _ = raw.partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].decode(errors="replace")
    position = len(head) + len(separator)
    if " 200" not in status[:13]:
        raise LoadError(f"{status or 'no answer'}: {raw[position:][:500].decode(errors='replace')}")
    ends = list(itertools.accumulate(len(data) for _, data in pieces))
    if b"transfer-encoding: chunked" in head.lower():
        parts = _chunks(raw, position)
    else:
        parts = [(max(end - len(data), position), end) for end, (_, data) in zip(ends, pieces)]
    text, found = b"", []
    for begin, end in parts:
        text += raw[begin:end]
        when = pieces[bisect.bisect_left(ends, end)][0]
        *complete, text = text.replace(b"\r\n", b"\n").split(b"\n\n")
        for event in complete:
            data = b"".join(line[5:].strip() for line in event.split(b"\n")
                            if line.startswith(b"data:"))
            if data and data != b"[DONE]":
                found.append((when, json.loads(data)))
    return found


def _chunks(raw, position):
    """[begin, end) of each chunk's content."""
    while True:
        line_end = raw.find(b"\r\n", position)
        if line_end < 0:
            raise LoadError("the answer was cut off")
        size = int(raw[position:line_end].partition(b";")[0], 16)
        if size == 0:
            return
        begin = line_end + 2
        yield begin, begin + size
        position = begin + size + 2


def openai_tokens(event, _before):
    """Token ids of a chunk of /v1/completions (asked for with return_token_ids)."""
    if "error" in event:
        raise LoadError(str(event["error"]))
    return [token for choice in event.get("choices", ()) for token in choice.get("token_ids") or ()]


def llama_tokens(event, before):
    """Token ids of a chunk of llama.cpp's /completion (asked for with return_tokens) after as many
    as `before`. A token that ends within a character comes in no chunk, and is counted in the next:
    None stands for it. The last chunk repeats none."""
    if "error" in event:
        raise LoadError(str(event["error"]))
    tokens = event.get("tokens") or []
    return [None] * (event["tokens_predicted"] - before - len(tokens)) + tokens


DIALECTS = {"openai": openai_tokens, "llama": llama_tokens}


def summary(streams, seconds, cpu_seconds, tokens_of):
    outputs, ttft_ms, itl_ms = [], [], []
    for stream in streams:
        output, last = [], None
        for when, event in events(stream.pieces):
            tokens = tokens_of(event, len(output))
            if not tokens:
                continue
            if last is None:
                ttft_ms.append(1e3 * (when - stream.begin))
                # Tokens that come with the first one share its time.
                itl_ms += [0.0] * (len(tokens) - 1)
            else:
                itl_ms += [1e3 * (when - last) / len(tokens)] * len(tokens)
            last = when
            output += tokens
        outputs.append(output)
    return {
        "requests": len(streams),
        "completion_tokens": sum(map(len, outputs)),
        "seconds": seconds,
        "client_cpu_seconds": cpu_seconds,
        "ttft_ms": percentiles(ttft_ms),
        "itl_ms": percentiles(itl_ms),
        "outputs": outputs,
    }


def percentiles(samples):
    """As `chorus bench` has them: linear between neighbours."""
    ordered = sorted(samples)

    def at(share):
        if not ordered:
            return 0.0
        place = share * (len(ordered) - 1)
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return ordered[low] + (place - low) * (ordered[high] - ordered[low])

    return {"p50": at(0.50), "p90": at(0.90), "p99": at(0.99)}


def load(spec):
    messages = [request(spec["port"], spec["path"], body) for body in spec["bodies"]]
    done = run(spec["port"], messages, spec["concurrency"], spec["limit_seconds"])
    return summary(*done, DIALECTS[spec["dialect"]])


def main():
    try:
        json.dump(load(json.load(sys.stdin)), sys.stdout)
    except (LoadError, OSError) as error:
        print(f"http_load: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
