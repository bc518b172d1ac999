"""Reading and writing: configuration in YAML, tile instances and schedules in JSON."""
