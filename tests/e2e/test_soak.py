"""A short soak; `bench/run soak` has the long one."""

import argparse

import soak


def test_nothing_is_wrong_and_nothing_is_left():
    options = argparse.Namespace(minutes=0.25, seed=5, contents=300, workers=8)
    result = soak.soak(options)
    assert not result["problems"], result
    assert result["counts"]["answers compared"] > 100
    assert result["counts"]["send_rubbish"] > 0
