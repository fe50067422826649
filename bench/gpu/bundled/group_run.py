"""Runs one program of the bundle with a time limit, and keeps results whole on disk."""

import json
import os
import pathlib
import signal
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = {"CHORUS_GOLDEN_DIR": str(HERE / "golden")}


def run_program(program, arguments, timeout, log):
    """Its exit status, or how it ended, and its seconds. All that it prints goes to `log`. The
    program is named from the bundle's folder, unless it lies elsewhere."""
    start = time.monotonic()
    with open(log, "w", encoding="utf-8") as to:
        process = subprocess.Popen([HERE / program, *map(str, arguments)], cwd=HERE,
                                   env={**os.environ, **ENVIRONMENT}, stdout=to,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"no end after {timeout:.0f} s", time.monotonic() - start
        except BaseException:  # the keyboard's too: nothing is left running on the GPU
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status < 0:
        status = f"killed by {signal.Signals(-status).name}"
    return status, time.monotonic() - start


def write_json(path, value):
    """In one step: a reader, or a process that is cut off, finds the old file or the new one."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def choose(names, only):
    """Those of `names` that --only asks for."""
    if only is None:
        return list(names)
    wanted = only.split(",")
    unknown = set(wanted) - set(names)
    if unknown:
        raise SystemExit(f"--only: no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return [name for name in names if name in wanted]


def google_tests(report):
    """Names of what ran, of what failed, and (name, reason) of what was skipped."""
    ran, failed, skipped = [], [], []
    for suite in (report or {}).get("testsuites", []):
        for test in suite["testsuite"]:
            name = f"{suite['name']}.{test['name']}"
            if test.get("result") == "SKIPPED":
                skipped.append(name)
            elif test.get("status") == "RUN":
                ran.append(name)
                if test.get("failures"):
                    failed.append(name)
    return ran, failed, skipped


def tail(log, lines=15):
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
