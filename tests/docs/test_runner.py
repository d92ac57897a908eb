"""The runner of the manual's examples notices when an example is wrong; else no page proves anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.conftest import Read
from tests.docs.pages import blocks
from tests.docs.typist import Plain, plain

PAGE = """\
# A page

```python
import inspect
double = lambda number: number * 2
```

Text between, and a block that must not run:

<!-- skip: it would not end -->
```python
raise SystemExit("ran")
```

```python
print(inspect.getsource(double).strip(), double(21))
```

<!-- output -->
```text
double = lambda number: ... 42
```

<!-- file: note.txt -->
```text
one
```

<!-- append: note.txt -->
```text
two
```

<!-- background -->
```console
$ sleep 600
```

```console
$ grep -c o note.txt
2
$ printf 'a\\nb\\n' |
> tail -n 1
b
```

<!-- exit: 3 -->
```console
$ exit 3
```

<!-- exit: 2 -->
```console
$ continuum check
Usage: continuum check ...
$ continuum check 2> note.txt
```
"""


def tried(text: str, directory: Path, run_page: Read) -> str:
    """Everything that trying a page of `text` printed; empty if it did what it says."""
    page = directory / "page.md"
    page.write_text(text)
    done = run_page(page)
    assert (done.code == 0) == (done.printed == "")
    return done.printed


def test_a_right_page_passes(tmp_path: Path, run_page: Read) -> None:
    assert tried(PAGE, tmp_path, run_page) == ""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("double(21)", "double(22)", "printed was"),
        ("$ exit 3", "$ exit 4", "ended with 4"),
        ("> tail -n 1\nb", "> tail -n 1\nc", "the page says"),
        ("import inspect", "import inspect; 1 / 0", 'page.py", line 4'),
        ("<!-- skip: it would not end -->", "", "ran"),
        ("append: note.txt", "append: other.txt", "FileNotFoundError"),
        ("$ continuum check\n", "$ continuum --help\n", "ended with 0"),
        ("Usage: continuum check", "Usage: continuum list", "the page says"),
    ],
)
def test_a_wrong_page_fails(right: str, wrong: str, told: str, tmp_path: Path, run_page: Read) -> None:
    assert right in PAGE
    assert told in tried(PAGE.replace(right, wrong), tmp_path, run_page)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!-- skpi: reason -->\n```python\n```\n", "no note is called 'skpi'"),
        ("<!-- exit: 1 -->\nSome text.\n", "stands before no block"),
        ("<!-- skip: reason -->\n", "stands before no block"),
        ("```python\nprint()\n", "never closed"),
    ],
)
def test_a_malformed_page_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        blocks(text)


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("continuum list 'total >= 2' --who jo", ({}, ["list", "total >= 2", "--who", "jo"])),
        ("continuum start order --input '\"o-1\"'", ({}, ["start", "order", "--input", '"o-1"'])),
        ("CONTINUUM_APP=a:B A_B='x=y' continuum list", ({"CONTINUUM_APP": "a:B", "A_B": "x=y"}, ["list"])),
        ("continuum list > runs.txt", None),
        ("continuum list; continuum count", None),
        ("continuum list --app $APP", None),
        ("head -c 20 old.jsonl", None),
    ],
)
def test_what_needs_a_shell_is_given_to_one(command: str, typed: Plain | None) -> None:
    assert plain(command) == typed


def test_blocks_know_their_lines_and_their_indentation() -> None:
    (block,) = blocks("- item\n\n  ```python\n  if True:\n      pass\n  ```\n")
    assert (block.line, block.text, block.language) == (4, "if True:\n    pass\n", "python")
