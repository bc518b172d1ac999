"""Reads YAML into a tree that knows its lines, with accessors that insist on types and known keys.

Only the plain part of YAML is accepted: one document of mappings, lists and scalars. Anchors, aliases and tags are
refused, and so are the number formats of YAML 1.1 that surprise people (``010`` is 8, ``1:30`` is 90).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from ssmopt.errors import InputError, nearest
from ssmopt.files.text import PathLike, read_text

MAX_FILE_BYTES = 1 << 20
MAX_WHOLE = 2**31 - 1
"""Largest plain number: tile graphs index with 32 bits."""

MAX_SIZE = 2**53 - 1
"""Largest size in bytes: every JSON reader can represent it exactly."""

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,20}))?\s*([A-Za-z]*)", re.ASCII)
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)", re.ASCII)
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", re.ASCII)
_STRING_TAG = "tag:yaml.org,2002:str"
_NULL_TAG = "tag:yaml.org,2002:null"


def parse_size(text: str) -> int:
    """A number of bytes from text such as ``1048576``, ``24MiB``, ``512 KiB`` or ``0.1MiB``.

    Part of a byte is left out: a capacity is never taken for more than was said.

    Raises
    ------
    InputError
        The text is no size, its unit is unknown, or it comes to less than one byte.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"expected a size such as 1048576, 24MiB or 512 KiB, not {_shown(text)}")
    whole, fraction, unit = match[1], match[2] or "", match[3]
    if unit not in _UNITS:
        raise InputError(f"unknown unit {unit!r}{nearest(unit, [name for name in _UNITS if name])}")
    scale: int = 10 ** len(fraction)
    size = int(whole + fraction) * _UNITS[unit] // scale
    if not 0 < size <= MAX_SIZE:
        raise InputError(f"expected a size from 1 to {MAX_SIZE} bytes, not {text.strip()!r}")
    return size


def read_yaml(path: PathLike) -> Section:
    """The mapping that a YAML file consists of.

    Raises
    ------
    InputError
        The file cannot be read, is not valid YAML, or is not a mapping.
    """
    file = os.fspath(path)
    text = read_text(path, limit_bytes=MAX_FILE_BYTES)
    try:
        node = yaml.compose(text, Loader=_PlainLoader)
    except InputError as error:
        raise error.at(file=file) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"not valid YAML: character {text[error.position]!a}", file=file, line=line) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = "; ".join(part for part in (error.context, error.problem) if part)
        raise InputError(f"not valid YAML: {problem}", file=file, line=mark.line + 1 if mark else None) from None
    except RecursionError:
        raise InputError("not valid YAML: nested too deeply", file=file) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # such as an escape beyond Unicode
        raise InputError(f"not valid YAML: {error}", file=file) from None
    if node is None:
        raise InputError("expected a mapping of keys to values, but the file is empty", file=file)
    return Value(node, file, "").section()


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1 if event.start_mark else None
        for wrong, noun in (
            (isinstance(event, yaml.AliasEvent), "aliases (*name)"),
            (getattr(event, "anchor", None) is not None, "anchors (&name)"),
            (getattr(event, "tag", None) is not None, "tags (!name)"),
        ):
            if wrong:
                raise InputError(f"{noun} are not supported; write the value out", line=line)
        return super().compose_node(parent, index)


@dataclass(frozen=True)
class Value:
    """A node of the file, with the dotted key that leads to it."""

    node: yaml.Node
    file: str
    key: str

    @property
    def line(self) -> int:
        """Line of the file, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping of keys to values."""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """Whether the value is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_text(self) -> bool:
        """Whether the value is text rather than a number, a truth value or nothing."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == "tag:yaml.org,2002:str"

    def error(self, message: str) -> InputError:
        """An error about this value."""
        return InputError(message, file=self.file, line=self.line, key=self.key or None)

    def integer(self) -> int:
        """A whole number that fits 32 bits."""
        if not self._is_plain(_WHOLE):
            raise self._wrong("a whole number")
        return self._bounded(MAX_WHOLE)

    def number(self) -> float:
        """A finite number."""
        plain = self._is_plain(_WHOLE) or self._is_plain(_NUMBER)
        number = float(self.node.value) if plain else math.nan
        if not math.isfinite(number):
            raise self._wrong("a number")
        return number

    def boolean(self) -> bool:
        """``true`` or ``false``."""
        if not self._is_plain(re.compile("true|false|True|False")):
            raise self._wrong("true or false")
        return str(self.node.value).lower() == "true"

    def text(self, choices: Sequence[str] | None = None) -> str:
        """Text that can be shown on one line; one of ``choices`` if they are given."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag != _STRING_TAG:
            hint = " (in quotes, if it is text)" if isinstance(self.node, yaml.ScalarNode) and self.node.value else ""
            raise self._wrong(f"text{hint}")
        text = str(self.node.value)
        if not text or not text.isprintable():
            raise self.error(f"expected printable text on one line, not {_shown(text)}")
        if choices is not None and text not in choices:
            raise self.error(f"unknown value {_shown(text)}{nearest(text, choices)}")
        return text

    def size(self) -> int:
        """A size in bytes: a whole number, or text such as ``24MiB``."""
        if self._is_plain(_WHOLE):
            size = self._bounded(MAX_SIZE)
            if size <= 0:
                raise self.error(f"expected a positive number of bytes, not {size}")
            return size
        if not isinstance(self.node, yaml.ScalarNode) or self.node.tag == _NULL_TAG:
            raise self._wrong("a size such as 1048576 or 24MiB")
        try:
            return parse_size(self.node.value)
        except InputError as error:
            raise self.error(error.message) from None

    def any_number(self) -> int | float:
        """A number, as an ``int`` if it is whole."""
        return self.integer() if self._is_plain(_WHOLE) else self.number()

    def items(self) -> list[Value]:
        """The values of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self._wrong("a list")
        return [Value(node, self.file, f"{self.key}[{i}]") for i, node in enumerate(self.node.value)]

    def section(self) -> Section:
        """The keys and values of a mapping."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self._wrong("a mapping of keys to values")
        values: dict[str, Value] = {}
        lines: dict[str, int] = {}
        for key_node, node in self.node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or not key_node.value.isprintable():
                raise InputError("expected a word as the key", file=self.file, line=line, key=self.key or None)
            name = str(key_node.value)
            path = f"{self.key}.{name}" if self.key else name
            if name in values:
                message = f"this key is given twice, first on line {lines[name]}"
                raise InputError(message, file=self.file, line=line, key=path)
            values[name] = Value(node, self.file, path)
            lines[name] = line
        return Section(self, values, lines)

    def _is_plain(self, pattern: re.Pattern[str]) -> bool:
        """Whether this is an unquoted scalar of the given form."""
        node = self.node
        return isinstance(node, yaml.ScalarNode) and node.style is None and bool(pattern.fullmatch(node.value))

    def _bounded(self, limit: int) -> int:
        digits = str(self.node.value)
        # Python refuses to convert very many digits, so their number is looked at first.
        if len(digits) > 40 or abs(int(digits)) > limit:
            raise self.error(f"expected a number of at most {limit}, not {_shown(digits, quote=False)}")
        return int(digits)

    def _wrong(self, expected: str) -> InputError:
        if isinstance(self.node, yaml.MappingNode):
            found = "a mapping"
        elif isinstance(self.node, yaml.SequenceNode):
            found = "a list"
        elif self.node.tag == _NULL_TAG:
            return self.error(f"expected {expected}, but there is no value")
        else:
            found = _shown(self.node.value, quote=self.node.tag == _STRING_TAG)
        return self.error(f"expected {expected}, not {found}")


@dataclass(frozen=True)
class Section:
    """A mapping: typed access to its keys.

    Where an accessor takes a ``default``, leaving it out (or None) makes the key required.
    """

    whole: Value
    values: dict[str, Value]
    lines: dict[str, int]

    @property
    def file(self) -> str:
        """The file that this is part of."""
        return self.whole.file

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def only(self, *known: str) -> None:
        """Refuse keys other than the known ones. Called first, so that a typo is not reported as a missing key."""
        for key, value in self.values.items():
            if key not in known:
                message = f"unknown key{nearest(key, known)}"
                raise InputError(message, file=self.file, line=self.lines[key], key=value.key)

    def value(self, key: str) -> Value:
        """The value of a required key."""
        if key not in self.values:
            path = f"{self.whole.key}.{key}" if self.whole.key else key
            raise InputError("this key is missing", file=self.file, line=self.whole.line, key=path)
        return self.values[key]

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        return default if default is not None and key not in self else self.value(key).integer()

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        return default if default is not None and key not in self else self.value(key).number()

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """``true`` or ``false``."""
        return default if default is not None and key not in self else self.value(key).boolean()

    def text(self, key: str, default: str | None = None, choices: Sequence[str] | None = None) -> str:
        """Text on one line."""
        return default if default is not None and key not in self else self.value(key).text(choices)

    def size(self, key: str) -> int:
        """A size in bytes."""
        return self.value(key).size()

    def items(self, key: str) -> list[Value]:
        """The values of a list."""
        return self.value(key).items()

    def section(self, key: str) -> Section:
        """A mapping inside this one."""
        return self.value(key).section()

    @contextmanager
    def placing_errors(self, **elsewhere: str) -> Iterator[None]:
        """Give an error raised inside its place in this file.

        Parameters
        ----------
        elsewhere
            For keys that the error may name but the file spells differently: the file's spelling.
        """
        try:
            yield
        except InputError as error:
            if error.file is not None:
                raise
            key = elsewhere.get(error.key or "", error.key or "")
            path = ".".join(part for part in (self.whole.key, key) if part)
            raise InputError(error.message, file=self.file, line=self._line(key), key=path or None) from None

    def _line(self, key: str) -> int:
        """Line of a dotted key, as far down as the file has it."""
        first, _, rest = key.partition(".")
        if first not in self:
            return self.whole.line
        value = self.values[first]
        return value.section()._line(rest) if rest and value.is_mapping else value.line


def _shown(text: str, *, quote: bool = True) -> str:
    short = text if len(text) <= 40 else text[:37] + "..."
    return repr(short) if quote else short
