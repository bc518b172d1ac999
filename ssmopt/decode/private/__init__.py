"""The decoder for machines whose tensors live in several memories, with moves between them."""

from ssmopt.decode.private.decoder import decode_private
from ssmopt.decode.private.placement import place_tiles

__all__ = ["decode_private", "place_tiles"]
