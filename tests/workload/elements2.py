"""A Mamba-2 block element by element, in both of its forms; see `workload.elements`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ssmopt.problem import Problem

from .elements import Block, Element

FRONT = {"rms_norm": "L D", "in_proj": "L D K", "conv1d": "L X W", "silu_xBC": "L X", "softplus": "L H"}
BACK = {
    "skip_D": "L E", "silu_z": "L E", "gate": "L E", "norm_square": "L E", "norm_scale": "L E", "out_proj": "L E D",
    "residual": "L D",
}  # fmt: skip
RECURRENT = {
    "mul_dA": "L H", "exp_dA": "L H", "mul_dtx": "L E", "mul_dBx": "L E N", "mul_hA": "L E N", "add_h": "L E N",
    "mul_hC": "L E N",
}  # fmt: skip
CHUNKED = {
    "mul_dA": "L H", "cumsum_dA": "L H", "decay_start": "L H", "decay_end": "L H", "decay_mask": "L H",
    "chunk_CB": "L G N", "mul_mask": "L H", "mul_dtx": "L E", "chunk_diag": "L E", "mul_decay": "L E",
    "chunk_state": "L E N", "pass_state": "L E N", "chunk_off": "L E N", "add_off": "L E",
}  # fmt: skip

WHOLE_CHUNKS = ("cumsum_dA", "decay_start", "decay_end", "chunk_state", "pass_state")
"""Operators with one tile per chunk; the other ones of the chunked form may have several."""

SUMMED = {
    "in_proj": "D", "conv1d": "W", "mul_hC": "N", "scan": "N", "chunk_CB": "N", "chunk_off": "N", "norm_square": "E",
    "out_proj": "E",
}  # fmt: skip
"""The dimension that an operator sums over, where its tiles may share the sum."""

TENSORS = {
    "x": "L D", "g_norm": "D", "u": "L D", "W_in": "D K", "z": "L E", "xBC": "L X", "dt_raw": "L H", "w_conv": "X W",
    "b_conv": "X", "c": "L X", "xc": "L E", "B": "L G N", "C": "L G N", "b_dt": "H", "dt": "L H", "A": "H",
    "dA": "L H", "dtx": "L E", "y": "L E", "D_skip": "H", "y_skip": "L E", "sz": "L E", "gated": "L E", "ss": "L G",
    "g_gate": "E", "normed": "L E", "W_out": "E D", "o": "L D", "out": "L D",
}  # fmt: skip
RECURRENT_TENSORS = {"Abar": "L H", "dBx": "L E N", "hA": "L E N", "h": "L E N"}
CHUNKED_TENSORS = {
    "s": "L H", "decay_start": "L H", "decay_end": "L H", "M": "L H J", "CB": "L G J", "CBM": "L H J", "y_diag": "L E",
    "dtx_end": "L E", "S": "C E N", "h": "C E N", "y_off": "L E",
}  # fmt: skip
WEIGHTS = ("g_norm", "W_in", "w_conv", "b_conv", "b_dt", "A", "D_skip", "g_gate", "W_out")


@dataclass(frozen=True)
class Block2(Block):
    """The sizes of a Mamba-2 block, and what is computed at each point."""

    state_update: ClassVar[Sequence[str]] = (*RECURRENT, *CHUNKED)
    summed: ClassVar[Mapping[str, str]] = SUMMED
    weights: ClassVar[Sequence[str]] = WEIGHTS
    convolved: ClassVar[str] = "xBC"

    @property
    def chunked(self) -> bool:
        return self.problem.form == "chunked"

    @property
    def spaces(self) -> Mapping[str, str]:
        return FRONT | (CHUNKED if self.chunked else RECURRENT) | BACK

    @property
    def shapes(self) -> Mapping[str, str]:
        return TENSORS | (CHUNKED_TENSORS if self.chunked else RECURRENT_TENSORS)

    @property
    def sizes(self) -> dict[str, int]:
        model = self.problem.model
        length, inner, heads = self.problem.seq_len, model.d_inner, model.d_inner // model.head_dim
        shared = model.n_groups * model.d_state
        return {
            "L": length, "J": length, "C": len(range(0, length, model.chunk_size)), "D": model.d_model, "E": inner,
            "H": heads, "G": model.n_groups, "N": model.d_state, "W": model.d_conv, "X": inner + 2 * shared,
        }  # fmt: skip

    def columns(self, name: str) -> int:
        sizes = self.sizes
        return 2 * sizes["E"] + 2 * sizes["G"] * sizes["N"] + sizes["H"]

    def chunk_of(self, token: int) -> range:
        """The tokens of the same chunk."""
        size = self.problem.model.chunk_size
        first = token - token % size
        return range(first, min(first + size, self.problem.seq_len))

    def points(self, operator: str, at: Mapping[str, int]) -> tuple[list[Element], list[Element]]:
        e, n, d, k, x, w = (at.get(dim, 0) for dim in ("E", "N", "D", "K", "X", "W"))
        t, sizes, model = at["L"], self.sizes, self.problem.model
        inner, state, groups = sizes["E"], sizes["N"], sizes["G"]
        head = at["H"] if "H" in at else e // model.head_dim
        group = at["G"] if "G" in at else head // (sizes["H"] // groups)
        chunk = self.chunk_of(t)
        c, last = t // model.chunk_size, chunk[-1]

        def a(name: str, *index: int) -> Element:
            return name, index

        def of_column(x: int, names: tuple[str, str, str]) -> Element:
            """An element of x, B or C by its place among the channels that are convolved."""
            if x < inner:
                return a(names[0], t, x)
            which, rest = divmod(x - inner, groups * state)
            return a(names[1 + which], t, *divmod(rest, state))

        state_before = [a("h", c - 1, e, n)] if c > 0 or self.loads_state else []
        tap = [a("xBC", t - w, x)] if t - w >= 0 or self.loads_state else []
        if operator == "rms_norm":
            return [a("x", t, d), a("g_norm", d)], [a("u", t, d)]
        if operator == "in_proj":
            if k < inner:
                made = a("z", t, k)
            elif k < inner + sizes["X"]:
                made = a("xBC", t, k - inner)
            else:
                made = a("dt_raw", t, k - inner - sizes["X"])
            return [a("u", t, d), a("W_in", d, k)], [made]
        if operator == "conv1d":
            return [*tap, a("w_conv", x, w), a("b_conv", x)], [a("c", t, x)]
        if operator == "silu_xBC":
            return [a("c", t, x)], [of_column(x, ("xc", "B", "C"))]
        if operator == "softplus":
            return [a("dt_raw", t, head), a("b_dt", head)], [a("dt", t, head)]
        if operator == "mul_dA":
            return [a("dt", t, head), a("A", head)], [a("dA", t, head)]
        if operator == "mul_dtx":
            return [a("dt", t, head), a("xc", t, e)], [a("dtx", t, e)]
        if operator == "skip_D":
            return [a("y", t, e), a("xc", t, e), a("D_skip", head)], [a("y_skip", t, e)]
        if operator == "silu_z":
            return [a("z", t, e)], [a("sz", t, e)]
        if operator == "gate":
            return [a("y_skip", t, e), a("sz", t, e)], [a("gated", t, e)]
        if operator == "norm_square":
            return [a("gated", t, e)], [a("ss", t, group)]
        if operator == "norm_scale":
            return [a("gated", t, e), a("ss", t, group), a("g_gate", e)], [a("normed", t, e)]
        if operator == "out_proj":
            return [a("normed", t, e), a("W_out", e, d)], [a("o", t, d)]
        if operator == "residual":
            return [a("o", t, d), a("x", t, d)], [a("out", t, d)]

        # Token by token.
        token_before = [a("h", t - 1, e, n)] if t > 0 or self.loads_state else []
        if operator == "exp_dA":
            return [a("dA", t, head)], [a("Abar", t, head)]
        if operator == "mul_dBx":
            return [a("dtx", t, e), a("B", t, group, n)], [a("dBx", t, e, n)]
        if operator == "mul_hA":
            return [a("Abar", t, head), *token_before], [a("hA", t, e, n)]
        if operator == "add_h":
            return [a("hA", t, e, n), a("dBx", t, e, n)], [a("h", t, e, n)]
        if operator == "mul_hC":
            return [a("h", t, e, n), a("C", t, group, n)], [a("y", t, e)]
        if operator == "scan":
            reads = [a("Abar", t, head), a("dBx", t, e, n), a("C", t, group, n), *token_before]
            return reads, [a("h", t, e, n), a("y", t, e)]

        # Chunk by chunk.
        if operator == "cumsum_dA":
            return [a("dA", j, head) for j in chunk if j <= t], [a("s", t, head)]
        if operator == "decay_start":
            return [a("s", t, head)], [a("decay_start", t, head)]
        if operator == "decay_end":
            return [a("s", t, head), a("s", last, head)], [a("decay_end", t, head)]
        if operator == "decay_mask":
            return [a("s", j, head) for j in chunk], [a("M", t, head, j) for j in chunk]
        if operator == "chunk_CB":
            return [a("C", t, group, n), *(a("B", j, group, n) for j in chunk)], [a("CB", t, group, j) for j in chunk]
        if operator == "mul_mask":
            factors = [a("M", t, head, j) for j in chunk] + [a("CB", t, group, j) for j in chunk]
            return factors, [a("CBM", t, head, j) for j in chunk]
        if operator == "chunk_diag":
            return [x for j in chunk for x in (a("CBM", t, head, j), a("dtx", j, e))], [a("y_diag", t, e)]
        if operator == "mul_decay":
            return [a("decay_end", t, head), a("dtx", t, e)], [a("dtx_end", t, e)]
        if operator == "chunk_state":
            return [a("dtx_end", t, e), a("B", t, group, n)], [a("S", c, e, n)]
        if operator == "pass_state":
            return [a("decay_start", last, head), *state_before, a("S", c, e, n)], [a("h", c, e, n)]
        if operator == "chunk_off":
            return [a("C", t, group, n), *state_before], [a("y_off", t, e)]
        assert operator == "add_off"
        return [a("y_diag", t, e), a("decay_start", t, head), a("y_off", t, e)], [a("y", t, e)]


def block_of(problem: Problem) -> Block:
    """The block of a problem of either family."""
    return Block2(problem) if problem.model.family == "mamba2" else Block(problem)
