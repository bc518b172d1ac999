"""The kernels of every model family."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ssmopt.execute import mamba, mamba2
from ssmopt.execute.arithmetic import Kernel

KERNELS: Mapping[str, Mapping[str, Kernel]] = MappingProxyType({"mamba": mamba.KERNELS, "mamba2": mamba2.KERNELS})
"""By model family, then by operator."""
