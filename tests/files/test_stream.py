"""Machine descriptions of Stream and ZigZag: both layouts become machines, and what is not used is told."""

from __future__ import annotations

from pathlib import Path

import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.files.stream_hardware import SEPARATE, Imported, import_accelerator, write_imported
from ssmopt.files.stream_yaml import read_accelerator
from ssmopt.hardware import KERNELS, Hardware

EXAMPLES = Path(__file__).parents[2] / "examples" / "stream"

CORE = """
name: {name}
memories:
  registers: {{size: 64, r_bw: 8, w_bw: 8, operands: [I2], served_dimensions: []}}
  sram: {{size: {bits}, r_bw: 2048, w_bw: 1024, operands: [I1, I2, O], served_dimensions: [D1, D2]}}
operational_array: {{dimensions: [D1, D2], sizes: {sizes}}}
"""
DRAM = "name: dram\nmemories:\n  dram: {size: 80000000000, r_bw: 512, w_bw: 1000, operands: [I1, I2, O]}\n"
NEWER = """
name: mine
cores: {0: ./cores/a.yaml, 1: ./cores/v.yaml, 2: ./cores/dram.yaml}
offchip_core_id: 2
core_connectivity:
- {type: link, cores: [0, 1], bandwidth: 128}
- {type: link, cores: [0, 2], bandwidth: 256}
- {type: link, cores: [1, 2], bandwidth: 256}
"""
OLDER = """
name: mine
cores: [a.yaml, a.yaml, a.yaml, a.yaml, simd.yaml, dram.yaml]
graph: {type: 2d_mesh, nb_rows: 2, nb_cols: 2, bandwidth: 64, simd_core_id: 4, offchip_core_id: 5}
"""
ZIGZAG = """
name: one
memories:
  registers: {size: 64, r_bw: 8, w_bw: 8, operands: [I2], served_dimensions: [D1]}
  sram: {size: 8001, r_bw: 64, w_bw: 64, operands: [I1, O], served_dimensions: [D1, D2]}
  dram: {size: 10000000000, r_bw: 64, w_bw: 100, operands: [I1, I2, O], served_dimensions: [D1, D2]}
multipliers: {dimensions: [D1, D2], sizes: [4, 8]}
"""


def machine(folder: Path, text: str = NEWER, **cores: str) -> Path:
    (folder / "cores").mkdir(exist_ok=True)
    files = {
        "a": CORE.format(name="a", bits=1 << 23, sizes="[16, 8]"),
        "v": CORE.format(name="vec", bits=1 << 20, sizes="[32, 1]"),
        "simd": CORE.format(name="simd", bits=1 << 20, sizes="[32, 1]"),
        "dram": DRAM,
    }
    for name, content in (files | cores).items():
        (folder / "cores" / f"{name}.yaml").write_text(content)
    (folder / "mine.yaml").write_text(text)
    return folder / "mine.yaml"


def imported(folder: Path, text: str = NEWER, *, shared: bool = True, **cores: str) -> Imported:
    return import_accelerator(read_accelerator([machine(folder, text, **cores)]), shared=shared)


def parts(hardware: Hardware) -> dict[str, tuple[int, int, int, tuple[str, ...]]]:
    return {core.id: (core.count, core.rows, core.columns, core.runs) for core in hardware.cores}


@pytest.mark.parametrize("name", ["quad-core", "array-and-vector"])
@pytest.mark.parametrize("shared", [True, None], ids=["shared", "as-it-is"])
def test_the_examples_are_machines_that_schedule_a_model(tmp_path: Path, name: str, shared: bool | None) -> None:
    found = import_accelerator(read_accelerator([EXAMPLES / f"{name}.yaml"]), shared=shared)
    write_imported(tmp_path / "machine.yaml", found)
    hardware = ssmopt.load_hardware(tmp_path / "machine.yaml")
    assert hardware == found.hardware
    problem = ssmopt.Problem("imported", ssmopt.load_model("mamba-tiny"), hardware, seq_len=3)
    result = ssmopt.solve(problem, solver="fuse-block", tiling=ssmopt.Tiling(tokens=3))
    assert result.schedule is not None
    assert ssmopt.validate(result.instance, result.schedule) == []


def test_numbers_of_the_newer_layout(tmp_path: Path) -> None:
    found = imported(tmp_path)
    assert parts(found.hardware) == {"a": (1, 16, 8, ("gemm",)), "vec": (1, 32, 1, KERNELS[1:])}
    assert found.hardware.memories[0].capacity == (1 << 20) + (1 << 17)  # bytes: the sum of both
    (dma,) = found.hardware.channels
    assert (dma.bandwidth, dma.lanes) == (32, 2)  # two links of 256 bits on a port of 512


def test_numbers_of_the_older_layout(tmp_path: Path) -> None:
    found = imported(tmp_path, OLDER)
    assert parts(found.hardware) == {"a": (4, 16, 8, ("gemm",)), "simd": (1, 32, 1, KERNELS[1:])}
    assert found.hardware.memories[0].capacity == 4 * (1 << 20) + (1 << 17)
    (dma,) = found.hardware.channels
    assert (dma.bandwidth, dma.lanes) == (64, 1)  # the narrower direction of DRAM


def test_a_mesh_has_a_link_between_neighbours(tmp_path: Path) -> None:
    accelerator = read_accelerator([machine(tmp_path, OLDER)])
    links = [connection.cores for connection in accelerator.connections if 4 not in connection.cores]
    assert links == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert [connection.cores for connection in accelerator.connections if 4 in connection.cores] == [
        (0, 4), (1, 4), (2, 4), (3, 4),
    ]  # fmt: skip


def test_a_zigzag_accelerator_is_one_core(tmp_path: Path) -> None:
    found = imported(tmp_path, ZIGZAG)
    assert parts(found.hardware) == {"one": (1, 4, 8, KERNELS)}
    assert found.hardware.memories[0].capacity == 1000  # 8,001 bits, rounded down; registers are not added
    assert found.hardware.channels[0].bandwidth == 8
    assert any("arrays run everything" in note for note in found.notes)


def test_cores_that_share_their_memory_have_it_once(tmp_path: Path) -> None:
    same = CORE.format(name="vec", bits=1 << 23, sizes="[32, 1]")
    text = NEWER.replace("- {type: link, cores: [0, 1], bandwidth: 128}\n", "") + "core_memory_sharing: ['0, 1']\n"
    found = imported(tmp_path, text, shared=False, v=same)
    assert [memory.capacity for memory in found.hardware.memories] == [1 << 20]
    assert {core.memory for core in found.hardware.cores} == {found.hardware.memories[0].id}
    assert len(found.hardware.channels) == 1


@pytest.mark.skipif(not SEPARATE, reason="hardware has one memory for all cores")
def test_private_memories_stay_private_and_links_join_them(tmp_path: Path) -> None:
    hardware = imported(tmp_path, OLDER, shared=False).hardware
    array, simd = hardware.memories
    assert (array.count, array.capacity, simd.count, simd.capacity) == (4, 1 << 20, 1, 1 << 17)
    dma, noc = hardware.channels
    assert "dram" in dma.connects
    assert "dram" not in noc.connects
    assert (noc.bandwidth, noc.lanes) == (8, 8)  # four links in the mesh, four to the vector core


def test_operator_types_say_what_a_core_runs(tmp_path: Path) -> None:
    array = CORE.format(name="a", bits=1 << 23, sizes="[16, 8]") + "operator_types: [MatMul, Conv]\n"
    vector = CORE.format(name="v", bits=1 << 20, sizes="[32, 1]") + "operator_types: [Add, Exp, ReduceSum]\n"
    found = imported(tmp_path, a=array, v=vector)
    assert {core.id: core.runs for core in found.hardware.cores} == {
        "a": ("gemm", "depthwise"), "v": ("elementwise", "reduction"),
    }  # fmt: skip


def test_what_is_not_used_is_told(tmp_path: Path) -> None:
    array = CORE.format(name="a", bits=1 << 23, sizes="[4, 8, 2]").replace("[D1, D2], sizes", "[D1, D2, D3], sizes")
    array = array.replace("served_dimensions: [D1, D2]", "served_dimensions: [D1, D2, D3]") + "clock_gating: yes\n"
    found = imported(tmp_path, NEWER + "technology_node: n3\n", a=array)
    assert parts(found.hardware)["a"][1:3] == (4, 16)
    for words in ("4 x 8 x 2 is taken as 4 x 16", "registers", "of core: clock_gating", "technology_node", "share one"):
        assert any(words in note for note in found.notes), words


def test_cores_are_found_where_they_are_given(tmp_path: Path) -> None:
    file = machine(tmp_path, NEWER.replace("./cores/", "far/away/"))
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "cores").rename(elsewhere)
    with pytest.raises(InputError, match=r"mine\.yaml:3: cores\.0: no file for this core"):
        read_accelerator([file])
    assert len(read_accelerator([file, elsewhere]).cores) == 3
    assert len(read_accelerator([file, *elsewhere.glob("*.yaml")]).cores) == 3


BROKEN = [
    (NEWER.replace("cores: [0, 1]", "cores: [0, 7]"), r"mine\.yaml:6: core_connectivity\[0\]: there is no core 7"),
    (NEWER.replace("bandwidth: 128", "bandwidth: 0"), "expected a positive number of bits per cycle"),
    (NEWER.replace("type: link, cores: [0, 1]", "type: lnk, cores: [0, 1]"), "did you mean 'link'"),
    (NEWER.replace("0: ./", "5: ./"), "expected the cores 0 to 2"),
    (NEWER.replace("a.yaml", "b.yaml"), "no file for this core.*did you mean .*'a.yaml'"),
    (OLDER.replace("nb_rows: 2", "nb_rows: 3"), "3 x 2 cores"),
    (ZIGZAG.replace("dram:", "more:"), "no off-chip memory"),
    (ZIGZAG.split("multipliers")[0], "this core has no array"),
    (ZIGZAG.replace("size: 8001", "size: big"), r"mine\.yaml:5: memories\.sram\.size"),
    ("name: [", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "words"), BROKEN)
def test_what_cannot_be_used_is_said_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        imported(tmp_path, text)


def test_no_core_that_computes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no core that computes"):
        imported(tmp_path, "name: m\ncores: {0: ./cores/dram.yaml}\noffchip_core_id: 0\n")
