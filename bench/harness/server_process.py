"""chorusd, and `chorus bench` against it."""

import json
import os
import signal
import subprocess
import time

START_SECONDS = 60
STOP_SECONDS = 30
MODEL_NAME = "base"


class ServerProcess:
    """Starts chorusd on free ports of this machine; ends it when closed."""

    def __init__(self, daemon, client, model_dir, scratch, pool_bytes, threads):
        self._client = client
        self._log = os.path.join(scratch, "chorusd.log")
        port_file = os.path.join(scratch, "ports")
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [daemon, "--model", model_dir, "--served-model-name", MODEL_NAME,
                 "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
                 "--port-file", port_file, "--pool-bytes", str(pool_bytes),
                 "--threads", str(threads), "--store", os.path.join(scratch, "server-store"),
                 "--allow-volatile-store"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._address = self._wait_for_address(port_file)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def pid(self):
        return self._process.pid

    def close(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def bench(self, streams, prompt_tokens, max_tokens, seed):
        """One request a stream, all at once; what `chorus bench --json` says."""
        done = subprocess.run(
            [self._client, "bench", "--server", self._address, "--model", MODEL_NAME,
             "--concurrency", str(streams), "--requests", str(streams),
             "--prompt-tokens", str(prompt_tokens), "--max-tokens", str(max_tokens),
             "--temperature", "0", "--seed", str(seed), "--json"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"chorus bench: {done.stderr.strip() or done.stdout.strip()}")
        answer = json.loads(done.stdout)
        wanted = streams * max_tokens
        if answer["errors"] or answer["completion_tokens"] != wanted:
            raise RuntimeError(f"chorus bench: {wanted} tokens wanted, got {answer}")
        return answer

    def _wait_for_address(self, port_file):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with open(port_file, encoding="utf-8") as ports:
                    named = dict(line.strip().split("=") for line in ports)
                return f'127.0.0.1:{named["grpc"]}'
            except FileNotFoundError:
                time.sleep(0.05)
        with open(self._log, encoding="utf-8") as log:
            raise RuntimeError("chorusd did not become ready:\n" + log.read()[-4000:])
