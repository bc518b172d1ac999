"""Why a schedule is as long as it is: what each tile waited for, the critical chain, idle times, possible gains."""

from ssmopt.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
