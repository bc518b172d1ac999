"""Constructive heuristics: an order of tiles and a residency policy each, made schedules by the one decoder."""
