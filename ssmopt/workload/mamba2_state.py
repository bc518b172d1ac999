"""The state update of Mamba-2, token by token or chunk by chunk; `ssmopt.workload.mamba2` has the tables."""

from __future__ import annotations

from ssmopt.problem import Problem
from ssmopt.workload.operators import Access, Index, Operator, Parts, Step, access


class Shape:
    """Sizes of a block, and operators over them."""

    def __init__(self, problem: Problem):
        model = problem.model
        self.problem = problem
        self.length, self.width, self.taps = problem.seq_len, model.d_model, model.d_conv
        self.inner, self.heads, self.groups, self.state = model.d_inner, model.n_heads, model.n_groups, model.d_state
        self.chunk = model.chunk_size
        self.convolved = self.inner + 2 * self.groups * self.state
        self.columns = self.inner + self.convolved + self.heads
        # Channels are cut where heads begin. Where B and C are taken apart they are cut where groups begin, so that all
        # of their pieces are boxes of [G, N].
        both = 2 * self.groups * self.state
        self.parts = {
            "E": Parts((self.inner,), grain=model.head_dim),
            "X": Parts((self.inner,), both, model.head_dim, self.state),
            "K": Parts((self.inner, self.inner), both + self.heads, model.head_dim),
        }
        self.head = Index("E", divisor=model.head_dim)
        self.group = Index("E", divisor=self.inner // self.groups)
        self.group_of_head = Index("H", divisor=self.heads // self.groups)

    def operator(
        self,
        name: str,
        kernel: str,
        dims: str,
        reads: tuple[Access, ...],
        writes: tuple[Access, ...],
        *steps: Step,
        reduces: tuple[str, ...] = (),
        pace: str = "tokens",
        group: str = "",
    ) -> Operator:
        """An operator over the dimensions that a text lists, such as ``L E N``."""
        sizes = {
            "L": self.length, "D": self.width, "E": self.inner, "H": self.heads, "G": self.groups, "N": self.state,
            "W": self.taps, "X": self.convolved, "K": self.columns,
        }  # fmt: skip
        names = dims.split()
        parts = {dim: self.parts[dim] for dim in names if dim in self.parts}
        chunk = self.chunk if pace in ("chunk", "rows") else 0
        return Operator(
            name, {d: sizes[d] for d in names}, kernel, reads, writes, steps, reduces, group, pace, parts, chunk
        )

    def of_group(self, tensor: str) -> Access:
        """B or C of a range of channels."""
        return access(tensor, "L", self.group, "N")

    def mul_dA(self, pace: str) -> Operator:
        """Step size times decay rate; both forms begin with it."""
        reads, writes = (access("dt", "L", "H"), access("A", "H")), (access("dA", "L", "H"),)
        return self.operator("mul_dA", "elementwise", "L H", reads, writes, Step("multiply", ("L", "H")), pace=pace)

    def mul_dtx(self, pace: str) -> Operator:
        """Input times step size, in both forms."""
        reads, writes = (access("dt", "L", self.head), access("xc", "L", "E")), (access("dtx", "L", "E"),)
        return self.operator("mul_dtx", "elementwise", "L E", reads, writes, Step("multiply", ("L", "E")), pace=pace)


def recurrent(shape: Shape, scan: bool) -> tuple[Operator, ...]:
    """The state update token by token."""
    everything = ("L", "E", "N")
    previous = access("h", Index.before("L"), "E", "N")
    latest = access("h", Index.last("L"), "E", "N")
    decay, new, read_out = access("Abar", "L", shape.head), access("dBx", *everything), shape.of_group("C")
    multiply = Step("multiply", ("E", "N"), serial=("L",))
    add = Step("add", ("E", "N"), serial=("L",))
    contract = Step("mac", ("E", "N"), serial=("L",))
    # One number per head and token, or per channel and token: too little for tiles of their own for every few tokens.
    parallel = (
        shape.mul_dA("tokens"),
        shape.operator(
            "exp_dA",
            "elementwise",
            "L H",
            (access("dA", "L", "H"),),
            (access("Abar", "L", "H"),),
            Step("exp", ("L", "H")),
        ),
        shape.mul_dtx("tokens"),
        shape.operator(
            "mul_dBx",
            "elementwise",
            "L E N",
            (access("dtx", "L", "E"), shape.of_group("B")),
            (new,),
            Step("multiply", everything),
            pace="state_tokens",
        ),
    )
    if scan:
        reads, writes = (decay, new, previous, read_out), (access("y", "L", "E"), latest)
        return (
            *parallel,
            shape.operator(
                "scan",
                "reduction",
                "L E N",
                reads,
                writes,
                multiply,
                add,
                contract,
                reduces=("N",),
                pace="state_tokens",
            ),
        )

    def sequential(name: str, kernel: str, reads: tuple[Access, ...], written: Access, step: Step) -> Operator:
        reduces = ("N",) if kernel == "reduction" else ()
        return shape.operator(
            name, kernel, "L E N", reads, (written,), step, reduces=reduces, pace="single", group="sequential"
        )

    scaled = access("hA", *everything)
    return (
        *parallel,
        sequential("mul_hA", "elementwise", (decay, previous), scaled, multiply),
        sequential("add_h", "elementwise", (scaled, new), latest, add),
        sequential("mul_hC", "reduction", (latest, read_out), access("y", "L", "E"), contract),
    )


def chunked(shape: Shape) -> tuple[Operator, ...]:
    """The state update as matrix products within chunks, and a state passed from chunk to chunk."""
    rows, pairs = ("L", "E"), ("L", "Q", "H")
    whole = Index.block("L", shape.chunk)
    before = access("h", Index.before("L", shape.chunk), "E", "N")
    of_chunk = Index("L", divisor=shape.chunk)
    on_heads, squares = ("L", "H"), ("L", "H", whole)

    def decay(name: str, *steps: Step) -> Operator:
        reads, writes = (access("s", *on_heads),), (access(name, *on_heads),)
        return shape.operator(name, "elementwise", "L H", reads, writes, *steps, pace="chunk")

    return (
        shape.mul_dA("rows"),
        shape.operator(
            "cumsum_dA",
            "elementwise",
            "L H",
            (access("dA", *on_heads),),
            (access("s", *on_heads),),
            Step("add", ("H",), serial=("L",)),
            pace="chunk",
        ),
        decay("decay_start", Step("exp", on_heads)),
        decay("decay_end", Step("add", on_heads), Step("exp", on_heads)),
        shape.operator(
            "decay_mask",
            "elementwise",
            "L H",
            (access("s", whole, "H"),),
            (access("M", *squares),),
            Step("add", pairs),
            Step("exp", pairs),
            pace="rows",
        ),
        shape.operator(
            "chunk_CB",
            "gemm",
            "L G N",
            (access("C", "L", "G", "N"), access("B", whole, "G", "N")),
            (access("CB", "L", "G", whole),),
            Step("mac", ("L", "Q", "G", "N")),
            reduces=("N",),
            pace="rows",
        ),
        shape.operator(
            "mul_mask",
            "elementwise",
            "L H",
            (access("CB", "L", shape.group_of_head, whole), access("M", *squares)),
            (access("CBM", *squares),),
            Step("multiply", pairs),
            pace="rows",
        ),
        shape.mul_dtx("rows"),
        shape.operator(
            "chunk_diag",
            "gemm",
            "L E",
            (access("CBM", "L", shape.head, whole), access("dtx", whole, "E")),
            (access("y_diag", *rows),),
            Step("mac", ("L", "Q", "E")),
            pace="rows",
        ),
        shape.operator(
            "mul_decay",
            "elementwise",
            "L E",
            (access("decay_end", "L", shape.head), access("dtx", *rows)),
            (access("dtx_end", *rows),),
            Step("multiply", rows),
            pace="rows",
        ),
        shape.operator(
            "chunk_state",
            "gemm",
            "L E N",
            (access("dtx_end", *rows), shape.of_group("B")),
            (access("S", of_chunk, "E", "N"),),
            Step("mac", ("L", "E", "N")),
            pace="chunk",
        ),
        shape.operator(
            "pass_state",
            "elementwise",
            "L E N",
            (access("decay_start", Index.last("L"), shape.head), before, access("S", of_chunk, "E", "N")),
            (access("h", of_chunk, "E", "N"),),
            Step("multiply", ("E", "N")),
            Step("add", ("E", "N")),
            pace="chunk",
        ),
        shape.operator(
            "chunk_off",
            "gemm",
            "L E N",
            (shape.of_group("C"), before),
            (access("y_off", *rows),),
            Step("mac", ("L", "E", "N")),
            reduces=("N",),
            pace="rows",
        ),
        shape.operator(
            "add_off",
            "elementwise",
            "L E",
            (access("y_diag", *rows), access("decay_start", "L", shape.head), access("y_off", *rows)),
            (access("y", *rows),),
            Step("multiply", rows),
            Step("add", rows),
            pace="rows",
        ),
    )
