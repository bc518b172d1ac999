"""Reads the package's JSON formats strictly, column by column, so that large files stay fast."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import numpy as np

from ssmopt.csr import IntArray
from ssmopt.errors import InputError, nearest
from ssmopt.files.text import PathLike, read_text

Entry = dict[str, Any]

MAX_NUMBER = 2**53 - 1
"""Largest number: every JSON reader can represent it exactly."""

_MAX_COMPARED = 10_000


def read_document(path: PathLike, format_name: str, version: int) -> Entry:
    """The object that a JSON file consists of, once its ``format`` and ``version`` are known to be right.

    Raises
    ------
    InputError
        The file cannot be read, is not JSON, or is of another format or version.
    """
    file = os.fspath(path)
    document = _parse(read_text(path), file)
    if not isinstance(document, dict):
        raise InputError(f"expected a JSON object, not {_shown(document)}", file=file)
    if "format" not in document:
        raise InputError(f"this key is missing; expected {format_name!r}", file=file, key="format")
    if document["format"] != format_name:
        message = f"expected {format_name!r}, not {_shown(document['format'])}"
        raise InputError(message, file=file, key="format")
    found = document.get("version")
    if type(found) is not int or found != version:
        message = f"this version of ssmopt reads version {version}, not {_shown(found)}"
        raise InputError(message, file=file, key="version")
    return document


def document_text(document: Mapping[str, Any]) -> str:
    """A JSON document with each entry of its lists on a line of its own."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    fields = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            body = "[\n  " + ",\n  ".join(map(encode, value)) + "\n ]"
        else:
            body = encode(value)
        fields.append(f"{encode(key)}: {body}")
    return "{\n " + ",\n ".join(fields) + "\n}\n"


def _parse(text: str, file: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except InputError as error:
        raise error.at(file=file) from None
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
            message = f"not valid JSON: the file ends too early, at column {error.colno}; is it truncated?"
        else:
            message = f"not valid JSON: {error.msg} at column {error.colno}"
        raise InputError(message, file=file, line=error.lineno) from None
    except RecursionError:
        raise InputError("not valid JSON: nested too deeply", file=file) from None
    except ValueError:  # a number with more digits than Python converts
        raise InputError(f"a number is larger than {MAX_NUMBER}", file=file) from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> Entry:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        where = f" in the entry {_shown(entry['id'])}" if isinstance(entry.get("id"), str) else ""
        raise InputError(f"this key is given twice{where}", key=_printable(twice))
    return entry


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"not valid JSON: {name} is not a JSON number")


def check_keys(entry: object, required: Collection[str], optional: Collection[str], key: str) -> Entry:
    """The entry, once it is known to be an object with all required keys and no unknown ones."""
    if not isinstance(entry, dict):
        raise InputError(f"expected an object, not {_shown(entry)}", key=key)
    if len(entry) == len(required) and all(name in entry for name in required):
        return entry
    prefix = f"{key}." if key else ""
    for name in entry:
        if name not in required and name not in optional:
            known = [*required, *optional]
            raise InputError(f"{_label(entry)}unknown key{nearest(name, known)}", key=prefix + _printable(name))
    for name in required:
        if name not in entry:
            raise InputError(f"{_label(entry)}this key is missing", key=prefix + name)
    return entry


def entries(document: Entry, name: str, required: Collection[str], optional: Collection[str] = ()) -> list[Entry]:
    """The objects of a list, their keys checked."""
    found = document[name]
    if not isinstance(found, list):
        raise InputError(f"expected a list, not {_shown(found)}", key=name)
    return [check_keys(entry, required, optional, f"{name}[{i}]") for i, entry in enumerate(found)]


def whole(value: object, key: str, low: int, high: int = MAX_NUMBER, label: str = "") -> int:
    """A whole number from ``low`` to ``high``."""
    if type(value) is not int:
        raise InputError(f"{label}expected a whole number, not {_shown(value)}", key=key)
    if value < low:
        raise InputError(f"{label}expected a whole number of at least {low}, not {value}", key=key)
    if value > high:
        raise InputError(f"{label}expected a whole number of at most {high}, not {_shown(value)}", key=key)
    return value


def text(value: object, key: str, choices: Collection[str] | None = None, label: str = "") -> str:
    """Printable text on one line; one of ``choices`` if they are given."""
    if not isinstance(value, str):
        raise InputError(f"{label}expected text, not {_shown(value)}", key=key)
    if not value or not value.isprintable():
        raise InputError(f"{label}expected printable text on one line, not {_shown(value)}", key=key)
    if choices is not None and value not in choices:
        raise InputError(f"{label}unknown value {_shown(value)}{nearest(value, choices)}", key=key)
    return value


def whole_column(found: list[Entry], name: str, field: str, low: int, high: int = MAX_NUMBER) -> IntArray:
    """One field of all entries of the list ``name``: whole numbers from ``low`` to ``high``."""
    values = [entry[field] for entry in found]
    if not all(type(value) is int and low <= value <= high for value in values):
        for i, value in enumerate(values):
            whole(value, f"{name}[{i}].{field}", low, high, _label(found[i]))
    return np.array(values, dtype=np.int64)


def unique_ids(found: list[Entry], name: str) -> list[str]:
    """The ids of all entries of the list ``name``: printable, and each used once."""
    ids = [text(entry["id"], f"{name}[{i}].id") for i, entry in enumerate(found)]
    if len(set(ids)) < len(ids):
        first: dict[str, int] = {}
        for i, one in enumerate(ids):
            if first.setdefault(one, i) != i:
                message = f"the id {one!r} is used twice, first by {name}[{first[one]}]"
                raise InputError(message, key=f"{name}[{i}].id")
    return ids


def index_column(found: list[Entry], name: str, field: str, lookup: Mapping[str, int], noun: str) -> IntArray:
    """One field of all entries of the list ``name``, each an id: the indices that the ids stand for."""
    try:
        return np.array([lookup[entry[field]] for entry in found], dtype=np.int64)
    except (KeyError, TypeError):
        for i, entry in enumerate(found):
            check_id(entry[field], f"{name}[{i}].{field}", lookup, noun, _label(entry))
        raise


def index_lists(found: list[Entry], name: str, field: str, lookup: Mapping[str, int], noun: str) -> list[list[int]]:
    """One field of all entries of the list ``name``, each a list of ids; an absent one is empty."""
    rows = []
    for i, entry in enumerate(found):
        ids = entry.get(field, [])
        if type(ids) is not list:
            raise InputError(f"{_label(entry)}expected a list of ids, not {_shown(ids)}", key=f"{name}[{i}].{field}")
        try:
            rows.append([lookup[one] for one in ids])
        except (KeyError, TypeError):
            for one in ids:
                check_id(one, f"{name}[{i}].{field}", lookup, noun, _label(entry))
            raise
    return rows


def check_id(value: object, key: str, lookup: Mapping[str, int], noun: str, label: str = "") -> int:
    """The index that an id stands for."""
    if not isinstance(value, str):
        raise InputError(f"{label}expected the id of a {noun}, not {_shown(value)}", key=key)
    if value not in lookup:
        raise InputError(f"{label}unknown {noun} {_shown(value)}{_nearest_id(value, lookup)}", key=key)
    return lookup[value]


def _nearest_id(value: str, known: Collection[str]) -> str:
    """Like `nearest`, but of very many ids only those of the same operator are compared."""
    if len(known) <= _MAX_COMPARED:
        return nearest(value, known)
    stem = value.partition(".")[0] + "."
    alike = [one for one in known if one.startswith(stem)] or list(known)
    return nearest(value, alike[:_MAX_COMPARED])


def _label(entry: Entry) -> str:
    """What to call an entry in a message: by its id, where it has one."""
    name = next((entry[field] for field in ("id", "tensor") if isinstance(entry.get(field), str)), None)
    return f"{_shown(name)}: " if name else ""


def _printable(key: str) -> str:
    return key if key.isprintable() else ascii(key)


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    short = repr(value)
    return short if len(short) <= 60 else short[:57] + "..."
