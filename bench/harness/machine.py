"""What a figure was measured on: hardware, commit, versions of what matters."""

import os
import platform
import re
import subprocess


def _output(*command, cwd=None, partial=False):
    """What the command prints, or "" when it fails; with `partial` also what it printed then."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 or partial else ""


def _cpuinfo(field):
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == field:
                    return value.strip()
    except OSError:
        pass
    return ""


def _memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _huge_pages():
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="utf-8") as text:
            return re.search(r"\[(\w+)\]", text.read()).group(1)
    except (OSError, AttributeError):
        return "none"


def cores():
    return len(os.sched_getaffinity(0))


def hardware():
    flags = _cpuinfo("flags").split()
    return {
        "processor": _cpuinfo("model name") or platform.processor(),
        "family": _cpuinfo("cpu family"),
        "model": _cpuinfo("model"),
        "cores": cores(),
        "memory_bytes": _memory_bytes(),
        "avx512_bf16": "avx512_bf16" in flags,
        "huge_pages": _huge_pages(),
        "virtual": "hypervisor" in flags,
        "load_average": os.getloadavg()[0],
    }


def plain(name):
    """A name that is fit for a file's: nvidia-h100-80gb-hbm3."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def slug(described):
    """Names the hardware in a file name: amd-epyc-f26m2-2c."""
    words = plain(described["processor"])
    return f'{words}-f{described["family"]}m{described["model"]}-{described["cores"]}c'


def commit(root):
    """The commit that was measured; "+" when the tree differs from it."""
    name = _output("git", "rev-parse", "--short=12", "HEAD", cwd=root)
    # Results of earlier runs are no change of what is measured.
    changed = _output("git", "status", "--porcelain", "--", ".", ":!bench/results", cwd=root)
    return (name or "unknown") + ("+" if changed else "")


# What the measured programs are linked with, by Debian's names.
PACKAGES = ("libabsl-dev", "libbenchmark-dev", "libgrpc++-dev", "libhwy-dev", "libprotobuf-dev",
            "libssl-dev", "prometheus-cpp-dev", "libprometheus-cpp-dev")


def packages():
    listed = _output("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *PACKAGES, partial=True)
    return dict(line.split(" ", 1) for line in listed.splitlines() if not line.endswith(" "))


def versions(compiler="c++"):
    return {
        "system": platform.platform(),
        "compiler": _output(compiler, "--version").partition("\n")[0],
        "python": platform.python_version(),
        "packages": packages(),
    }
