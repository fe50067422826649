#!/usr/bin/env python3
"""Compares answers of one mixed batch with the same requests alone; both as chorus generate --json
prints them. No recorded text: processors differ.

usage: check_answers.py TOGETHER.json ALONE.json
"""

import json
import sys

MARKERS = {"pirate": "matey", "bard": "Verily", "robot": "Beep"}


def read_answers(path):
    texts = {}
    with open(path, encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            if event["event"] == "delta":
                texts[event["model"]] = texts.get(event["model"], "") + event["text"]
    return texts


def problems(together, alone):
    if not together or set(together) != set(alone):
        yield f"together answered {sorted(together)}, alone {sorted(alone)}"
        return
    for name, text in together.items():
        if text != alone[name]:
            yield f'{name} says together "{text}", alone "{alone[name]}"'
        for voice, marker in MARKERS.items():
            if (marker in text) != (voice == name):
                yield f'{name} says "{text}": "{marker}" marks {voice}, and nobody else'
    if len(set(together.values())) < len(together):
        yield "two of them say the same"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    together = read_answers(sys.argv[1])
    found = list(problems(together, read_answers(sys.argv[2])))
    for problem in found:
        print(f"  WRONG: {problem}")
    if found:
        sys.exit(1)
    print(f"  {len(together)} answers, each as the same request alone, all different, each voice its own")


if __name__ == "__main__":
    main()
