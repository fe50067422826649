"""chorusd, and `chorus` against it."""

import json
import os
import signal
import subprocess
import time
import urllib.request

START_SECONDS = 120
STOP_SECONDS = 30
MODEL_NAME = "base"


class ServerProcess:
    """Starts chorusd on free ports of this machine; ends it when closed. `flags` are further ones;
    the store is a directory under `scratch` that the next process finds again."""

    def __init__(self, daemon, client, model_dir, scratch, pool_bytes, threads, flags=(),
                 store="server-store"):
        self._client = client
        self.store = os.path.join(scratch, store)
        self._log = os.path.join(scratch, store + ".log")
        port_file = os.path.join(scratch, "ports")
        if os.path.exists(port_file):
            os.unlink(port_file)
        with open(self._log, "w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [daemon, "--model", model_dir, "--served-model-name", MODEL_NAME,
                 "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
                 "--port-file", port_file, "--pool-bytes", str(pool_bytes),
                 "--threads", str(threads), "--store", self.store,
                 "--allow-volatile-store", *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            ports = self._wait_for_ports(port_file)
            self._address = f'127.0.0.1:{ports["grpc"]}'
            self._metrics = f'http://127.0.0.1:{ports["metrics"]}/metrics'
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

    def pause(self):
        """It computes nothing, and its clients wait, until it is resumed or closed."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        if self._process.poll() is None:
            self.resume()
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def bench(self, streams, prompt_tokens, max_tokens, seed, models=None):
        """One request a stream, all at once, or one of each of `models` in their order; what
        `chorus bench --json` says."""
        models = models or [MODEL_NAME] * streams
        answer = json.loads(self.client(
            "bench", *(word for model in models for word in ("--model", model)),
            "--concurrency", str(streams), "--requests", str(len(models)),
            "--prompt-tokens", str(prompt_tokens), "--max-tokens", str(max_tokens),
            "--temperature", "0", "--seed", str(seed), "--json"))
        wanted = len(models) * max_tokens
        if answer["errors"] or answer["completion_tokens"] != wanted:
            raise RuntimeError(f"chorus bench: {wanted} tokens wanted, got {answer}")
        return answer

    def generate(self, ids, models, max_tokens):
        """Greedy answers of all models at once to one prompt: the events of `chorus generate
        --json`, a choice's summary behind its tokens."""
        lines = self.client(
            "generate", *(word for model in models for word in ("--model", model)),
            "--token-ids", ",".join(map(str, ids)), "--max-tokens", str(max_tokens),
            "--temperature", "0", "--ignore-eos", "--json").splitlines()
        return [json.loads(line) for line in lines]

    def replay(self, trace, *flags, seed=1):
        """Begins `chorus bench --trace`; the answer is that of finish()."""
        return Replay(self._command("bench", "--model", MODEL_NAME, "--trace", trace,
                                    "--temperature", "0", "--seed", str(seed), "--json", *flags))

    def upload(self, name, directory):
        return json.loads(self.client("adapters", "upload", name, directory, "--json"))

    def status(self):
        return json.loads(self.client("status", "--json"))

    def resident_adapters(self):
        """Names of those in the pool, or on their way there."""
        lines = self.client("adapters", "list", "--json").splitlines()
        listed = map(json.loads, lines)
        return {a["name"] for a in listed if a["residency"] != "DISK"}

    def counters(self):
        """chorus_engine_* of /metrics and the adapters' loads and evictions, since the start."""
        with urllib.request.urlopen(self._metrics, timeout=10) as page:
            lines = page.read().decode().splitlines()
        found = {"time": time.monotonic()}
        for line in lines:
            name, _, value = line.rpartition(" ")
            if name.startswith(("chorus_engine_", "chorus_adapter_", "vllm:num_preemptions")):
                found[name] = float(value)
        return found

    def _command(self, command, *arguments):
        return [self._client, command, *arguments, "--server", self._address]

    def client(self, *arguments):
        """What `chorus` prints when it is asked these words."""
        done = subprocess.run(self._command(*arguments), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"chorus {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def _wait_for_ports(self, port_file):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with open(port_file, encoding="utf-8") as ports:
                    return dict(line.strip().split("=") for line in ports)
            except FileNotFoundError:
                time.sleep(0.05)
        with open(self._log, encoding="utf-8") as log:
            raise RuntimeError("chorusd did not become ready:\n" + log.read()[-4000:])


class Replay:
    """A `chorus bench --trace` under way."""

    def __init__(self, command):
        self.begin = time.monotonic()
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if not self.ended():
            self._process.kill()
        self._process.communicate()

    def ended(self):
        return self._process.poll() is not None

    def sleep_until(self, seconds):
        """From the begin on."""
        time.sleep(max(0.0, self.begin + seconds - time.monotonic()))

    def finish(self):
        out, err = self._process.communicate()
        # 1: some requests were refused, which the answer counts.
        if self._process.returncode not in (0, 1) or not out:
            raise RuntimeError(f"chorus bench --trace: {err.strip() or out.strip()}")
        return json.loads(out)
