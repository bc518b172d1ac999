from __future__ import annotations

from pathlib import Path

import pytest

from ssmopt import library
from ssmopt.errors import InputError
from ssmopt.files.config import read_hardware, read_model, read_problem
from ssmopt.hardware import KERNELS
from ssmopt.instance import DRAM
from ssmopt.problem import Dtype, Problem
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.tiles import build_tiles

MODEL = """\
family: mamba
layers: 3
d_model: 100
expand: 2
d_state: 16
d_conv: 4
"""

MODEL2 = """\
family: mamba2
layers: 3
d_model: 100
expand: 2
d_state: 16
d_conv: 4
head_dim: 25
"""

HARDWARE = """\
name: toy
clock_ghz: 0.5
op_cycles: {mac: 1, multiply: 1, add: 1, exp: 4, sigmoid: 4, silu: 4, softplus: 4, rsqrt: 4}
memories:
  - id: left
    capacity: 1MiB
  - {id: right, capacity: 4096}
cores:
  - id: array
    memory: left
    array: [8, 16]
    runs: [gemm]
    tile_overhead_cycles: 2
  - id: rest
    memory: right
    array: [4, 4]
    count: 2
    tile_overhead_cycles: 0
    op_cycles: {exp: 9}
channels:
  - id: dma
    bandwidth: 32
    connects: [dram, left, right]
  - {id: noc, bandwidth: 8, lanes: 4, connects: [left, right]}
"""

INSTANCE = """\
model: mamba-tiny
hardware: tiny
seq_len: 8
"""


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text)
    return file


def problem_of(folder: Path, text: str) -> tuple[object, Tiling | None]:
    return read_problem(write(folder, "case.yaml", text), library.find_file)


def test_model_defaults(tmp_path: Path) -> None:
    model = read_model(write(tmp_path, "toy.yaml", MODEL))
    assert (model.name, model.layers, model.d_model, model.d_inner, model.dt_rank) == ("toy", 3, 100, 200, 7)
    explicit = MODEL.replace("expand: 2", "d_inner: 150\ndt_rank: 9\nname: other")
    model = read_model(write(tmp_path, "toy.yaml", explicit))
    assert (model.name, model.d_inner, model.dt_rank) == ("other", 150, 9)


def test_mamba2_defaults(tmp_path: Path) -> None:
    model = read_model(write(tmp_path, "toy.yaml", MODEL2))
    assert (model.d_inner, model.head_dim, model.n_heads, model.n_groups, model.chunk_size) == (200, 25, 8, 1, 256)
    assert model.dt_rank == 0
    explicit = MODEL2.replace("head_dim: 25", "n_heads: 10\nn_groups: 5\nchunk_size: 64")
    model = read_model(write(tmp_path, "toy.yaml", explicit))
    assert (model.head_dim, model.n_heads, model.n_groups, model.chunk_size) == (20, 10, 5, 64)
    assert read_model(write(tmp_path, "toy.yaml", MODEL2 + "n_heads: 8\n")).n_heads == 8


def test_hardware(tmp_path: Path) -> None:
    toy = read_hardware(write(tmp_path, "file.yaml", HARDWARE))
    assert (toy.name, toy.clock_ghz, toy.area_mm2, toy.dram_pj_per_bit) == ("toy", 0.5, None, None)
    assert [(memory.id, memory.capacity) for memory in toy.memories] == [("left", 1 << 20), ("right", 4096)]
    array, rest = toy.cores
    assert (array.rows, array.columns, array.count, array.runs) == (8, 16, 1, ("gemm",))
    assert (rest.memory, rest.count, rest.runs, rest.tile_overhead_cycles) == ("right", 2, KERNELS, 0)
    assert (array.op_cycles["exp"], rest.op_cycles["exp"], rest.op_cycles["silu"]) == (4, 9, 4)
    assert [(channel.bandwidth, channel.lanes) for channel in toy.channels] == [(32, 1), (8, 4)]
    assert toy.channels[0].connects == ("dram", "left", "right")


PRIVATE = """
name: private
clock_ghz: 1
op_cycles: {mac: 1, multiply: 1, add: 1, exp: 4, sigmoid: 4, silu: 4, softplus: 4, rsqrt: 4}
memories:
  - {id: shared, capacity: 1KiB}
  - {id: own, capacity: 2KiB, count: 2}
cores:
  - {id: pe, count: 4, memory: own, array: [2, 2], tile_overhead_cycles: 0}
  - {id: extra, memory: shared, array: [2, 2], tile_overhead_cycles: 0}
channels:
  - {id: dma, bandwidth: 8, connects: [dram, own, shared]}
  - {id: noc, bandwidth: 4, lanes: 2, connects: [own]}
"""


def test_memories_with_a_count_are_shared_evenly_by_cores_and_joined_each(tmp_path: Path) -> None:
    hardware = read_hardware(write(tmp_path, "private.yaml", PRIVATE))
    assert [memory.ids for memory in hardware.memories] == [("shared",), ("own.0", "own.1")]
    assert (hardware.capacity_bytes, hardware.memory_count) == (5 << 10, 3)
    instance = build_tiles(Problem("p", library.load_model("mamba-tiny"), hardware, 2), Tiling())
    assert instance.memory_ids == ("shared", "own.0", "own.1")
    assert instance.memory_capacity.tolist() == [1 << 10, 2 << 10, 2 << 10]
    assert instance.core_memory.tolist() == [1, 1, 2, 2, 0]
    assert instance.channel_connects == ((DRAM, 1, 2, 0), (1, 2))
    assert hardware.override("memories.own.count", 4).memory_count == 5
    assert hardware.override("sram", 512).capacity_bytes == 3 * 512


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("count: 2}", "count: 0}", "expected a positive whole number, not 0"),
        ("count: 2}", "count: 3}", "core group 'pe' has 4 cores, which 3 memories 'own' cannot share evenly"),
        ("shared", "own.1", "the id 'own.1' is used twice"),
        ("connects: [own]", "connects: [shared]", "channels[1].connects: must name at least two different ends"),
        ("connects: [own]", "connects: [ow]", "unknown value 'ow'; did you mean 'own'"),
    ],
)
def test_memories_with_a_count_that_cannot_be(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_hardware(write(tmp_path, "private.yaml", PRIVATE.replace(old, new)))
    assert message in str(caught.value)


def test_instance_with_defaults(tmp_path: Path) -> None:
    problem, tiling = read_problem(write(tmp_path, "case.yaml", INSTANCE), library.find_file)
    assert tiling is None
    assert (problem.name, problem.model.name, problem.hardware.name) == ("case", "mamba-tiny", "tiny")
    assert (problem.seq_len, problem.batch, problem.layers) == (8, 1, 1)
    assert (problem.scope, problem.initial_state, problem.dtype) == ("block", "load", Dtype())


def test_instance_with_everything(tmp_path: Path) -> None:
    text = INSTANCE + (
        "name: mine\nbatch: 1\nlayers: 1\nscope: state-update\ninitial_state: zero\n"
        "dtype: {weights: 1, activations: 2}\n"
        "overrides:\n  sram: 3KiB\n  memories.sram.capacity: 4096\n  bandwidth: 8\n  array: [2, 3]\n"
        "  channels.dma.lanes: 2\n  clock_ghz: 1.5\n"
        "tiling:\n  tokens: 4\n  state_tokens: 2\n  scan: true\n  channel_splits: 4\n  state_splits: 2\n"
        "  projections: {in_proj: {columns: 4, reduction: 2}, out_proj: {reduction: 4}}\n  loop_order: channels\n"
    )
    problem, tiling = read_problem(write(tmp_path, "case.yaml", text), library.find_file)
    assert (problem.name, problem.scope, problem.initial_state) == ("mine", "state-update", "zero")
    assert problem.dtype == Dtype(weights=1, activations=2, state=4)
    hardware = problem.hardware
    assert (hardware.memories[0].capacity, hardware.channels[0].bandwidth, hardware.channels[0].lanes) == (4096, 8, 2)
    assert (hardware.cores[0].rows, hardware.cores[0].columns, hardware.clock_ghz) == (2, 3, 1.5)
    assert tiling == Tiling(
        tokens=4,
        state_tokens=2,
        scan=True,
        channel_splits=4,
        state_splits=2,
        projections={"in_proj": ProjectionTiling(4, 2), "out_proj": ProjectionTiling(1, 4)},
        loop_order="channels",
    )


def test_paths_are_relative_to_the_instance_and_mappings_are_inline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "cases").mkdir()
    write(tmp_path / "parts", "toy.yaml", MODEL)
    inline = "  " + HARDWARE.replace("\n", "\n  ")
    file = write(tmp_path / "cases", "a.yaml", f"model: ../parts/toy.yaml\nseq_len: 1\nhardware:\n{inline}\n")
    monkeypatch.chdir(tmp_path / "parts")
    problem, _ = read_problem(file, library.find_file)
    assert (problem.model.name, problem.hardware.name) == ("toy", "toy")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("d_model: 100", "d_modl: 100", "3: d_modl: unknown key; did you mean 'd_model'?"),
        ("d_model: 100\n", "", "1: d_model: this key is missing"),
        ("d_model: 100", "d_model: many", "3: d_model: expected a whole number, not 'many'"),
        ("d_model: 100", "d_model: 0", "3: d_model: expected a positive whole number, not 0"),
        ("d_model: 100", "d_model: 1" + 30 * "0", "3: d_model: expected a number of at most 2147483647"),
        ("family: mamba", "family: mambo", "1: family: unknown value 'mambo'; did you mean 'mamba' or 'mamba2'?"),
        ("expand: 2\n", "", "1: d_inner: this key is missing; give d_inner, or expand"),
        ("expand: 2", "expand: 2\nd_inner: 100", "5: d_inner: expected expand * d_model = 200"),
        ("expand: 2", "expand: -2", "4: expand: expected a positive whole number, not -2"),
        ("d_state: 16", "d_state: -1", "5: d_state: expected a positive whole number, not -1"),
    ],
)
def test_bad_models(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = write(tmp_path, "toy.yaml", MODEL.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_model(file)
    assert str(caught.value).startswith(f"{file}:{message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("head_dim: 25\n", "", "1: head_dim: this key is missing; give head_dim, or n_heads"),
        ("head_dim: 25", "head_dim: 30", "7: head_dim: expected a divisor of d_inner = 200, not 30"),
        ("head_dim: 25", "head_dim: 0", "7: head_dim: expected a positive whole number, not 0"),
        ("head_dim: 25", "n_heads: 7", "7: n_heads: expected a divisor of d_inner = 200, not 7"),
        ("head_dim: 25", "head_dim: 25\nn_heads: 4", "7: head_dim: expected d_inner / n_heads = 50"),
        ("head_dim: 25", "head_dim: 25\nn_groups: 3", "8: n_groups: expected a divisor of the 8 heads"),
        ("head_dim: 25", "head_dim: 25\nchunk_size: -1", "8: chunk_size: expected a positive whole number, not -1"),
        ("head_dim: 25", "head_dim: 25\ndt_rank: 4", "8: dt_rank: models of family 'mamba2' have no dt_rank"),
        ("family: mamba2", "family: mamba", "7: head_dim: models of family 'mamba' have no head_dim"),
        ("family: mamba2", "family: mamba3", "1: family: unknown value 'mamba3'; did you mean 'mamba' or 'mamba2'?"),
        ("head_dim: 25", "headdim: 25", "7: headdim: unknown key; did you mean 'head_dim'?"),
    ],
)
def test_bad_mamba2_models(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = write(tmp_path, "toy.yaml", MODEL2.replace(old, new))
    with pytest.raises(InputError) as caught:
        read_model(file)
    assert str(caught.value).startswith(f"{file}:{message}")


def test_forms_and_sequences(tmp_path: Path) -> None:
    text = INSTANCE.replace("mamba-tiny", "mamba2-tiny") + "form: chunked\nbatch: 3\n"
    problem, _ = read_problem(write(tmp_path, "case.yaml", text), library.find_file)
    assert (problem.form, problem.batch) == ("chunked", 3)
    tiling = "tiling:\n  channel_splits: 4\n  projections:\n    in_proj: {columns: 32}\n"
    assert read_problem(write(tmp_path, "case.yaml", text + tiling), library.find_file)[1] is not None


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("form: chunks", "4: form: unknown value 'chunks'; did you mean 'chunked'?"),
        ("tiling:\n  channel_splits: 5", "5: tiling.channel_splits: expected at most 4 (heads), not 5"),
        (
            "tiling:\n  projections:\n    x_proj: {columns: 2}",
            "6: tiling.projections.x_proj: unknown key; did you mean 'in_proj' or 'out_proj'?",
        ),
        (
            "tiling:\n  projections:\n    in_proj: {columns: 33}",
            "6: tiling.projections.in_proj.columns: expected at most 32 (the columns of in_proj), not 33",
        ),
    ],
)
def test_bad_mamba2_instances(tmp_path: Path, added: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        problem_of(tmp_path, INSTANCE.replace("mamba-tiny", "mamba2-tiny") + added + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'case.yaml'}:{message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("capacity: 1MiB", "capacity: 1mib", "6: memories[0].capacity: unknown unit 'mib'; known: "),
        ("capacity: 1MiB", "capacity: -1", "6: memories[0].capacity: expected a positive number of bytes, not -1"),
        ("capacity: 1MiB", "size: 1MiB", "6: memories[0].size: unknown key"),
        ("id: left", "id: dram", "10: cores[0].memory: unknown value 'left'"),
        ("id: right", "id: left", "15: cores[1].memory: unknown value 'right'"),
        ("memory: left", "memory: lefd", "10: cores[0].memory: unknown value 'lefd'; did you mean 'left'?"),
        ("array: [8, 16]", "array: [8]", "11: cores[0].array: expected [rows, columns]"),
        ("array: [8, 16]", "array: 8", "11: cores[0].array: expected [rows, columns]"),
        ("array: [8, 16]", "array: [0, 16]", "11: cores[0].array: expected a positive whole number, not 0"),
        ("array: [8, 16]", "array: [8, x]", "11: cores[0].array[1]: expected a whole number, not 'x'"),
        ("runs: [gemm]", "runs: [gem]", "12: cores[0].runs[0]: unknown value 'gem'; did you mean 'gemm'?"),
        ("runs: [gemm]", "runs: gemm", "12: cores[0].runs: unknown value 'gemm'; known: all"),
        ("count: 2", "count: 0", "17: cores[1].count: expected a positive whole number, not 0"),
        ("op_cycles: {exp: 9}", "op_cycles: {exp: 0}", "19: cores[1].op_cycles.exp: expected a positive whole number"),
        ("op_cycles: {exp: 9}", "op_cycles: {exq: 9}", "19: cores[1].op_cycles.exq: unknown key; did you mean 'exp'"),
        (" rsqrt: 4", "", "9: cores[0].op_cycles: needs a positive whole number of cycles for 'rsqrt'"),
        ("bandwidth: 32", "bandwidth: 0", "22: channels[0].bandwidth: expected a positive whole number, not 0"),
        ("[dram, left, right]", "[dram, lef]", "23: channels[0].connects[1]: unknown value 'lef'; did you mean 'left'"),
        ("[dram, left, right]", "[dram]", "23: channels[0].connects: must name at least two different ends"),
        ("lanes: 4", "lanes: 4.5", "24: channels[1].lanes: expected a whole number, not 4.5"),
        ("clock_ghz: 0.5", "clock_ghz: .nan", "2: clock_ghz: expected a number, not .nan"),
        ("clock_ghz: 0.5", "clock_ghz: -1", "2: clock_ghz: expected a positive number, not -1"),
        ("clock_ghz: 0.5", "clock_ghz: 1\narea_mm2: 0", "3: area_mm2: expected a positive number, not 0"),
        ("name: toy", "name: [toy]", "1: name: expected text, not a list"),
        ("id: rest", "id: array", "9: cores: the id 'array' is used twice"),
        ("    count: 2", "    runs: [gemm]", "9: cores: no core runs the kernel class 'depthwise'"),
    ],
)
def test_bad_hardware(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in HARDWARE
    file = write(tmp_path, "toy.yaml", HARDWARE.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_hardware(file)
    assert str(caught.value).startswith(f"{file}:{message}")


def test_dram_is_no_memory(tmp_path: Path) -> None:
    file = write(tmp_path, "toy.yaml", HARDWARE.replace("left", "dram"))
    with pytest.raises(InputError, match=r"toy\.yaml:5: memories: 'dram' always means off-chip memory"):
        read_hardware(file)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("tilling: auto", "4: tilling: unknown key; did you mean 'tiling'?"),
        ("seq_len: 9", "4: seq_len: this key is given twice, first on line 3"),
        ("layers: 4", "4: layers: 'mamba-tiny' has 2 layers, not 4"),
        ("layers: some", "4: layers: unknown value 'some'; known: all"),
        ("layers: 1.5", "4: layers: expected a whole number, not 1.5"),
        ("layers: 0", "4: layers: expected a positive whole number, not 0"),
        ("form: chunked", "4: form: models of family 'mamba' have no chunked form"),
        ("scope: blok", "4: scope: unknown value 'blok'; did you mean 'block'?"),
        ("initial_state: none", "4: initial_state: unknown value 'none'; known: load, zero"),
        ("dtype: 4", "4: dtype: expected a mapping of keys to values, not 4"),
        ("dtype:\n  weights: 0", "5: dtype.weights: expected a positive number of bytes, not 0"),
        ("dtype:\n  weight: 4", "5: dtype.weight: unknown key; did you mean 'weights'?"),
        ("overrides:\n  srm: 1MiB", "5: overrides.srm: expected a number, not '1MiB'"),
        ("overrides:\n  srm: 1", "5: overrides.srm: unknown hardware field 'srm'; did you mean 'sram'?"),
        (
            "overrides:\n  sram: lots",
            "5: overrides.sram: expected a size such as 1048576, 24MiB or 512 KiB, not 'lots'",
        ),
        ("overrides:\n  sram: 1" + "0" * 30, "5: overrides.sram: expected a number of at most"),
        ("overrides:\n  memories.srm.capacity: 1", "5: overrides.memories.srm.capacity: 'memories.srm.capacity': no"),
        ("overrides:\n  bandwidth: 1.5", "5: overrides.bandwidth: expected a whole number, not 1.5"),
        ("overrides:\n  array: [1, 0]", "5: overrides.array: expected a positive whole number, not 0"),
        ("overrides:\n  array: [1, 2, 3]", "5: overrides.array: expected [rows, columns]"),
        ("overrides:\n  clock_ghz: 0", "5: overrides.clock_ghz: expected a positive number, not 0"),
        ("overrides: [1]", "4: overrides: expected a mapping of keys to values, not a list"),
        ("tiling: atuo", "4: tiling: unknown value 'atuo'; did you mean 'auto'?"),
        ("tiling: [auto]", "4: tiling: expected 'auto' or a mapping, not a list"),
        ("tiling:", "4: tiling: expected text, but there is no value"),
        ("tiling:\n  tokens: 0", "5: tiling.tokens: expected a positive whole number, not 0"),
        ("tiling:\n  scan: 1", "5: tiling.scan: expected true or false, not 1"),
        ("tiling:\n  channel_splits: 17", "5: tiling.channel_splits: expected at most 16 (d_inner), not 17"),
        ("tiling:\n  state_splits: 5", "5: tiling.state_splits: expected at most 4 (d_state), not 5"),
        ("tiling:\n  loop_order: token", "5: tiling.loop_order: unknown value 'token'; did you mean 'tokens'?"),
        (
            "tiling:\n  projections:\n    inproj: {}",
            "6: tiling.projections.inproj: unknown key; did you mean 'in_proj'",
        ),
        (
            "tiling:\n  projections:\n    in_proj:\n      columns: 0",
            "7: tiling.projections.in_proj.columns: expected a positive whole number, not 0",
        ),
        (
            "tiling:\n  projections:\n    dt_proj: {reduction: 2}",
            "6: tiling.projections.dt_proj.reduction: expected at most 1 (the rows of dt_proj), not 2",
        ),
    ],
)
def test_bad_instances(tmp_path: Path, added: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        problem_of(tmp_path, INSTANCE + added + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'case.yaml'}:{message}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mamba-tiny", "mamba-tny", "case.yaml:1: model: unknown model 'mamba-tny'; did you mean 'mamba-tiny'"),
        ("mamba-tiny", "mine.yaml", "case.yaml:1: model: no such file: "),
        ("mamba-tiny", "130", "case.yaml:1: model: expected text (in quotes, if it is text), not 130"),
        ("mamba-tiny", "{family: mamba}", "case.yaml:1: model.d_model: this key is missing"),
        ("hardware: tiny", "hardware: marka", "case.yaml:2: hardware: unknown hardware 'marka'; did you mean 'marca'"),
        ("seq_len: 8", "seq_len: -8", "case.yaml:3: seq_len: expected a positive whole number, not -8"),
        ("seq_len: 8\n", "", "case.yaml:1: seq_len: this key is missing"),
        ("model: mamba-tiny", "format: ssmopt-tile-instance", "case.yaml:1: format: expected an instance in YAML"),
    ],
)
def test_bad_references(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        problem_of(tmp_path, INSTANCE.replace(old, new))
    assert message in str(caught.value)


def test_an_error_in_a_referenced_file_names_that_file(tmp_path: Path) -> None:
    write(tmp_path, "toy.yaml", MODEL.replace("16", "x"))
    with pytest.raises(InputError, match=r"toy\.yaml:5: d_state: expected a whole number, not 'x'"):
        problem_of(tmp_path, INSTANCE.replace("mamba-tiny", "toy.yaml"))
