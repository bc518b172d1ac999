"""Job shops are read in both published formats, and whatever is wrong with one is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssmopt.errors import InputError
from ssmopt.files.job_shop import read_job_shop
from ssmopt.instance import NOT_ADMISSIBLE

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "job_shop"


def _file(folder: Path, text: str) -> Path:
    file = folder / "shop.txt"
    file.write_text(text)
    return file


def test_a_standard_file_becomes_a_tile_per_step(tmp_path: Path) -> None:
    instance = read_job_shop(_file(tmp_path, "# two jobs\n2 2\n\n0 3 1 2\n1 4 0 1\n"))
    assert instance.name == "shop"
    assert list(instance.tile_ids) == ["job.0.0", "job.0.1", "job.1.0", "job.1.1"]
    assert instance.core_ids == ("machine0", "machine1")
    no = NOT_ADMISSIBLE
    assert instance.duration.tolist() == [[3, no], [no, 2], [no, 4], [1, no]]
    assert sorted(zip(*(side.tolist() for side in instance.edges), strict=True)) == [(0, 1), (2, 3)]
    assert not instance.tensor_bytes.any()


def test_a_flexible_file_lists_the_machines_of_each_step(tmp_path: Path) -> None:
    """The third number of the first line is an average that nobody needs; machines count from 1."""
    instance = read_job_shop(_file(tmp_path, "2 3 1.5\n2  2 1 5 3 4  1 2 7\n1  1 3 2\n"))
    no = NOT_ADMISSIBLE
    assert instance.duration.tolist() == [[5, no, 4], [no, 7, no], [no, no, 2]]
    assert sorted(zip(*(side.tolist() for side in instance.edges), strict=True)) == [(0, 1)]


def test_machines_may_count_from_0_or_from_1(tmp_path: Path) -> None:
    zero = read_job_shop(_file(tmp_path, "1 2\n0 3 1 2\n")).duration.tolist()
    assert read_job_shop(_file(tmp_path, "1 2\n1 3 2 2\n")).duration.tolist() == zero


@pytest.mark.parametrize(
    ("name", "jobs", "tiles", "cores", "work"),
    [("ft06.txt", 6, 36, 6, 197), ("ft10.txt", 10, 100, 10, 5109), ("mk01.fjs", 10, 55, 6, 153)],
)
def test_published_files_are_complete(name: str, jobs: int, tiles: int, cores: int, work: int) -> None:
    instance = read_job_shop(EXAMPLES / name)
    assert (instance.n_tiles, instance.n_cores) == (tiles, cores)
    assert instance.n_tensors == tiles - jobs
    assert instance.duration.max(initial=0, axis=1).sum() >= work
    shortest = [min(d for d in row if d != NOT_ADMISSIBLE) for row in instance.duration.tolist()]
    assert sum(shortest) == work


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected the numbers of jobs and machines"),
        ("6\n", "shop.txt:1: expected the numbers of jobs and machines"),
        ("1 0\n", "shop.txt:1: expected the numbers of jobs and machines"),
        ("2 2\n0 3 1 2\n", "shop.txt:1: expected 2 lines, one per job, but found 1"),
        ("1 2\n0 3 1 x\n", "shop.txt:2: expected a whole number, not 'x'"),
        ("1 2\n0 3 1 -2\n", "shop.txt:2: expected a whole number, not '-2'"),
        ("1 2\n0 3 5 2\n", "shop.txt:2: step 2: expected a machine from 0 to 1, not 5"),
        ("1 2\n0 3 2 2\n", "shop.txt:2: step 2: expected a machine from 0 to 1, not 2"),
        ("1 2\n0 3 1 0\n", "shop.txt:2: step 2: expected a duration above 0, not 0"),
        ("1 2 1\n2 2 1 5 1 5 1 1 1\n", "shop.txt:2: step 1: machine 1 is given twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_job_shop(_file(tmp_path, text))
    assert words in str(caught.value)


def test_a_step_that_breaks_off_is_refused(tmp_path: Path) -> None:
    for text, words in (
        ("1 3\n2 1 1 5\n", "expected 2 steps, but found 1"),
        ("1 3\n1 2 1 5\n", "step 1: expected 2 pairs of a machine and a duration"),
        ("1 3\n1 0 1 5\n", "step 1: expected 1 pairs"),
    ):
        with pytest.raises(InputError, match=words):
            read_job_shop(_file(tmp_path, text), "flexible")
    with pytest.raises(InputError, match="expected pairs of a machine and a duration, but found 3 numbers"):
        read_job_shop(_file(tmp_path, "1 3\n0 1 1\n"), "standard")


def test_a_file_that_makes_sense_in_both_formats_needs_to_be_told(tmp_path: Path) -> None:
    """Step on machine 1 for 1 cycle, then on machine 0 for 9; or one step, on machine 0, of 9 cycles."""
    file = _file(tmp_path, "1 2\n1 1 0 9\n")
    with pytest.raises(InputError, match="makes sense in both formats"):
        read_job_shop(file)
    assert read_job_shop(file, "standard").n_tiles == 2
    assert read_job_shop(file, "flexible").n_tiles == 1
