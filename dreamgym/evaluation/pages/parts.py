"""More parts of the demo: what other packages add to its page, each as a section.

A package registers a function in the entry-point group ``dreamgym.demo``; so the agents' part is found where they are
installed, and this one imports none::

    [project.entry-points."dreamgym.demo"]
    my_part = "my_package.demo:part"          # part(demo: Demo) -> Section | None
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamgym.evaluation.pages.page import MORE, document
from dreamgym.fields import parse_json
from dreamgym.places import write_whole

if TYPE_CHECKING:
    from dreamgym.evaluation.pages.demo import Demo

_log = logging.getLogger(__name__)

GROUP = "dreamgym.demo"


@dataclass(frozen=True)
class Section:
    """What a part of the demo came to.

    Attributes:
        name: an identifier: of the section in the page, and of its figures in demo.json.
        html: the section's content, from its heading on.
        facts: its figures, JSON-ready.
        title, heads, rows: the same as a table of plain text, for the terminal; no rows: no table.
        words: what the figures mean, sentence by sentence.
    """

    name: str
    html: str
    facts: dict[str, Any]
    title: str = ""
    heads: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"a section's name must be a plain lower-case word, got {self.name!r}")


def add_parts(demo: Demo) -> Iterator[Section]:
    """Runs every registered part and writes its section into the demo's page, one after the other.

    A part that lacks an extra is left out with a warning: what was shown before stands.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            part: Callable[[Demo], Section | None] = entry.load()
            section = part(demo)
        except ImportError as error:
            _log.warning("the demo's part %r is left out: %s", entry.name, error)
            continue
        if section is not None:
            write_section(demo.folder, section)
            yield section


def write_section(folder: Path, section: Section) -> Path:
    """Puts a section into a demo's index.html and demo.json, in place of an older one of that name.

    Args:
        folder: of a demo; one without a page gets a page of that section alone.
        section: what to write.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    page, summary = folder / "index.html", folder / "demo.json"
    text = page.read_text(encoding="utf-8") if page.is_file() else document(f"dreamgym: {section.title}", [MORE])
    write_whole(page, insert(text, section.name, section.html))
    told = parse_json(summary.read_text(encoding="utf-8")) if summary.is_file() else {}
    if not isinstance(told, dict):
        raise ValueError(f"{summary} is none of a demo's: delete it, or choose another folder")
    write_whole(summary, json.dumps({**told, section.name: section.facts}, indent=1))
    return page


def insert(page: str, name: str, html: str) -> str:
    """A page with the section ``name`` in it: where an older one stood, else at the page's mark.

    Raises:
        ValueError: a page without the mark.
    """
    whole = f'<section id="{name}">{html}</section>'
    old = re.compile(f'<section id="{name}">.*?</section>', re.DOTALL)
    if old.search(page):
        return old.sub(lambda _: whole, page, count=1)
    if MORE not in page:
        raise ValueError("this page has no place for a further section: it was not written by 'dreamgym demo'")
    return page.replace(MORE, whole + MORE, 1)
