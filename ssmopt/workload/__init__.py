"""From a model to its operator graph, and from that to tiles."""
