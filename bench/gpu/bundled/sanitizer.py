"""Runs tests under NVIDIA's compute-sanitizer, where it is found: it need not be, and may not be
allowed to look into programs here, which is a result and no failure."""

import glob
import os
import re
import shutil

from group_run import HERE, google_tests, read_json, run_program, tail

# What a run of a tool comes to; the numbers are errors. Of warnings of racecheck none is an error:
# they are about writes of equal values.
SUMMARY = {"memcheck": r"ERROR SUMMARY: (\d+) error",
           "racecheck": r"RACECHECK SUMMARY: \d+ hazards? displayed \((\d+) error"}
OPTIONS = {"memcheck": ["--report-api-errors", "no"], "racecheck": []}
# Worst first: what a group of runs is said to be.
STATES = ("FAILED", "nothing ran", "no end", "refused here", "ok")
NO_FAILURES = ("ok", "no end", "refused here", "not found")


def find_sanitizer():
    places = ("/usr/local/cuda*/bin/compute-sanitizer",
              "/usr/local/cuda*/compute-sanitizer/compute-sanitizer",
              "/opt/nvidia/cuda*/bin/compute-sanitizer")
    found = [path for place in places for path in sorted(glob.glob(place))]
    return shutil.which("compute-sanitizer") or next(
        (path for path in found if os.access(path, os.X_OK)), None)


def run_tool(sanitizer, run, log, report):
    """What a tool says of the tests of a program that a filter lets through."""
    report.unlink(missing_ok=True)
    arguments = ["--tool", run["tool"], *OPTIONS[run["tool"]], HERE / "bin" / run["program"],
                 f"--gtest_filter={run['filter']}", f"--gtest_output=json:{report}"]
    status, seconds = run_program(sanitizer, arguments, run["timeout"], log)
    ran, failed, _ = google_tests(read_json(report))
    report.unlink(missing_ok=True)
    said = log.read_text(encoding="utf-8", errors="replace")
    errors = re.findall(SUMMARY[run["tool"]], said)
    if isinstance(status, str) and status.startswith("no end"):
        state = "no end"
    elif not errors:
        state = "refused here"
    elif int(errors[-1]) or failed or status != 0:
        state = "FAILED"
    else:
        state = "ok" if ran else "nothing ran"
    return {**run, "state": state, "seconds": round(seconds, 1), "tests": len(ran),
            "errors": int(errors[-1]) if errors else None, "failed": failed}


def run_sanitizer(group, out):
    """As run_group of ./check: the result of all of the group's runs."""
    sanitizer = find_sanitizer()
    result = {"name": group["name"], "state": "not found", "seconds": 0, "tests": 0, "failed": [],
              "skipped": [], "runs": [], "last_lines": ["compute-sanitizer is not on PATH, nor in "
                                                        "/usr/local/cuda*/bin"]}
    if sanitizer is None:
        return result
    result["last_lines"] = []
    for i, run in enumerate(group["runs"]):
        log = out / f"{group['name']}.{i}.{run['tool']}.log"
        done = run_tool(sanitizer, run, log, out / f"{group['name']}.tests.json")
        result["runs"].append(done)
        result["seconds"] = round(result["seconds"] + done["seconds"], 1)
        result["tests"] += done["tests"]
        result["failed"] += [f"{run['tool']} {name}" for name in done["failed"]]
        if done["state"] != "ok":
            result["last_lines"] += [f"{run['tool']} of {run['program']}: {done['state']}",
                                     *tail(log, 8)]
    result["state"] = min((run["state"] for run in result["runs"]), key=STATES.index)
    return result
