"""The words every room shares: integer money, instruments, commands, events, reason codes, errors.

Nothing here reads a clock, a file or a random number.
"""
