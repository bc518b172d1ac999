"""Schedule a Mamba prefill, see how good the schedule is, and what fusion is worth."""

import ssmopt

instance = ssmopt.load_instance("mamba1-2.7b-n64-marca-L64")
result = ssmopt.solve(instance, time_limit=30)
print(result)
print(f"{result.makespan:,} cycles, at most {result.gap:.2%} above the best under any tiling")
assert not ssmopt.validate(instance, result.schedule)

small = ssmopt.build_instance("mamba-130m", "marca", seq_len=16)
print(ssmopt.compare(small, time_limit=10))
