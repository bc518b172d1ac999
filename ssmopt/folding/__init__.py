"""Schedules of prompts of any length: found in a few token tiles, repeated in closed form."""
