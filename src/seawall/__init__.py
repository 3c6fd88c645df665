"""Seawall keeps a crypto-derivatives book solvent and its execution honest.

One journal of commands, one deterministic fold, everything else derived from it; see docs/architecture.md.
"""

__version__ = "0.1.0"
