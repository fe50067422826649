"""Compares our rendering of published chat templates with transformers', over conversations.py:

    python compare_chat_templates.py --render BUILD/bin/chorus_jinja_render --smollm2 DIR
        [--scratch DIR] [--write]

Run by hand, never in CI. What both sides refuse is equal however they say it, save for what the
template itself says with raise_exception. --write renews data/chat_renderings.json (a digest for
each template) and data/smollm2_chat.json (one for each conversation, with the conversations, for
the tests that have the model).
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import huggingface
import published_templates
from conversations import CONVERSATIONS

DATA = Path(__file__).parents[1] / "data"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
NOW_US = round(huggingface.NOW.replace(tzinfo=huggingface.datetime.timezone.utc).timestamp() * 1e6)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Renderer:
    """Ours: the program of tests/engine/text/jinja/render_tool.cc."""

    def __init__(self, program: str):
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def render(self, template: str, context: dict) -> dict:
        request = {"template": template, "context": context, "now": NOW_US}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def canonical(result: dict) -> str:
    """What a digest is of: the text, or that there is none and what the template said of it."""
    if "output" in result:
        return "text:" + result["output"]
    return "refused:" + (result["error"] if result.get("type") == "TemplateError" else "")


def equal(want: dict, got: dict) -> bool:
    if "output" in want or "output" in got:
        return want.get("output") == got.get("output")
    return want["type"] != "TemplateError" or got["error"].split(": ", 1)[1] == want["error"]


class Comparison:
    def __init__(self, renderer: Renderer):
        self.renderer = renderer
        self.rendered = self.refused = self.other_lines = 0
        self.different = []

    def of_template(self, name: str, template: str, tokens: dict) -> list:
        """The canonical result of each conversation; transformers'."""
        results = []
        for conversation, context in CONVERSATIONS.items():
            context = {**tokens, **context}
            want = huggingface.render(template, context)
            got = self.renderer.render(template, context)
            self.rendered += 1
            self.refused += "error" in want
            self.other_lines += want.get("line") != got.get("line")
            if not equal(want, got):
                self.different.append((name, conversation, want, got))
            results.append(canonical(want))
        return results


def write(name: str, head: dict, key: str, entries) -> None:
    """The members of `head`, and under `key` the entries, one a line."""
    named = isinstance(entries, dict)
    lines = (
        [json.dumps({name: entry}, ensure_ascii=False)[1:-1] for name, entry in entries.items()]
        if named
        else [json.dumps(entry, ensure_ascii=False) for entry in entries]
    )
    text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "{key}": {"{" if named else "["}\n'
    text += ",\n".join(lines) + ("\n}}\n" if named else "\n]}\n")
    (DATA / name).write_text(text, encoding="utf-8")


def with_digests(results: list) -> list:
    return [
        {
            "name": name,
            "context": context,
            **(
                {"refused": True}
                if result.startswith("refused:")
                else {"sha256": sha256(result[5:])}
            ),
        }
        for (name, context), result in zip(CONVERSATIONS.items(), results)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--render", required=True)
    parser.add_argument("--smollm2", required=True)
    parser.add_argument(
        "--scratch", default=str(Path(tempfile.gettempdir()) / "published_templates")
    )
    parser.add_argument("--write", action="store_true")
    flags = parser.parse_args()

    comparison = Comparison(Renderer(flags.render))
    digests = {}
    published = published_templates.templates(published_templates.download(Path(flags.scratch)))
    for name, template in published.items():
        results = comparison.of_template(name, template, TOKENS)
        digests[name] = {
            "template": sha256(template),
            "renderings": sha256("\0".join(results)),
            "refused": sum(result.startswith("refused:") for result in results),
        }
    config = json.loads((Path(flags.smollm2) / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokens = {key: value for key, value in config.items() if key in TOKENS}
    smollm2 = comparison.of_template("SmolLM2", config["chat_template"], tokens)

    for name, conversation, want, got in comparison.different:
        print(f"DIFFERENT {name} | {conversation}\n  want {want}\n  got  {got}")
    print(
        f"{len(published) + 1} templates, {comparison.rendered} renderings, {comparison.refused} of them"
        f" refused ({comparison.other_lines} at another line), {len(comparison.different)} different"
    )
    head = {
        "package": published_templates.PACKAGE,
        "versions": huggingface.VERSIONS,
        "conversations": len(CONVERSATIONS),
    }
    recorded = DATA / "chat_renderings.json"
    if flags.write:
        write(recorded.name, head, "templates", digests)
        write(
            "smollm2_chat.json",
            {"template_sha256": sha256(config["chat_template"])},
            "conversations",
            with_digests(smollm2),
        )
    elif json.loads(recorded.read_text(encoding="utf-8")) != {**head, "templates": digests}:
        print(f"{recorded} was made of something else")
        return 1
    return 1 if comparison.different else 0


if __name__ == "__main__":
    sys.exit(main())
