"""chorus_engine_bench at the other end of a pipe."""

import json
import subprocess


class EngineProcess:
    """Starts the program and asks it; ends it when closed."""

    def __init__(self, program, model_dir, store_dir, pool_bytes, workers, adapters):
        self._process = subprocess.Popen(
            [program, model_dir, store_dir, str(pool_bytes), str(workers), *adapters],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.description = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)

    @property
    def pid(self):
        return self._process.pid

    def ask(self, command):
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise RuntimeError(f'{command}: {answer["error"]}')
        return answer

    def wave(self, streams, prompt_tokens, max_tokens, adapters, seed):
        who = "adapters" if adapters else "base"
        return self.ask(f"wave {streams} {prompt_tokens} {max_tokens} {who} {seed}")

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"chorus_engine_bench ended with status {self._process.wait()}")
        return json.loads(line)
