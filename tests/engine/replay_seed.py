"""Replay one seed of the differential campaign: `python tests/engine/replay_seed.py SEED [COMMANDS]`."""

import sys

from differential import campaign


def main() -> int:
    """Fold the seed's stream on both engines; exit 1 with the first difference."""
    seed, commands = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    try:
        folded = campaign(seed, commands)
    except AssertionError as difference:
        print(difference)
        return 1
    print(f"seed {seed}: {folded:,} commands, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
