"""What a process holds of memory, from /proc."""

import re


def _kib(text, field):
    found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def resident(pid, pool_bytes):
    """Bytes: `rss` now, `peak`, `pss`; `untouched`, what of the mappings as large as the pool no one
    has written yet; and `full`, what will be resident once every page of the pool was in use."""
    status = _read(f"/proc/{pid}/status")
    rss = _kib(status, "VmRSS")
    untouched = 0
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", _read(f"/proc/{pid}/smaps"),
                            flags=re.MULTILINE):
        size = _kib(mapping, "Size")
        if size >= pool_bytes and "rw-p" in mapping.partition("\n")[0]:
            untouched += size - _kib(mapping, "Rss")
    return {
        "rss": rss,
        "peak": _kib(status, "VmHWM"),
        "pss": _kib(_read(f"/proc/{pid}/smaps_rollup"), "Pss"),
        "untouched": untouched,
        "full": rss + untouched,
    }
