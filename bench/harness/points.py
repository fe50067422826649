"""What an interrupted run has measured already, so that the next one goes on from there."""

import json
import os


class Points:
    """Results by name in a file, which is good for one machine, commit and set of settings."""

    def __init__(self, path, key):
        """`key` is compared as JSON; a file of another key is begun anew."""
        self._path = path
        self._key = json.loads(json.dumps(key))
        self._results = {}
        try:
            with open(path, encoding="utf-8") as text:
                kept = json.load(text)
            if kept.get("key") == self._key:
                self._results = kept["results"]
        except (FileNotFoundError, ValueError, KeyError, AttributeError):
            pass
        self.found = len(self._results)

    def __contains__(self, name):
        return name in self._results

    def measure(self, name, how):
        """The kept result, or that of how(), which is kept."""
        if name not in self._results:
            self._results[name] = how()
            self._write()
        return self._results[name]

    def forget(self):
        """The run is complete."""
        self._results = {}
        if os.path.exists(self._path):
            os.unlink(self._path)

    def _write(self):
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with open(self._path + ".new", "w", encoding="utf-8") as out:
            json.dump({"key": self._key, "results": self._results}, out)
        os.replace(self._path + ".new", self._path)
