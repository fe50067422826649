"""Every reason of error.proto is reached over the wire by some test here, or it says why not."""

import json
import re
import subprocess

from stubs import BIN, SOURCE, error_pb2

# Reasons that a client of a healthy server on a healthy disk cannot be refused for.
NOT_REACHED = {
    "UNSPECIFIED": "is no reason",
    "ENGINE_FAILED": "the device is lost: chorusd ends; tests/engine has a runner that fails",
    "TIMED_OUT": "kept for calls that wait for something; none does so far",
    "INTERNAL": "a mistake of our own",
    "STORE_READ_ONLY": "an fsync failed: tests/engine/adapters has a disk that lets it fail",
    "MODEL_UNSUPPORTED": "chorusd does not start: test_start.py reads what it says",
    "MODEL_FILE_INVALID": "chorusd does not start: test_start.py reads what it says",
}


def reasons_of_the_tests() -> set:
    reasons = set()
    for path in (SOURCE / "tests/e2e").glob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for marker in re.findall(r"mark\.reaches\(([^)]*)\)", text):
            reasons.update(re.findall(r'"([A-Z0-9_]+)"', marker))
    return reasons


def reasons_of_the_tables(model_dir, directory) -> set:
    import test_refusals
    import test_uploads

    subprocess.run(
        [BIN / "refusal_fixtures", model_dir, directory], check=True, stdout=subprocess.DEVNULL
    )
    index = json.loads((directory / "index.json").read_text())
    return (
        {reason for reason, _, _ in test_refusals.TABLE}
        | {reason for reason, _, _ in test_uploads.WRONG.values()}
        | {refused["reason"] for refused in index["refused"] if refused["pool"] == "any"}
    )


def test_every_reason_is_reached_or_says_why_not(model_dir, tmp_path):
    every = set(error_pb2.ErrorDetail.Reason.keys())
    reached = reasons_of_the_tests() | reasons_of_the_tables(model_dir, tmp_path)
    assert reached <= every, f"no such reason: {sorted(reached - every)}"
    assert not reached & set(NOT_REACHED)
    assert every - reached == set(NOT_REACHED)
