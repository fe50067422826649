"""What the bundle for a machine with a GPU says of programs that pass, fail, crash, hang and skip:
its scripts, on programs that only pretend."""

import importlib.machinery
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUNDLED = os.path.join(ROOT, "bench/gpu/bundled")
sys.dont_write_bytecode = True

GPU = """
def find_gpu():
    return {"usable": True, "gpus": [{"name": "Pretended"}], "looked": [], "why": ""}
def say(found, program):
    return True
def lora_pages(found):
    return 64
"""
# Writes what GoogleTest would; `results` is a list of (name, RUN or SKIPPED, fails).
GOOGLE_TEST = """#!/usr/bin/env python3
import json, os, signal, sys, time
report = [a.split(":", 1)[1] for a in sys.argv if a.startswith("--gtest_output=json:")][0]
def write(results):
    tests = [{{"name": n, "status": "RUN", "result": r, **({{"failures": [1]}} if f else {{}})}}
             for n, r, f in results]
    json.dump({{"testsuites": [{{"name": "S", "testsuite": tests}}]}}, open(report, "w"))
    return any(f for _, _, f in results)
done = json.load(open("results/check.json"))["groups"]
print("groups before this one:", [g["name"] for g in done])
{body}
"""


def load(name):
    """A script without .py as a module."""
    path = os.path.join(BUNDLED, name)
    loader = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class Bundle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(BUNDLED, self.folder, dirs_exist_ok=True)
        os.mkdir(os.path.join(self.folder, "bin"))
        self.groups = []
        self.write("find_gpu.py", GPU)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def add_group(self, name, body, timeout=30):
        self.write(f"bin/gpu_{name}_test", GOOGLE_TEST.format(body=body))
        self.groups.append({"name": name, "program": f"gpu_{name}_test", "arguments": [],
                            "timeout": timeout})

    def run_script(self, name, *arguments, path=""):
        self.write("manifest.json", json.dumps({"commit": "abc", "groups": self.groups}))
        environment = {**os.environ, "PATH": path + os.pathsep + os.environ["PATH"]}
        return subprocess.run([os.path.join(self.folder, name), *arguments], text=True,
                              env=environment, capture_output=True, check=False)

    def read(self, name):
        with open(os.path.join(self.folder, "results", name), encoding="utf-8") as file:
            return file.read()


class CheckTest(Bundle):
    def test_goes_on_after_whatever_happens_and_says_what_did(self):
        self.add_group("good", 'write([("A", "COMPLETED", False)])')
        self.add_group("bad", 'sys.exit(write([("A", "COMPLETED", False), ("B", "COMPLETED", 1)]))')
        self.add_group("crash", "os.kill(os.getpid(), signal.SIGSEGV)")
        self.add_group("hang", "time.sleep(600)", timeout=1)
        self.add_group("early", 'print("no driver"); sys.exit(3)')
        self.add_group("skip", 'write([("A", "SKIPPED", False)])')
        self.add_group("some", 'write([("A", "SKIPPED", False), ("B", "COMPLETED", False)])')
        done = self.run_script("check")
        report = json.loads(self.read("check.json"))
        self.assertEqual(
            {g["name"]: g["state"] for g in report["groups"]},
            {"good": "ok", "bad": "FAILED", "crash": "killed by SIGSEGV", "hang": "no end after 1 s",
             "early": "exit status 3", "skip": "nothing ran", "some": "ok"})
        self.assertEqual(report["groups"][1]["failed"], ["S.B"])
        self.assertEqual(report["groups"][6]["skipped"], ["S.A"])
        self.assertTrue(report["done"])
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("NOT all is well: bad (FAILED), crash (killed by SIGSEGV)", done.stdout)
        self.assertIn("| no driver", done.stdout)
        self.assertIn("2 tests were skipped", done.stdout)
        self.assertIn("['good', 'bad', 'crash', 'hang', 'early']", self.read("skip.log"))

    def test_benches_that_check_are_groups_too(self):
        for name in ("chorus_lora_bench", "chorus_step_bench"):
            self.write(f"bin/{name}", '#!/bin/sh\necho "called with $*"\n')
            self.groups.append({"name": name, "program": name, "arguments": ["--some"],
                                "timeout": 30})
        done = self.run_script("check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("called with --some --ids 64\n", self.read("chorus_lora_bench.log"))
        self.assertIn("called with --some\n", self.read("chorus_step_bench.log"))

    def test_scripts_of_the_bundle_are_groups_too(self):
        self.write("ask_server", '#!/bin/sh\necho "asked with $*"\nexit 4\n')
        self.groups = [{"name": "server", "script": "ask_server", "arguments": ["x"],
                        "timeout": 30}]
        done = self.run_script("check")
        self.assertEqual(done.returncode, 1)
        self.assertIn("| asked with x", done.stdout)

    def test_passes_when_all_pass(self):
        self.add_group("good", 'write([("A", "COMPLETED", False)])')
        self.add_group("other", "sys.exit(1)")
        done = self.run_script("check", "--only", "good")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("all 1 groups passed", done.stdout)
        self.assertEqual(self.run_script("check", "--only", "nonesuch").returncode, 1)

    def sanitize(self, lines, ran="COMPLETED", timeout=30):
        """./check with a sanitizer that ends as these lines of a shell script say, after the
        program."""
        self.write("bin/gpu_good_test", GOOGLE_TEST.format(body=f'write([("A", "{ran}", False)])'))
        self.groups = [{"name": "sanitizer", "timeout": 60, "runs": [
            {"tool": "racecheck", "program": "gpu_good_test", "filter": "*A*", "timeout": timeout}]}]
        self.write("compute-sanitizer", """#!/bin/sh
[ "$1 $2" = "--tool racecheck" ] || exit 9
shift 2
case "$*" in *--gtest_filter=\\*A\\**) "$@" ;; *) exit 8 ;; esac
""" + lines)
        done = self.run_script("check", path=self.folder)
        return json.loads(self.read("check.json"))["groups"][0], done

    def test_the_sanitizer_finds_or_finds_nothing(self):
        summary = 'echo "========= RACECHECK SUMMARY: %d hazards displayed (%d errors, 2 warnings)"'
        group, done = self.sanitize(summary % (2, 0))
        self.assertEqual((group["state"], group["tests"]), ("ok", 1))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        group, done = self.sanitize(summary % (5, 3))
        self.assertEqual((group["state"], group["runs"][0]["errors"]), ("FAILED", 3))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.sanitize(summary % (0, 0) + "; exit 1")[0]["state"], "FAILED")
        self.assertEqual(self.sanitize(summary % (0, 0), "SKIPPED")[0]["state"], "nothing ran")

    def test_a_sanitizer_that_may_not_or_is_not_there_is_no_failure(self):
        group, done = self.sanitize('echo "Error: no permission"; exit 255')
        self.assertEqual(group["state"], "refused here")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("could not say anything: sanitizer (refused here)", done.stdout)
        self.assertIn("| Error: no permission", done.stdout)
        self.assertEqual(self.sanitize("sleep 600", timeout=1)[0]["state"], "no end")
        with open(os.path.join(BUNDLED, "sanitizer.py"), encoding="utf-8") as file:
            self.write("sanitizer.py", file.read().replace("compute-sanitizer\"", "nonesuch\""))
        done = self.run_script("check")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("sanitizer (not found)", done.stdout)

    def test_without_a_gpu_names_what_it_looked_for(self):
        with open(os.path.join(BUNDLED, "find_gpu.py"), encoding="utf-8") as file:
            self.write("find_gpu.py", file.read().replace("libcuda.so.1", "libnonesuch.so.1"))
        self.add_group("good", 'write([("A", "COMPLETED", False)])')
        for script in ("check", "measure"):
            done = self.run_script(script)
            self.assertEqual(done.returncode, 1)
            self.assertIn("no GPU was found", done.stdout)
            self.assertIn("libnonesuch.so.1: cannot open", done.stdout)
            self.assertIn("/dev/nvidiactl", done.stdout)
        self.assertEqual(json.loads(self.read("check.json"))["not_run"], ["good"])


DRIVER = """
#include <stdio.h>
int cuInit(unsigned flags) { return INIT_ERROR; }
int cuGetErrorName(int error, const char** name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
int cuDriverGetVersion(int* version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int* count) { *count = 1; return 0; }
int cuDeviceGet(int* device, int index) { *device = index + 7; return 0; }
int cuDeviceGetName(char* name, int size, int device) {
  return snprintf(name, size, "Pretended %d", device) < 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { *bytes = 80ull << 30; return 0; }
int cuDeviceGetAttribute(int* value, int which, int device) {
  *value = which == 75 ? MAJOR : which == 76 ? 0 : which == 16 ? 132 : -1;
  return device != 7;
}
"""


class FindGpuTest(Bundle):
    def ask(self, version=13000, major=9, init_error=0):
        """What the bundle finds with a driver of that kind."""
        driver = os.path.join(self.folder, "libcuda.so.1")
        self.write("driver.c", DRIVER)
        subprocess.run(["cc", "-shared", "-fPIC", f"-DVERSION={version}", f"-DMAJOR={major}",
                        f"-DINIT_ERROR={init_error}", os.path.join(self.folder, "driver.c"), "-o",
                        driver], check=True)
        shutil.copy(os.path.join(BUNDLED, "find_gpu.py"), self.folder)
        program = "import find_gpu, json; print(json.dumps(find_gpu.find_gpu()))"
        done = subprocess.run([sys.executable, "-B", "-c", program], cwd=self.folder, text=True,
                              env={**os.environ, "LD_LIBRARY_PATH": self.folder}, check=True,
                              capture_output=True)
        return json.loads(done.stdout)

    def test_describes_the_gpu_as_the_driver_does(self):
        found = self.ask()
        self.assertTrue(found["usable"])
        self.assertEqual(found["gpus"], [{"name": "Pretended 7", "compute_capability": [9, 0],
                                          "multiprocessors": 132, "bytes": 80 << 30}])
        self.assertIn("libcuda.so.1: for CUDA 13.0, 1 GPUs", found["looked"])

    def test_says_why_a_gpu_that_is_there_cannot_be_used(self):
        self.assertEqual(self.ask(version=12080)["why"],
                         "the driver is for CUDA 12.8, 13.0 is needed")
        self.assertEqual(self.ask(major=7)["why"], "compute capability 7.0, 8.0 is needed")
        refused = self.ask(init_error=100)
        self.assertEqual(refused["why"], "no GPU was found")
        self.assertIn("libcuda.so.1: cuInit says CUDA_ERROR_NO_DEVICE", refused["looked"])


class MeasureTest(Bundle):
    BENCH = """#!/bin/sh
while [ $# -gt 0 ]; do
  case $1 in --json) json=$2 ;; --ceilings) ceilings=1 ;; --shape) shape=$2 ;; esac
  shift
done
echo "{\\"read_gb_s\\": 3000, \\"shape\\": \\"$shape\\", \\"cases\\": [1]}" >"$json"
"""

    def measure(self, lora, steps, torch, *arguments):
        """./measure with programs that end as these lines say; its report and how it ended."""
        self.write("bin/chorus_lora_bench", self.BENCH + lora)
        self.write("bin/chorus_step_bench", self.BENCH + steps)
        self.write("torch_baseline.py", self.BENCH + torch)
        done = self.run_script("measure", *arguments)
        return json.loads(self.read("measure.json")), done

    def test_keeps_what_was_measured_before_the_budget_was_spent(self):
        report, done = self.measure('[ -n "$ceilings" ] || exec sleep 600', "", "", "--budget", "2")
        self.assertEqual([m["name"] for m in report["measurements"]], ["ceilings", "lora"])
        self.assertEqual(report["measurements"][0]["state"], "ok")
        self.assertIn("no end after", report["measurements"][1]["state"])
        self.assertEqual(report["measurements"][1]["measured"]["cases"], [1])
        self.assertEqual(report["not_measured"], ["steps-llama-3-8b", "torch",
                                                  "steps-llama-2-7b", "steps-qwen2.5-7b",
                                                  "steps-lora-early", "steps-lora-before",
                                                  "steps-lora-32", "lora-cluster-4",
                                                  "lora-cluster-8", "steps-lora-cluster"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("not measured: steps-llama-3-8b, torch", done.stdout)

    def test_measures_all_of_it_with_ceilings_first_and_without_pytorch(self):
        report, done = self.measure("", "", "exit 3")
        states = {m["name"]: m["state"] for m in report["measurements"]}
        self.assertEqual(list(states)[0], "ceilings")
        self.assertEqual(states.pop("torch"), "not here")
        self.assertEqual(set(states.values()), {"ok"})
        shapes = {m["name"]: m["measured"]["shape"] for m in report["measurements"]}
        self.assertEqual(shapes["steps-llama-2-7b"], "llama-2-7b")
        self.assertEqual(shapes["lora"], "")
        self.assertEqual(report["not_measured"], [])
        self.assertEqual(report["commit"], "abc")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        files = os.listdir(os.path.join(self.folder, "results"))
        self.assertEqual([name for name in files if name.endswith(".json")], ["measure.json"])

    def test_what_fails_is_named_and_the_rest_goes_on(self):
        report, done = self.measure("", "exit 7", "exit 1")
        failed = [m["name"] for m in report["measurements"] if m["state"] == "FAILED"]
        self.assertEqual(failed[:3], ["steps-llama-3-8b", "torch", "steps-llama-2-7b"])
        self.assertIn("not to its end: steps-llama-3-8b, torch, steps-llama-2-7b", done.stdout)
        self.assertEqual(done.returncode, 1)

    def test_only_what_was_asked_for_and_the_ceilings(self):
        report, _ = self.measure("", "", "", "--only", "torch")
        self.assertEqual([m["name"] for m in report["measurements"]], ["ceilings", "torch"])


class RebuildTest(Bundle):
    def test_compiles_what_changed_and_what_sees_it(self):
        rebuild = load("rebuild")
        self.write("manifest.json", "")
        os.mkdir(os.path.join(self.folder, "src"))
        for name in ("a.cu", "b.cu", "both.h"):
            self.write(f"src/{name}", name)
        rebuild.HERE = rebuild.pathlib.Path(self.folder)
        units = {"a.o": {"source": "a.cu", "sees": ["both.h"]},
                 "b.o": {"source": "b.cu", "sees": ["both.h"]}}
        manifest = {"units": units,
                    "sources": {n: rebuild.hash_of(n) for n in ("a.cu", "b.cu", "both.h")}}
        self.assertEqual(rebuild.changed_units(manifest), [])
        self.write("src/b.cu", "changed")
        self.assertEqual(rebuild.changed_units(manifest), ["b.o"])
        self.write("src/both.h", "changed")
        self.assertEqual(rebuild.changed_units(manifest), ["a.o", "b.o"])

    def test_one_architecture_leaves_the_others_out(self):
        rebuild = load("rebuild")
        flags = ["-O3", "-gencode", "arch=compute_80,code=sm_80", "-gencode",
                 "arch=compute_90a,code=sm_90a", "-std=c++20"]
        self.assertEqual(rebuild.for_arch(flags, "sm_90a"),
                         ["-O3", "-gencode", "arch=compute_90a,code=sm_90a", "-std=c++20"])
        self.assertEqual(rebuild.for_arch(flags, None), flags)
        ptx = ["-gencode", "arch=compute_80,code=compute_80"]
        self.assertEqual(rebuild.for_arch(ptx, "sm_90a"), ptx)
        manifest = {"units": {"a.o": {"flags": flags}, "b.o": {"flags": ptx}}}
        rebuild.check_arch(manifest, "sm_90a")
        with self.assertRaises(SystemExit):
            rebuild.check_arch(manifest, "sm_70")


if __name__ == "__main__":
    unittest.main()
