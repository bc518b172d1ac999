"""The variables of the model of one period: phases, stages, and residencies in whole periods and a rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ortools.sat.python import cp_model

from ssmopt.cpsat.scope import Scope
from ssmopt.instance import OUTPUT
from ssmopt.loop import Loop
from ssmopt.periodic.uses import Use, Uses


@dataclass(frozen=True)
class Moment:
    """A time of iteration 0: ``stage`` whole periods and a phase within one."""

    phase: cp_model.IntVar
    time: cp_model.LinearExpr


@dataclass(frozen=True)
class TileVars:
    """A tile: when it starts, when it ends, and per core (index, cycles, whether it runs there)."""

    moment: Moment
    end: cp_model.LinearExpr
    options: tuple[tuple[int, int, cp_model.IntVar], ...]


@dataclass(frozen=True)
class MoveVars:
    """A load or store that may happen; per channel (index, cycles, whether it goes there)."""

    present: cp_model.IntVar
    moment: Moment
    end: cp_model.LinearExpr
    options: tuple[tuple[int, int, cp_model.IntVar], ...]


@dataclass(frozen=True)
class StayVars:
    """A residency that may happen: ``whole`` periods and a ``rest`` from ``moment`` on."""

    used: cp_model.IntVar
    moment: Moment
    whole: cp_model.IntVar
    rest: cp_model.IntVar
    end: cp_model.LinearExpr
    uses: dict[Use, cp_model.IntVar]
    load: MoveVars | None
    store: MoveVars | None
    wrote: cp_model.IntVar | None
    """Whether some writer uses it, where that is open."""


@dataclass(frozen=True)
class SharedVars:
    """A shared tensor: kept for good, or loaded again in every period; per residency and tile whether it uses it."""

    kept: cp_model.IntVar
    stays: tuple[StayVars, ...]
    users: tuple[dict[int, cp_model.IntVar], ...]


@dataclass(frozen=True)
class Variables:
    """All variables; every stage lies between ``-stage_limit`` and ``stage_limit``."""

    stage_limit: int
    stages: list[cp_model.IntVar]
    tiles: list[TileVars]
    own: dict[int, list[StayVars]]
    shared: dict[int, SharedVars]


def stage_limit(loop: Loop, scope: Scope, uses: dict[int, Uses], period: int) -> int:
    """Stages within which all events of a connected loop lie in some pattern, if there is a pattern at all.

    Events are starts of tiles and transfers. ``docs/periodic.md`` proves that a gap between stages that is larger than
    what one constraint can ask for can be closed.
    """
    heavy = [one for tensor, one in uses.items() if scope.instance.tensor_bytes[tensor]]
    events = loop.body.n_tiles + sum(2 * len(one.all) for one in heavy)
    longest = max([1, *(c for o in scope.tile_groups for _, c in o), *(c for o in scope.transfer_cycles for c in o)])
    return (events - 1) * (loop.max_distance + -(-(longest + period - 1) // period)) + 1


class Builder:
    """Creates the variables of one model."""

    def __init__(self, model: cp_model.CpModel, loop: Loop, scope: Scope, uses: dict[int, Uses], period: int) -> None:
        self.model = model
        self.loop = loop
        self.scope = scope
        self.uses = uses
        self.period = period
        self.limit = stage_limit(loop, scope, uses, period)
        self.stages: list[cp_model.IntVar] = []
        self.true = model.new_constant(1)

    def build(self) -> Variables:
        """All variables."""
        body = self.loop.body
        tiles = [self._tile(tile) for tile in range(body.n_tiles)]
        heavy = [t for t in self.uses if body.tensor_bytes[t]]
        own = {t: self._own(t, self.uses[t], tiles) for t in heavy}
        readers = body.readers.lists()
        shared = {
            t: self._shared(t, readers[t])
            for t in np.flatnonzero(self.loop.shared).tolist()
            if readers[t] and body.tensor_bytes[t]
        }
        return Variables(self.limit, self.stages, tiles, own, shared)

    def _bool(self) -> cp_model.IntVar:
        return self.model.new_bool_var("")

    def _moment(self, stages: int | None = None) -> Moment:
        limit = self.limit if stages is None else stages
        phase = self.model.new_int_var(0, self.period - 1, "")
        stage = self.model.new_int_var(-limit, limit, "")
        self.stages.append(stage)
        return Moment(phase, stage * self.period + phase)

    def _tile(self, tile: int) -> TileVars:
        cores = [(core, cycles) for g, cycles in self.scope.tile_groups[tile] for core in self.scope.groups[g].cores]
        moment = self._moment()
        chosen = [self.true] if len(cores) == 1 else [self._bool() for _ in cores]
        options = tuple((core, cycles, one) for (core, cycles), one in zip(cores, chosen, strict=True))
        end = moment.time + sum(cycles * one for _, cycles, one in options)
        return TileVars(moment, end, options)

    def _move(self, tensor: int, present: cp_model.IntVar, moment: Moment | None = None) -> MoveVars:
        moment = moment or self._moment()
        cycles = list(zip(self.scope.channels, self.scope.transfer_cycles[tensor], strict=True))
        chosen = [present] if len(cycles) == 1 else [self._bool() for _ in cycles]
        options = tuple((channel, c, one) for (channel, c), one in zip(cycles, chosen, strict=True))
        return MoveVars(present, moment, moment.time + sum(c * one for _, c, one in options), options)

    def _own(self, tensor: int, uses: Uses, tiles: list[TileVars]) -> list[StayVars]:
        """As many residencies as there are uses; a single producer uses the first."""
        output = self.scope.instance.tensor_kind[tensor] == OUTPUT
        count = len(uses.all)
        used = [self.true, *(self._bool() for _ in range(count - 1))]
        producer = uses.writers[0] if len(uses.writers) == 1 else None
        stays = []
        for k in range(count):
            by_use = {use: self._bool() for use in uses.all if use is not producer}
            if producer is not None and k == 0:
                by_use = {producer: self.true, **by_use}
            load = self._move(tensor, used[k]) if k or not uses.writers else None
            writers = [use for use in uses.writers if use in by_use]
            wrote = self._bool() if len(uses.writers) > 1 else None
            store = None
            if writers and (output or k + 1 < count):
                present = (self.true if wrote is None else wrote) if output else self._bool()
                if not output and wrote is None:
                    present = used[k + 1]
                store = self._move(tensor, present)
            if load is not None:
                moment = load.moment
            else:
                moment = tiles[producer.tile].moment if producer is not None else self._moment()
            stays.append(self._stay(tensor, used[k], moment, by_use, load, store, wrote))
        return stays

    def _stay(
        self,
        tensor: int,
        used: cp_model.IntVar,
        moment: Moment,
        uses: dict[Use, cp_model.IntVar],
        load: MoveVars | None,
        store: MoveVars | None,
        wrote: cp_model.IntVar | None,
        most_whole: int | None = None,
    ) -> StayVars:
        most = self.scope.capacity // int(self.scope.instance.tensor_bytes[tensor])
        whole = self.model.new_int_var(0, most if most_whole is None else most_whole, "")
        rest = self.model.new_int_var(0, self.period - 1, "")
        end = moment.time + whole * self.period + rest
        return StayVars(used, moment, whole, rest, end, uses, load, store, wrote)

    def _shared(self, tensor: int, readers: list[int]) -> SharedVars:
        """Kept, or with at most as many residencies a period as tiles that read it; none lasts a whole period."""
        kept = self._bool()
        stays = []
        for _ in readers:
            used = self._bool()
            load = self._move(tensor, used, self._moment(0))
            stays.append(self._stay(tensor, used, load.moment, {}, load, None, None, 0))
        users = tuple({tile: self._bool() for tile in readers} for _ in stays)
        return SharedVars(kept, tuple(stays), users)
