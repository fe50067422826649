"""Thousands of synthetic adapters, registered at a server as clients do: uploaded, one by one."""

import concurrent.futures
import os
import shutil
import statistics
import time

from harness import peft

MOST_BYTES = 16 * 10**9
MANIFEST_BYTES = 4096  # of an adapter, at most
UPLOADS = 3            # at a time


class Fleet:
    """Adapters bench-0, bench-1 …, whose ranks follow one another in the order of `ranks`."""

    def __init__(self, model_dir, ranks):
        self._shapes = [peft.Shape(model_dir, rank, peft.ATTENTION) for rank in ranks]
        self.ranks = list(ranks)
        self.rank_bytes = self._shapes[0].bytes_per_rank()
        self.digests = []  # of those that are registered

    def shape(self, index):
        return self._shapes[index % len(self._shapes)]

    def disk_bytes(self, count):
        """Of `count` adapters in a store: originals, images and manifests."""
        return sum(self.shape(i).tensor_bytes + len(self.shape(i).config()) + MANIFEST_BYTES +
                   self.shape(i).image_bytes() for i in range(count))

    def register(self, server, count, scratch):
        """Uploads what is missing of the first `count`. What it took, or None."""
        missing = range(len(self.digests), count)
        if not missing:
            return None
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(UPLOADS) as threads:
            uploads = list(threads.map(lambda i: self._upload(server, i, scratch), missing))
        self.digests += [digest for digest, _ in uploads]
        took = time.monotonic() - begin
        return {"adapters": len(missing), "seconds": took,
                "upload_ms": 1000 * statistics.median(seconds for _, seconds in uploads),
                "bytes": sum(self.shape(i).tensor_bytes for i in missing)}

    def _upload(self, server, index, scratch):
        """The digest, and the seconds it took."""
        directory = os.path.join(scratch, f"bench-{index}")
        self.shape(index).write(directory, seed=index)
        begin = time.monotonic()
        try:
            adapter = server.upload(f"bench-{index}", directory)
        finally:
            shutil.rmtree(directory)
        return adapter["digest"], time.monotonic() - begin


def link_store(store, copy):
    """Another store of the same adapters, which takes no room: its files are written once and only
    replaced. The lock is each store's own."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(store, copy, copy_function=os.link, ignore=shutil.ignore_patterns("LOCK"))


def check_room(wanted, directory):
    """Ends the program unless so many bytes may be put there."""
    free = shutil.disk_usage(directory).free
    if wanted > MOST_BYTES:
        raise SystemExit(f"{wanted / 1e9:.1f} GB of adapters: at most {MOST_BYTES / 1e9:.0f} GB")
    # A tenth more, for what else the machine does meanwhile.
    if wanted * 1.1 > free:
        raise SystemExit(f"{directory}: {wanted / 1e9:.1f} GB of adapters and a tenth more wanted, "
                         f"{free / 1e9:.1f} GB are free; TMPDIR says where they go")


def tree_bytes(directory):
    """Of all files below."""
    return sum(os.path.getsize(os.path.join(path, name))
               for path, _, names in os.walk(directory) for name in names)
