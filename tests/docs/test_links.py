"""No link leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import PAGES, ROOT, Page


@pytest.mark.parametrize("path", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    dead = [link for link in Page(path).links() if not _leads_somewhere(path, link)]
    assert not dead, f"{path.name} has dead links: {', '.join(dead)}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    front = list(reached)
    while front:
        page = front.pop()
        for link in Page(page).links():
            target = (page.parent / link.partition("#")[0]).resolve()
            if target in PAGES and target not in reached:
                reached.add(target)
                front.append(target)
    assert not set(PAGES) - reached


def _leads_somewhere(path: Path, link: str) -> bool:
    if "://" in link:
        return link.startswith("https://")
    name, _, anchor = link.partition("#")
    target = (path.parent / name).resolve() if name else path
    if not target.exists():
        return False
    return not anchor or anchor in Page(target).anchors()
