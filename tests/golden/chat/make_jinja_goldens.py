"""Makes tests/golden/data/jinja: what jinja2, set up as transformers sets it up, makes of our own
templates (cases/). Run by hand when a case changes, never in CI:

    python -m venv venv && venv/bin/pip install jinja2==3.1.6 "transformers==4.57.6"
    venv/bin/python make_jinja_goldens.py

A file holds the context that its cases share, unless they have their own, and of each case either
"output", or "refusal" (what raise_exception said) or "error" (the exception's type), with "line"
where jinja2 names one.
"""

import json
from pathlib import Path

import cases
import huggingface

DATA = Path(__file__).parents[1] / "data" / "jinja"
EPOCH = huggingface.NOW.replace(tzinfo=huggingface.datetime.timezone.utc)


def expected(template: str, context: dict) -> dict:
    result = huggingface.render(template, context)
    if "output" in result:
        return result
    # The compiler's own complaints name lines of the code that it made of the template.
    line = {"line": result["line"]} if result["line"] > 0 else {}
    if result["type"] == "TemplateError":
        return {"refusal": result["error"], **line}
    return {"error": result["type"], **line}


def write(name: str, module_cases: list) -> None:
    lines = []
    for case, template, context in module_cases:
        entry = {"name": case, "template": template, **expected(template, context)}
        if context is not cases.CONTEXT:
            entry["context"] = context
        lines.append(json.dumps(entry, ensure_ascii=False))
    if len({case for case, _, _ in module_cases}) != len(module_cases):
        raise ValueError(f"{name}: two cases of one name")
    head = {
        "versions": huggingface.VERSIONS,
        "now_us": round(EPOCH.timestamp() * 1e6),
        "context": cases.CONTEXT,
    }
    text = (
        json.dumps(head, ensure_ascii=False)[:-1] + ', "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    )
    (DATA / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}: {len(lines)} cases, {len(text.encode())} bytes")


if __name__ == "__main__":
    DATA.mkdir(parents=True, exist_ok=True)
    for module, module_cases in cases.load().items():
        write(module, module_cases)
