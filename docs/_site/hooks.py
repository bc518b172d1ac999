"""What the documentation site needs beyond Markdown: references from the code, and files that pages link to.

Pages are also read where they lie, so they link to files outside ``docs/`` by relative paths, and the two references
are short pages with a marker. When the site is built, those files are copied into it and the markers replaced.
"""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import ssmopt
from ssmopt.cli import app

ROOT = Path(__file__).resolve().parents[2]
COPIES = "source"
"""Where the site keeps copies of files outside ``docs/``."""

_LINK = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_MARKUP = re.compile(r"\[/?[a-z]+( [a-z]+)*\]")
_EXAMPLE = re.compile(r"\[cyan\]\$ (.*?)\[/cyan\]", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add copies of the files that pages link to outside ``docs/``; of a folder, its files, and a list of them."""
    for page in list(files.documentation_pages()):
        for target, _ in _LINK.findall(page.content_string):
            path = _outside(target, page.src_uri)
            if path.is_dir():
                for file in sorted(path.iterdir()):
                    if file.is_file():
                        _add(files, config, file)
                name = f"{_copy(path)}/index.md"
                if files.get_file_from_path(name) is None:
                    files.append(File.generated(config, name, content=_listing(path)))
            elif path.is_file() and path.suffix != ".md":  # whose own links would lead nowhere
                _add(files, config, path)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links out of ``docs/`` at the copies, and put the references in place of their markers."""
    del config, files
    if page.file.src_uri == "commands.md":
        markdown = markdown.replace("<!-- commands -->", command_reference())
    elif page.file.src_uri == "api.md":
        markdown = markdown.replace("<!-- api -->", api_reference())

    def replaced(match: re.Match[str]) -> str:
        path = _outside(match[1], page.file.src_uri)
        copy = f"{_copy(path)}/index.md" if path.is_dir() else _copy(path)
        up = os.path.relpath(copy, os.path.dirname(page.file.src_uri) or ".")
        return f"]({Path(up).as_posix()}{match[2] or ''})"

    return _LINK.sub(replaced, markdown)


def _outside(target: str, page: str) -> Path:
    """The file that a link on a page means, if it lies outside ``docs/``."""
    return (ROOT / "docs" / page).parent.joinpath(target).resolve()


def _copy(path: Path) -> str:
    return f"{COPIES}/{path.relative_to(ROOT).as_posix()}"


def _add(files: Files, config: MkDocsConfig, path: Path) -> None:
    if files.get_file_from_path(_copy(path)) is None:
        files.append(File.generated(config, _copy(path), abs_src_path=str(path)))


def _listing(folder: Path) -> str:
    names = [file.name for file in sorted(folder.iterdir()) if file.is_file()]
    return "\n".join([f"# {folder.relative_to(ROOT)}", "", *(f"- [{name}]({name})" for name in names), ""])


def api_reference() -> str:
    """Directives for every public name of the package, functions first."""
    names = [name for name in ssmopt.__all__ if not name.startswith("_")]
    kinds = {"Functions": inspect.isfunction, "Classes": inspect.isclass}
    blocks = []
    for title, of_kind in kinds.items():
        members = [name for name in names if of_kind(getattr(ssmopt, name)) and not _is_error(name)]
        blocks += [f"## {title}", *(_directive(name) for name in sorted(members, key=str.lower))]
    blocks += ["## Errors", *(_directive(name) for name in names if _is_error(name))]
    return "\n\n".join(blocks)


def _directive(name: str) -> str:
    """What makes mkdocstrings describe a public name, where it is defined: names re-exported twice are ambiguous."""
    return f"::: {getattr(ssmopt, name).__module__}.{name}"


def _is_error(name: str) -> bool:
    value = getattr(ssmopt, name)
    return inspect.isclass(value) and issubclass(value, BaseException)


def command_reference() -> str:
    """Every command with its arguments and options, as the command line's own help says them."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(_command(name, command) for name, command in group.commands.items())


def _command(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    told, _, shown = text.partition("[bold]Examples[/bold]")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["ssmopt", name, *(_usage(p) for p in arguments), "[OPTIONS]"])
    parts = [f"## ssmopt {name}", f"```text\n{usage}\n```", _MARKUP.sub("", told).strip()]
    examples = [" ".join(example.split()) for example in _EXAMPLE.findall(shown)]
    if examples:
        parts.append("```sh\n" + "\n".join(examples) + "\n```")
    rows = [(f"`{_usage(p)}`", p.help or "") for p in arguments]
    rows += [(_option(p), _explained(p)) for p in options]
    if rows:
        table = ["| argument or option | meaning |", "|---|---|"]
        parts.append("\n".join([*table, *(f"| {left} | {_cell(right)} |" for left, right in rows)]))
    return "\n\n".join(part for part in parts if part)


def _usage(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    more = "..." if argument.nargs == -1 and not name.endswith("...") else ""
    return f"{name}{more}" if argument.required or name.startswith("[") else f"[{name}{more}]"


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    return f"{names} {option.metavar}" if option.metavar and not option.is_flag else names


def _explained(option: Any) -> str:
    help_text = str(option.help or "")
    default = option.show_default if isinstance(option.show_default, str) else None
    if default is None and option.show_default and not option.is_flag and option.default is not None:
        default = str(option.default)
    return f"{help_text} Default: {default}." if default else help_text


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
