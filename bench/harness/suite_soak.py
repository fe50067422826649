"""Suite `soak`: chorusd under every kind of client at once, each token compared."""

import json
import os
import subprocess
import sys
import tempfile

from harness import ratio

FULL_MINUTES, QUICK_MINUTES = 10.0, 1.0


def run(build, options):
    build.targets("chorusd")
    python = os.path.join(build.root, "build", "venv", "bin", "python")
    if not os.path.exists(python):
        raise SystemExit("bench: build/venv is not there: tests/run makes it")
    minutes = QUICK_MINUTES if options.quick else FULL_MINUTES
    with tempfile.TemporaryDirectory() as scratch:
        seen = os.path.join(scratch, "soak.json")
        subprocess.run(
            [python, os.path.join(build.root, "tests", "e2e", "soak.py"),
             "--minutes", str(minutes), "--seed", str(options.seed), "--json", seen],
            stdout=sys.stderr, check=False,
            env={**os.environ, "CHORUS_BIN_DIR": os.path.join(build.directory, "bin")})
        if not os.path.exists(seen):
            raise SystemExit("bench: the soak did not come to its end")
        with open(seen, encoding="utf-8") as text:
            raw = json.load(text)
    found = ratio.target("what was wrong", float(len(raw["problems"])), 0.0, "lower")
    return {"raw": raw, "targets": [found]}
