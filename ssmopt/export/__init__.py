"""Schedules as pictures and as files for other tools."""
