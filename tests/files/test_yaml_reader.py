from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmopt.errors import InputError
from ssmopt.files.yaml_reader import Section, parse_size, read_yaml


def section(tmp_path: Path, text: str) -> Section:
    (tmp_path / "f.yaml").write_text(text)
    return read_yaml(tmp_path / "f.yaml")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1048576),
        ("24MiB", 24 << 20),
        ("512 KiB", 512 << 10),
        ("0.5MiB", 1 << 19),
        ("1.5KB", 1500),
        ("2GiB", 2 << 30),
        ("3GB", 3 * 10**9),
        ("7MB", 7 * 10**6),
        (" 64B ", 64),
        ("64.0", 64),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a size such as 1048576, 24MiB or 512 KiB, not ''"),
        ("many", "expected a size"),
        ("-1MiB", "expected a size"),
        ("1 MiB 2", "expected a size"),
        ("1e6", "expected a size"),
        ("1MiB\n2", "expected a size"),
        ("٣MiB", "expected a size"),
        ("24mib", "unknown unit 'mib'; known: B, GB, GiB, KB, KiB, MB, MiB"),
        ("24M", "unknown unit 'M'; did you mean 'MB'"),
        ("0.3", "expected a size from 1 to"),
        ("0.0001KiB", "expected a size from 1 to"),
        ("0MiB", "expected a size from 1 to"),
        ("99999999999999999999GiB", "expected a size from 1 to"),
        ("9" * 5000, "expected a size"),
    ],
)
def test_bad_sizes(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_size(text)


def test_typed_access(tmp_path: Path) -> None:
    found = section(tmp_path, "i: 1_000\nf: 2.5e3\nt: word\nb: true\ns: 2KiB\nm: {k: -3}\nl: [1, a]\n")
    found.only("i", "f", "t", "b", "s", "m", "l")
    assert found.integer("i") == 1000
    assert found.number("f") == 2500.0
    assert found.number("i") == 1000.0
    assert found.text("t") == "word"
    assert found.boolean("b") is True
    assert found.size("s") == 2048
    assert found.size("i") == 1000
    assert found.section("m").integer("k") == -3
    assert [found.items("l")[0].integer(), found.items("l")[1].text()] == [1, "a"]
    assert (found.integer("x", 0), found.text("x", ""), found.boolean("x", False)) == (0, "", False)


@pytest.mark.parametrize(
    ("value", "access", "message"),
    [
        ("many", "integer", "expected a whole number, not 'many'"),
        ("1.5", "integer", "expected a whole number, not 1.5"),
        ("true", "integer", "expected a whole number, not true"),
        ("'1'", "integer", "expected a whole number, not '1'"),
        ("010", "integer", "expected a whole number, not 010"),
        ("1:30", "integer", "expected a whole number, not 1:30"),
        ("", "integer", "expected a whole number, but there is no value"),
        ("[1]", "integer", "expected a whole number, not a list"),
        ("{a: 1}", "integer", "expected a whole number, not a mapping"),
        ("99999999999", "integer", "expected a number of at most 2147483647, not 99999999999"),
        ("9" * 6000, "integer", "expected a number of at most 2147483647, not 9999"),
        (".nan", "number", "expected a number, not .nan"),
        (".inf", "number", "expected a number, not .inf"),
        ("1e999", "number", "expected a number, not '1e999'"),
        ("yes", "boolean", "expected true or false, not yes"),
        ("1", "boolean", "expected true or false, not 1"),
        ("130", "text", "expected text (in quotes, if it is text), not 130"),
        ("no", "text", "expected text (in quotes, if it is text), not no"),
        ("''", "text", "expected printable text on one line, not ''"),
        ('"a\\nb"', "text", "expected printable text on one line, not 'a\\nb'"),
        ('"\\ud800"', "text", "expected printable text on one line"),
        ("0", "size", "expected a positive number of bytes, not 0"),
        ("1 mib", "size", "unknown unit 'mib'; known: B, GB"),
        ("[1]", "size", "expected a size such as 1048576 or 24MiB, not a list"),
        ("", "size", "expected a size such as 1048576 or 24MiB, but there is no value"),
        ("3", "section", "expected a mapping of keys to values, not 3"),
        ("3", "items", "expected a list, not 3"),
    ],
)
def test_wrong_types_name_place_and_expectation(tmp_path: Path, value: str, access: str, message: str) -> None:
    found = section(tmp_path, f"# comment\nouter:\n  key: {value}\n").section("outer")
    with pytest.raises(InputError) as caught:
        getattr(found, access)("key")
    assert str(caught.value).startswith(f"{tmp_path / 'f.yaml'}:3: outer.key: {message}")


def test_choices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f\.yaml:1: k: unknown value 'blok'; did you mean 'block'\?"):
        section(tmp_path, "k: blok").text("k", choices=("block", "state-update"))


def test_unknown_and_missing_keys(tmp_path: Path) -> None:
    found = section(tmp_path, "a:\n  tokns: 1\n").section("a")
    with pytest.raises(InputError, match=r"f.yaml:2: a.tokns: unknown key; did you mean 'tokens'\?"):
        found.only("tokens", "scan")
    with pytest.raises(InputError, match=r"f.yaml:2: a.scan: this key is missing"):
        found.boolean("scan")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: expected a mapping of keys to values, but the file is empty"),
        ("# only a comment\n", "f.yaml: expected a mapping of keys to values, but the file is empty"),
        ("- a\n", "f.yaml:1: expected a mapping of keys to values, not a list"),
        ("word", "f.yaml:1: expected a mapping of keys to values, not 'word'"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: a: this key is given twice, first on line 1"),
        ("a: 1\nb: [1, 2\nc: 3\n", "f.yaml:3: not valid YAML: "),
        ("a: 1\n\tb: 2\n", "f.yaml:2: not valid YAML: "),
        ("a: 1\nb: &x 2\n", "f.yaml:2: anchors (&name) are not supported; write the value out"),
        ("a: 1\nb: *x\n", "f.yaml:2: aliases (*name) are not supported"),
        ("a: !!python/object:os.system 1\n", "f.yaml:1: tags (!name) are not supported"),
        ("a: 1\n---\nb: 1\n", "f.yaml:2: not valid YAML: expected a single document"),
        ("a: 1\nb: \x01\n", "f.yaml:2: not valid YAML: character '\\x01'"),
        ("? [a]\n: 1\n", "f.yaml:1: expected a word as the key"),
        ("a: " + "[" * 5000, "f.yaml: not valid YAML: nested too deeply"),
        ("a: " + "{a: " * 5000, "f.yaml: not valid YAML: nested too deeply"),
        ('a: "\\Uffffffff"\n', "f.yaml: not valid YAML: "),
        ("a: " + "x" * (1 << 20), "f.yaml: larger than 1,048,576 bytes"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        section(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_section_or_an_input_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(data)
    with contextlib.suppress(InputError):
        read_yaml(file)
