"""What a cold adapter costs: those who wait for it, and those who run beside it.

Cold: not in the pool, and its image not in the page cache either (written back, dropped with
posix_fadvise(DONTNEED), and seen to be gone with mincore). The control is the same request to an
adapter that lies in the pool, so that the load alone makes the difference.
"""

import ctypes
import glob
import json
import mmap
import os
import random
import statistics
import time

from workload import traces

from harness import ratio

RUNNERS = 8            # streams whose gaps are looked at
LOADS_PER_SECOND = 5
PROMPT, OUTPUT = 16, 1  # of a request that comes by
RUNNER_OUTPUT = 4000   # which is cut off before
LEAD = 2.0             # seconds for the runners' prompts
EDGE = 0.2             # seconds left out where a block begins
SLICE = 256 << 10      # bytes that the loader reads at a time
WARM = 4               # adapters that the control asks for
IDLE_GAP = 0.15        # seconds between requests at rest


class Images:
    """Images of a server's adapters bench-0 …, of which the first WARM stay out of this."""

    def __init__(self, server, digests):
        self._server, self._digests = server, digests
        self._next = WARM

    def path(self, index):
        digest = self._digests[index].removeprefix("sha256:")
        found = glob.glob(os.path.join(self._server.store, "images", "*", digest))
        if len(found) != 1:
            raise RuntimeError(f"bench-{index}: one image expected, got {found}")
        return found[0]

    def take_cold(self, count):
        """Adapters in turn that are not in the pool, out of the page cache by now."""
        resident, taken = self._server.resident_adapters(), []
        for _ in range(len(self._digests) - WARM):
            if len(taken) == count:
                break
            if f"bench-{self._next}" not in resident:
                make_cold(self.path(self._next))
                taken.append(self._next)
            self._next = max(WARM, (self._next + 1) % len(self._digests))
        if len(taken) < count:
            raise RuntimeError(f"{count} adapters wanted that are not in the pool, "
                               f"got {len(taken)} of {len(self._digests)}")
        return taken


def make_cold(path):
    with open(path, "r+b") as file:
        os.fsync(file.fileno())  # what is not written back cannot be dropped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if cached_pages(file.fileno()):
            raise RuntimeError(f"{path}: stays in the page cache; TMPDIR on a disk helps")


def cached_pages(descriptor):
    """Pages of the file that the page cache has."""
    size = os.fstat(descriptor).st_size
    pages = -(-size // mmap.PAGESIZE)
    state = (ctypes.c_ubyte * pages)()
    with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE) as memory:
        view = ctypes.c_char.from_buffer(memory)
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mincore(ctypes.c_void_p(ctypes.addressof(view)), ctypes.c_size_t(size), state)
        del view  # the mapping cannot be closed while somebody points into it
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(byte & 1 for byte in state)


def read_and_copy(path):
    """Seconds to read a cold file as the loader does, and to copy it once in memory."""
    make_cold(path)
    size = os.path.getsize(path)
    buffer, target = bytearray(size), bytearray(size)
    view = memoryview(buffer)
    begin = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        at = 0
        while at < size:
            at += file.readinto(view[at:at + SLICE])
    read = time.perf_counter() - begin
    begin = time.perf_counter()
    target[:] = buffer
    return read, time.perf_counter() - begin


def at_rest(server, images, scratch, count):
    """First tokens of warm and cold adapters in turns, while nothing else runs."""
    cold = images.take_cold(count)
    requests = []
    for i, index in enumerate(cold):
        for k, adapter in enumerate((i % WARM, index)):
            requests.append(traces.Request((2 * i + k) * IDLE_GAP, adapter, PROMPT, OUTPUT, ""))
    _warm_up(server, scratch)
    records = _replay(server, scratch, requests, seed=1)
    ttft = [r["first"] - r["due"] for r in records]
    reads = [read_and_copy(images.path(index)) for index in images.take_cold(count)]
    extra = statistics.median(c - w for w, c in zip(ttft[0::2], ttft[1::2]))
    read, copy = (statistics.median(part) for part in zip(*reads))
    return {"count": count, "warm_ms": 1000 * statistics.median(ttft[0::2]),
            "cold_ms": 1000 * statistics.median(ttft[1::2]), "extra_ms": 1000 * extra,
            "read_ms": 1000 * read, "copy_ms": 1000 * copy,
            "image_bytes": os.path.getsize(images.path(cold[0]))}


def beside_runners(server, images, scratch, seconds, budget, seed):
    """Blocks of so many seconds in pairs, in random order: the gaps between tokens of RUNNERS
    streams while LOADS_PER_SECOND requests a second go to cold adapters, and to warm ones."""
    draw = random.Random(seed)
    blocks = []
    while budget.goes_on(len(blocks), lambda: itl_target(blocks)["met"] is not None):
        order = draw.sample(("cold", "quiet"), 2)
        blocks.append(_pair(server, images, scratch, seconds, order, draw))
    return blocks


def _pair(server, images, scratch, seconds, order, draw):
    requests = [traces.Request(0.0, None, PROMPT, RUNNER_OUTPUT, "") for _ in range(RUNNERS)]
    count = int(LOADS_PER_SECOND * seconds)
    for k, kind in enumerate(order):
        adapters = images.take_cold(count) if kind == "cold" else [i % WARM for i in range(count)]
        begin = LEAD + k * seconds
        requests += [traces.Request(begin + i / LOADS_PER_SECOND, adapter, PROMPT, OUTPUT, "")
                     for i, adapter in enumerate(adapters)]
    _warm_up(server, scratch)
    loads = []
    records = _replay(server, scratch, requests, draw.randrange(1 << 31),
                      [LEAD + k * seconds for k in range(3)], loads, LEAD + 2 * seconds)
    # What was due in the last moment may not have been sent.
    runners = [r for r in records if r is not None and r["adapter"] is None]
    block = {}
    for k, kind in enumerate(order):
        gaps = [gaps_between(r, LEAD + k * seconds + EDGE, LEAD + (k + 1) * seconds)
                for r in runners]
        if not all(gaps):
            raise RuntimeError(f"{RUNNERS} streams that run all the time expected, got tokens in "
                               f"{sum(map(bool, gaps))} of them")
        every = sorted(gap for stream in gaps for gap in stream)
        block[kind] = {"p50_ms": percentile(every, 50), "p99_ms": percentile(every, 99),
                       "gaps": len(every), "steps": statistics.median(map(len, gaps)),
                       "loads": loads[k + 1] - loads[k]}
    return block


def _warm_up(server, scratch):
    _replay(server, scratch, [traces.Request(0.0, i, PROMPT, OUTPUT, "") for i in range(WARM)],
            seed=2)


def _replay(server, scratch, requests, seed, read_loads_at=(), loads=None, cut=None):
    """Records by index in `requests`; answers are cut off after `cut` seconds."""
    order = sorted(range(len(requests)), key=lambda i: requests[i].arrival)
    trace, lines = os.path.join(scratch, "cold.jsonl"), os.path.join(scratch, "cold-records.jsonl")
    traces.write([requests[i] for i in order], trace)
    flags = ["--records", lines] + ([] if cut is None else ["--cut", f"{cut}s"])
    with server.replay(trace, *flags, seed=seed) as replay:
        for at in read_loads_at:
            replay.sleep_until(at)
            loads.append(server.counters()['chorus_adapter_loads_total{result="loaded"}'])
        answer = replay.finish()
    if answer["errors"]:
        raise RuntimeError(f"cold loads: no error expected, got {answer}")
    records = [None] * len(requests)
    with open(lines, encoding="utf-8") as text:
        for line in text:
            record = json.loads(line)
            records[order[record["index"]]] = record
    return records


def gaps_between(record, begin, end):
    """Milliseconds between tokens that came within [begin, end) of the replay."""
    found, time_of = [], record["first"]
    for gap in record["gaps_ms"]:
        time_of += gap / 1000
        if begin <= time_of < end:
            found.append(gap)
    return found


def percentile(ordered, percent):
    """As NumPy's default."""
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def itl_target(blocks):
    r = ratio.Ratio([b["cold"]["p99_ms"] for b in blocks], [b["quiet"]["p99_ms"] for b in blocks])
    steps = sum(b[kind]["steps"] for b in blocks for kind in ("cold", "quiet"))
    return ratio.target(f"ITL p99 of {RUNNERS} streams: {LOADS_PER_SECOND} cold loads a second ÷ "
                        "the same requests to resident adapters", r.value, 1.10, "lower",
                        r.half_width, 0.05, note=f"{steps:.0f} steps")


def first_token_target(rest):
    return ratio.target("a cold adapter's extra first-token time ÷ (its read + one copy)",
                        rest["extra_ms"] / (rest["read_ms"] + rest["copy_ms"]), 1.0, "lower")
