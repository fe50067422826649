"""The folder outside the tree that holds the peers: environments, builds, converted weights."""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VARIABLE = "CHORUS_PEERS"
SPARE_BYTES = 2 << 30  # that an installation leaves free


class Missing(Exception):
    """A peer cannot be had here; the text is the reason."""


class Cache:
    def __init__(self, directory=None):
        self.directory = os.path.abspath(
            directory or os.environ.get(VARIABLE)
            or os.path.join(os.path.expanduser("~"), ".cache", "chorus-peers"))

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def log(self, name):
        os.makedirs(self.path("log"), exist_ok=True)
        return self.path("log", name)

    def has(self, stamp, text):
        """Whether the work that leaves `stamp` was done from `text`."""
        try:
            with open(self.path(stamp), encoding="utf-8") as file:
                return file.read() == text
        except FileNotFoundError:
            return False

    def done(self, stamp, text):
        with open(self.path(stamp), "w", encoding="utf-8") as file:
            file.write(text)

    def want_space(self, what, download_bytes, disk_bytes):
        """Says what will come, and raises Missing where it has no room."""
        os.makedirs(self.directory, exist_ok=True)
        free = shutil.disk_usage(self.directory).free
        say(f"{what}: downloads {_size(download_bytes)}, takes {_size(disk_bytes)} in "
            f"{self.directory} ({_size(free)} free)")
        if free < disk_bytes + SPARE_BYTES:
            raise Missing(f"no room: {_size(disk_bytes + SPARE_BYTES)} wanted in {self.directory}, "
                          f"{_size(free)} free")

    # Virtual environments, each from a file of pinned versions beside this one.

    def python(self, name):
        return self.path(name, "bin", "python")

    def has_venv(self, name):
        return self.has(os.path.join(name, "pinned"), _pins(name))

    def make_venv(self, name):
        shutil.rmtree(self.path(name), ignore_errors=True)
        self.run(f"{name}-venv", sys.executable, "-m", "venv", self.path(name))
        self.run(f"{name}-pip", self.python(name), "-m", "pip", "install", "--no-deps",
                 "--no-cache-dir", "--disable-pip-version-check", "--progress-bar", "off",
                 "-r", os.path.join(HERE, f"{name}.txt"))
        self.done(os.path.join(name, "pinned"), _pins(name))

    def run(self, log_name, *command, cwd=None, env=None):
        """Raises Missing, with the end of what it printed, when it fails."""
        say("  " + " ".join(command[:4]) + (" …" if len(command) > 4 else ""))
        path = self.log(log_name + ".log")
        with open(path, "w", encoding="utf-8") as log:
            done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise Missing(f"{command[0]} ended with status {done.returncode}; {path} ends so:\n"
                          + tail(path))


def say(line):
    print(line, file=sys.stderr, flush=True)


def tail(path, size=3000):
    with open(path, "rb") as file:
        return file.read()[-size:].decode(errors="replace")


def pinned(name, package):
    """The version of `package` that NAME.txt pins."""
    for line in _pins(name).splitlines():
        if line.lower().startswith(package.lower() + "=="):
            return line.partition("==")[2].strip()
    raise KeyError(f"{name}.txt does not pin {package}")


def _pins(name):
    with open(os.path.join(HERE, f"{name}.txt"), encoding="utf-8") as file:
        return file.read()


def _size(count):
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
