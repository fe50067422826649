"""A peer's processes: started, waited for, stopped and let go on, ended."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

from peers import cache

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_SECONDS = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Child:
    """A program in a session of its own. Ends, with all that it started, when closed."""

    def __init__(self, command, log_path, env=None, pipes=False):
        self.log_path = log_path
        end = subprocess.PIPE if pipes else subprocess.DEVNULL
        with open(log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdin=end,
                stdout=subprocess.PIPE if pipes else log, stderr=log, text=True, env=env,
                cwd=os.path.dirname(log_path), start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def states(self):
        """{pid: state, as /proc has it} of the process and all that came of it, those of its
        session; what has ended is left out."""
        found = {}
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError), \
                    open(f"/proc/{int(name)}/stat", encoding="utf-8", errors="replace") as text:
                state, _, _, session, *_ = text.read().rpartition(")")[2].split()
                if int(session) == self.pid and state not in "ZX":
                    found[int(name)] = state
        return found

    def pause(self):
        """Returns once all of it stands still."""
        self._signal(signal.SIGSTOP)
        give_up = time.monotonic() + PATIENCE_SECONDS
        while set(self.states().values()) - {"T"}:
            if time.monotonic() > give_up:
                raise self.failed("does not stop")
            time.sleep(0.001)

    def resume(self):
        self._signal(signal.SIGCONT)

    def close(self):
        """Asks first, then does not ask."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            self._signal(signal.SIGCONT)
            give_up = time.monotonic() + PATIENCE_SECONDS
            while self._runs() and time.monotonic() < give_up:
                time.sleep(0.02)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def resident_bytes(self):
        """Resident memory, what processes share counted once (Pss)."""
        total = 0
        for pid in self.states():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup",
                                                    encoding="utf-8") as text:
                total += sum(int(line.split()[1]) << 10 for line in text
                             if line.startswith("Pss:"))
        return total

    def failed(self, what):
        status = self.process.poll()
        ended = "" if status is None else f" (it ended with status {status})"
        return RuntimeError(f"{what}{ended}; {self.log_path} ends so:\n"
                            + cache.tail(self.log_path))

    def wait_until(self, ready, seconds):
        """Polls `ready`; raises with the log's end when the process ends or time is up."""
        give_up = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise self.failed(f"not ready within {seconds} s")
            time.sleep(0.1)

    def _runs(self):
        return self.process.poll() is None or bool(self.states())

    def _signal(self, number):
        for pid in self.states():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class HttpServer(Child):
    """A child that serves HTTP on a port of this machine. A subclass says in `complete` how it is
    asked: prompts, an adapter or None for each, tokens, how many at a time."""

    LIMIT_SECONDS = 900

    def __init__(self, command, port, log_path, ready_seconds, env=None):
        super().__init__(command, log_path, env)
        self.port = port
        try:
            self.wait_until(self._answers, ready_seconds)
        except BaseException:
            self.close()
            raise

    def wave(self, wave):
        answer = self.complete(wave.prompts(), wave.adapters, wave.max_tokens, wave.concurrency)
        answer.pop("outputs")
        return answer

    def answers(self, prompts, adapters, max_tokens, concurrency):
        return self.complete(prompts, adapters, max_tokens, concurrency)["outputs"]

    def load(self, dialect, path, bodies, concurrency):
        """What http_load.py says of it."""
        spec = {"port": self.port, "concurrency": concurrency, "limit_seconds": self.LIMIT_SECONDS,
                "dialect": dialect, "path": path, "bodies": bodies}
        done = subprocess.run([sys.executable, os.path.join(HERE, "http_load.py")],
                              input=json.dumps(spec), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise self.failed(done.stderr.strip())
        return json.loads(done.stdout)

    def _answers(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
