"""The values of tests/support/counter_hash.h, in NumPy: weights and adapters that nobody stores."""

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def seed_of(name: str, case_seed: int) -> int:
    """FNV-1a of 64 bits over the tensor's name, xor the seed of its model or adapter."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) & _MASK
    return state ^ case_seed


def values(seed: int, count: int) -> np.ndarray:
    """`count` f32 values in [-1, 1)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) * _STEP + np.arange(count, dtype=np.uint64) + _STEP
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).astype(np.float32)
