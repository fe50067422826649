"""Builds what a suite runs, with the preset `release` or another."""

import os
import subprocess
import sys


class Build:
    def __init__(self, root, quiet, preset="release"):
        self.root = root
        self.directory = os.path.join(root, "build", preset)
        self._preset = preset
        self._quiet = quiet

    def targets(self, *names):
        """Brings the targets up to date. Tools' output goes to stderr, and only when they fail if
        the run is to be quiet."""
        if not os.path.exists(os.path.join(self.directory, "build.ninja")):
            self._run("cmake", "--preset", self._preset)
        self._run("ninja", "-C", self.directory, *names)

    def program(self, name):
        return os.path.join(self.directory, "bin", name)

    def output(self, program, *arguments):
        """What a program prints."""
        return subprocess.run([self.program(program), *arguments], stdout=subprocess.PIPE,
                              text=True, check=True).stdout

    def has_target(self, name):
        """Whether the tree knows the target (REQUIRES: configured)."""
        known = subprocess.run(
            ["ninja", "-C", self.directory, "-t", "query", name], capture_output=True, check=False)
        return known.returncode == 0

    def compiler(self):
        try:
            with open(os.path.join(self.directory, "CMakeCache.txt"), encoding="utf-8") as cache:
                for line in cache:
                    if line.startswith("CMAKE_CXX_COMPILER:"):
                        return line.partition("=")[2].strip()
        except FileNotFoundError:
            pass
        return "c++"

    def _run(self, *command):
        if not self._quiet:
            print("·", " ".join(command), file=sys.stderr, flush=True)
        done = subprocess.run(
            command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout)
            raise SystemExit(f"{command[0]} failed with status {done.returncode}")
