"""The fold: `step(commands) -> events`, with no clock, no randomness, no float and no I/O.

`reference.Reference` is plain Python, written to be read: the executable specification. `fast.Fast` is the same fold
in Numba kernels, held equal to it event for event by the tests.
"""
