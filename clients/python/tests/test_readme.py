"""The README's examples run as they stand, but for addresses."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Datagrams, Recorder

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"## ([\w ]+)\n(?:(?!\n## ).)*?```python\n(.*?)```", README, re.DOTALL)
RUNS = [(title, example) for title, example in EXAMPLES if title not in ("Exporter", "gunicorn and uwsgi")]


def test_they_are_found() -> None:
    assert [title for title, _ in RUNS] == ["Observations", "Datagrams", "Collectors", "Pushes"]


@pytest.mark.parametrize("example", [pytest.param(example, id=title) for title, example in RUNS])
def test_it_runs(recorder: Recorder, datagrams: Datagrams, example: str) -> None:
    example = example.replace("http://localhost:9091", recorder.url).replace("7789", str(datagrams.port))
    ended = subprocess.run([sys.executable, "-c", example], timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_recipes_are_python() -> None:
    for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        compile(example, "README", "exec")
