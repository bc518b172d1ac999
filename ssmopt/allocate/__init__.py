"""Addresses: offsets for residencies, or for any buffers with lifetimes, so that none overlap in time and space."""

from ssmopt.allocate.addresses import AllocationError, allocate, allocation_of
from ssmopt.allocate.packing import Packing, check_packing, pack

__all__ = ["AllocationError", "Packing", "allocate", "allocation_of", "check_packing", "pack"]
