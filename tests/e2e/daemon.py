"""chorusd as a child process."""

import os
import signal
import subprocess
import time
from pathlib import Path

from stubs import BIN

# Long enough for a busy machine under a sanitizer; nobody waits for it unless something is wrong.
PATIENCE = float(os.environ.get("CHORUS_TEST_PATIENCE", 60))


def wait_until(condition, what: str, patience: float = PATIENCE):
    """Polls until `condition()` is true, and returns what it gave."""
    give_up = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < give_up, f"waited {patience} s in vain: {what}"
        time.sleep(0.005)


class Daemon:
    """One chorusd in a directory of its own, which it can be started in again."""

    def __init__(self, directory: Path, model: Path, **flags):
        """`flags` are chorusd's, with underscores; a value of None leaves a default flag out."""
        self.directory = directory
        self.flags = {
            "model": model,
            "served_model_name": "base",
            "store": directory / "store",
            "allow_volatile_store": True,
            "listen": "127.0.0.1:0",
            "metrics_listen": "127.0.0.1:0",
            "port_file": directory / "ports",
            "pool_bytes": "64MiB",
            "threads": 1,
            **flags,
        }
        self.max_files = None  # RLIMIT_NOFILE
        self.process = None
        directory.mkdir(parents=True, exist_ok=True)

    def arguments(self) -> list:
        result = [str(BIN / "chorusd")]
        for name, value in self.flags.items():
            flag = "--" + name.replace("_", "-")
            if value is True:
                result.append(flag)
            elif value is False:
                result.append(flag.replace("--", "--no-", 1))
            elif value is not None:
                result.append(f"{flag}={value}")
        return result

    def spawn(self) -> "Daemon":
        # No preexec_fn: forking a process in which gRPC has threads is not safe.
        prefix = ["setpriv", "--pdeathsig", "KILL"]
        if self.max_files is not None:
            prefix += ["prlimit", f"--nofile={self.max_files}:{self.max_files}"]
        (self.directory / "ports").unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.arguments()], stdout=log, stderr=log, cwd=self.directory
            )
        return self

    def start(self) -> "Daemon":
        self.spawn()
        wait_until(lambda: self.ended or self.ports, "chorusd writes its port file")
        assert not self.ended, f"chorusd ended with {self.process.returncode}:\n{self.log}"
        return self

    @property
    def log_path(self) -> Path:
        return self.directory / "log"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def ports(self) -> dict:
        try:
            lines = (self.directory / "ports").read_text().split()
        except FileNotFoundError:
            return {}
        return {name: int(port) for name, port in (line.split("=") for line in lines)}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports['grpc']}"

    def signal(self, number: int):
        os.kill(self.process.pid, number)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def kill(self):
        if self.process is not None and not self.ended:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Drains it, and returns its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()
