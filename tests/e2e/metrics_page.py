"""GET /metrics, parsed."""

import re
import urllib.request

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')


class Page:
    def __init__(self, text: str):
        self.types, self.samples = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"{name} has two TYPE lines"
                self.types[name] = kind
            elif line and not line.startswith("#"):
                match = _LINE.match(line)
                assert match, f"not a sample: {line}"
                labels = frozenset(_LABEL.findall(match[2] or ""))
                key = (match[1], labels)
                assert key not in self.samples, f"twice: {line}"
                self.samples[key] = float(match[3])

    def all(self, name: str, **labels) -> dict:
        wanted = set(labels.items())
        return {k[1]: v for k, v in self.samples.items() if k[0] == name and wanted <= k[1]}

    def get(self, name: str, **labels) -> float:
        """The sum over the series that have these labels; 0 without any."""
        return sum(self.all(name, **labels).values())


def scrape(daemon) -> Page:
    url = f"http://127.0.0.1:{daemon.ports['metrics']}/metrics"
    with urllib.request.urlopen(url, timeout=60) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        return Page(response.read().decode())
