"""Buffers as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssmopt.errors import InputError
from ssmopt.files.buffers import BufferTable, read_buffers, write_buffers


def read(folder: Path, text: str) -> BufferTable:
    (folder / "b.csv").write_text(text)
    return read_buffers(folder / "b.csv")


def test_round_trip(tmp_path: Path) -> None:
    table = read(tmp_path, 'id,lower,upper,size\nb1,0,3,4\n"b,2",3,9,5\n')
    assert table.ids == ("b1", "b,2")
    assert [column.tolist() for column in (table.lower, table.upper, table.size)] == [[0, 3], [3, 9], [4, 5]]
    write_buffers(tmp_path / "placed.csv", table, np.array([8, 0]))
    assert (tmp_path / "placed.csv").read_text() == 'id,lower,upper,size,offset\nb1,0,3,4,8\n"b,2",3,9,5,0\n'
    again = read_buffers(tmp_path / "placed.csv")
    assert again.ids == table.ids


def test_columns_in_any_order_with_other_names_and_harmless_extras(tmp_path: Path) -> None:
    table = read(tmp_path, "size,buffer,start,upper,alignment,gaps,hint\r\n4,x,1,3,1,,7\r\n\r\n")
    assert table.ids == ("x",)
    assert (table.lower[0], table.upper[0], table.size[0]) == (1, 3, 4)


def test_an_end_is_inclusive(tmp_path: Path) -> None:
    assert read(tmp_path, "id,lower,end,size\nx,0,3,1\n").upper.tolist() == [4]


def test_a_header_alone_is_no_buffers(tmp_path: Path) -> None:
    assert len(read(tmp_path, "id,lower,upper,size\n")) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names the columns"),
        ("id,lower,upper\n", "column 'size' is missing"),
        ("id,lower,upper,sise\n", "unknown column 'sise'; did you mean 'size'"),
        ("id,buffer,lower,upper,size\n", "column 'id' is given twice"),
        ("id,lower,upper,size\nx,0,3\n", "b.csv:2: expected 4 values"),
        ("id,lower,upper,size\nx,0,3,1.5\n", "b.csv:2: size: expected a whole number"),
        ("id,lower,upper,size\nx,0,3,99999999999999999999\n", "expected a whole number"),
        ("id,lower,upper,size\nx,3,3,1\n", "lifetime of 'x' is empty"),
        ("id,lower,upper,size\nx,0,3,-1\n", "at least 0"),
        ("id,lower,upper,size,alignment\nx,0,3,1,64\n", "alignment is not supported, and it is '64'"),
        ("id,lower,upper,size,gaps\nx,0,3,1,1-2\n", "gaps is not supported"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert words in str(error.value)
