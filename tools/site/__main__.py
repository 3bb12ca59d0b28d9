"""`python -m tools.site`: the whole site in one folder of static files, build/site/public. `make site` calls it."""

from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import click
from mkdocs.commands.build import build as build_pages
from mkdocs.config import load_config

from tools.site.playground.build import build as build_playground

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/site"
TEXTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
FOLDERS = ("docs", "specs", "examples")
PLAYGROUND = "play"
LINKS = {"README.md": "index.md", "examples": "docs/cookbook.md", "specs": "docs/gallery.md", "LICENSE": "index.md"}
"""Where links lead whose files the site does not have."""

_LINK = re.compile(r"(\]\()((?:\.\./)*)([\w./-]+)(#[\w-]+)?(\))")


@click.command()
def main() -> None:
    """Build the site."""
    source, target = BUILD / "source", BUILD / "public"
    lay_out(source)
    build_playground(source / PLAYGROUND)
    build(source, target)
    click.echo(f"wrote {target.relative_to(ROOT)}; to read it: python -m http.server -d {target.relative_to(ROOT)}")


def lay_out(source: Path) -> None:
    """Write the pages and what they lead to into a folder, which is emptied first."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(HERE / "pages", source)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in TEXTS:
        shutil.copy(ROOT / name, source / name)
    for page in source.rglob("*.md"):
        page.write_text(_page(page.read_text("utf-8")), "utf-8")


def _page(text: str) -> str:
    """A page for Python-Markdown, which reads what is inside HTML where it is told to, and nothing in a folder."""
    text = text.replace("<details>", '<details markdown="1">')
    return _LINK.sub(lambda link: f"{link[1]}{link[2]}{LINKS.get(link[3], link[3])}{link[4] or ''}{link[5]}", text)


def build(source: Path, target: Path) -> None:
    """Write the site of a folder of pages; guides that mkdocs.yml does not name follow those it does.

    Raises mkdocs.exceptions.Abort for a link that leads nowhere.
    """
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    config = load_config(str(HERE / "mkdocs.yml"), docs_dir=str(source), site_dir=str(target))
    guides = next(section["Guides"] for section in config.nav if "Guides" in section)
    named = json.dumps(config.nav)
    names = [f"docs/{page.name}" for page in sorted(source.glob("docs/*.md"))]
    guides += [name for name in names if f'"{name}"' not in named]
    config.plugins.on_startup(command="build", dirty=False)
    build_pages(config)


if __name__ == "__main__":
    main()
