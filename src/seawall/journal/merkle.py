"""Merkle trees of RFC 6962, kept as tiles of C2SP tlog-tiles, with proofs of inclusion and of consistency.

Hashes are SHA-256: of a leaf over 0x00 and its data, of a node over 0x01 and its two children. A tile is the hashes of
256 neighbours at one level of tiles, each the root of a full tile of the level below, so a proof reads a few tiles and
never the journal.

Sources: RFC 6962, section 2.1; RFC 9162, sections 2.1.3.2 and 2.1.4.2 (verification); c2sp.org/tlog-tiles.
"""

import shutil
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from seawall.vocabulary.errors import TilesDamaged

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES

Subtree = Callable[[int, int], bytes]
"""The root of the full subtree over leaves [index << level, (index + 1) << level), of (level, index)."""

Keep = Callable[[int, int, bytes], None]
"""Is given each tile once it is full: level, index, TILE_BYTES of hashes."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf."""
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over its children."""
    return sha256(b"\1" + left + right).digest()


def full_root(row: bytes) -> bytes:
    """The root over a row of 2^k hashes, k >= 0."""
    while len(row) > HASH_BYTES:
        pair = 2 * HASH_BYTES
        row = b"".join([sha256(b"\1" + row[at : at + pair]).digest() for at in range(0, len(row), pair)])
    return row


class Tree:
    """A tree that grows at its right edge: O(log n) memory, the hashes of each level's last tile."""

    def __init__(self, keep: Keep | None = None) -> None:
        """An empty tree; `keep` is given every tile when it is full."""
        self.size = 0
        self._keep = keep
        self.edges: list[bytes] = []
        """By level of tiles, the hashes of the tile that is not full yet: fewer than 256 each."""

    def append(self, leaves: bytes) -> None:
        """Add leaf hashes, one after the other."""
        self.size += len(leaves) // HASH_BYTES
        level = 0
        while leaves:
            if level == len(self.edges):
                self.edges.append(b"")
            row = self.edges[level] + leaves
            full = len(row) // TILE_BYTES
            first = (self.size >> TILE_HEIGHT * (level + 1)) - full
            tiles = [row[at * TILE_BYTES : (at + 1) * TILE_BYTES] for at in range(full)]
            if self._keep is not None:
                for at, tile in enumerate(tiles):
                    self._keep(level, first + at, tile)
            self.edges[level] = row[full * TILE_BYTES :]
            leaves = b"".join([full_root(tile) for tile in tiles])
            level += 1

    def root(self) -> bytes:
        """The tree's root; of no leaves, the hash of nothing."""
        found = b""
        for edge in self.edges:  # from the right: each full subtree is the left child of all that is above it
            width = end = len(edge) // HASH_BYTES
            while width:
                part = width & -width
                left = full_root(edge[(end - part) * HASH_BYTES : end * HASH_BYTES])
                found = node_hash(left, found) if found else left
                width, end = width - part, end - part
        return found or sha256(b"").digest()


class Tiles:
    """A folder of tiles: `tile/<level>/<index>`, and `.p/<width>` behind it while it is not full.

    Written by rename, never synced: what a power cut leaves short is found when it is read. With `write` False what is
    made stays in memory.
    """

    def __init__(self, folder: Path, *, write: bool = True) -> None:
        self.folder = folder
        self._write = write
        self._made: dict[str, bytes] = {}

    def keep(self, level: int, index: int, hashes: bytes) -> None:
        """Put a tile there, full or not."""
        name, width = _tile_name(level, index), len(hashes) // HASH_BYTES
        if not self._write:
            self._made[name] = hashes
            return
        full, partial = self.folder / name, self.folder / f"{name}.p"
        path = full if width == TILE_WIDTH else partial / str(width)
        made = path.with_name(f"{path.name}.new")
        try:
            made.write_bytes(hashes)
        except FileNotFoundError:  # the first of its folder; asking each time would cost a call a tile
            path.parent.mkdir(parents=True, exist_ok=True)
            made.write_bytes(hashes)
        made.rename(path)
        if width == TILE_WIDTH and partial.is_dir():  # a full tile serves every size that a narrower one did
            for old in partial.iterdir():
                old.unlink()
            partial.rmdir()

    def clear(self) -> None:
        """Remove every tile."""
        self._made = {}
        if self._write:
            shutil.rmtree(self.folder / "tile", ignore_errors=True)

    def flush(self, tree: Tree) -> None:
        """Put the tree's tiles that are not full there, so that proofs for its size can be read."""
        for level, edge in enumerate(tree.edges):
            if edge:
                self.keep(level, tree.size >> TILE_HEIGHT * (level + 1), edge)

    def grow(self, size: int) -> Tree:
        """The tree of that size, to be continued into these tiles. Raises TilesDamaged if they do not hold its edge."""
        tree = Tree(self.keep)
        tree.size = size
        level = 0
        while size >> TILE_HEIGHT * level:
            width = size >> TILE_HEIGHT * level & TILE_WIDTH - 1
            index = size >> TILE_HEIGHT * (level + 1)
            tree.edges.append(self._hashes(level, index, width) if width else b"")
            level += 1
        return tree

    def subtree(self, level: int, index: int) -> bytes:
        """A Subtree. Raises TilesDamaged if it is not there."""
        height, above = level % TILE_HEIGHT, level // TILE_HEIGHT
        tile, first = divmod(index << height, TILE_WIDTH)
        end = first + (1 << height)
        return full_root(self._hashes(above, tile, end)[first * HASH_BYTES :])

    def _hashes(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile."""
        name = _tile_name(level, index)
        found = self._made.get(name, b"") or self._read(name)
        if len(found) < width * HASH_BYTES:
            raise TilesDamaged(
                f"{self.folder / name} does not have {width} hashes: run seawall checkpoint; if they are still not"
                f" there, remove {self.folder} and run it again"
            )
        return found[: width * HASH_BYTES]

    def _read(self, name: str) -> bytes:
        full, partial = self.folder / name, self.folder / f"{name}.p"
        try:
            if full.is_file():
                return full.read_bytes()
            widths = [int(path.name) for path in partial.iterdir() if path.name.isdigit()]
            return (partial / str(max(widths))).read_bytes() if widths else b""
        except OSError:
            return b""  # a tile that cannot be read is a tile that is not there


def root_of(subtree: Subtree, size: int, start: int = 0) -> bytes:
    """MTH of the `size` >= 1 leaves from `start` on, a multiple of the least power of two >= size."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return subtree(level, start >> level)
    left = _split(size)
    return node_hash(root_of(subtree, left, start), root_of(subtree, size - left, start + left))


def inclusion_proof(subtree: Subtree, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962, 2.1.1, from the leaf's sibling upwards; 0 <= index < size."""
    start, path = 0, []
    while size > 1:
        left = _split(size)
        if index - start < left:
            path.append(root_of(subtree, size - left, start + left))
            size = left
        else:
            path.append(root_of(subtree, left, start))
            start, size = start + left, size - left
    return path[::-1]


def consistency_proof(subtree: Subtree, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]) of RFC 6962, 2.1.2; 0 < old <= new."""
    start, whole, path = 0, True, []
    while old - start != new - start:
        left = _split(new - start)
        if old - start <= left:
            path.append(root_of(subtree, new - start - left, start + left))
            new = start + left
        else:
            path.append(root_of(subtree, left, start))
            start, whole = start + left, False
    if not whole:
        path.append(root_of(subtree, new - start, start))
    return path[::-1]


def proves_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows the leaf hash at `index` of the tree of that size and root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(sibling, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def proves_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the proof shows that the new tree begins with the old one's leaves (RFC 9162, 2.1.4.2); 0 < old."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(size: int) -> int:
    """The largest power of two below `size` >= 2."""
    return 1 << (size - 1).bit_length() - 1


def _tile_name(level: int, index: int) -> str:
    """`tile/<level>/` and the index in groups of three digits, all but the last behind an x: x001/x234/067."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03d}")
    return f"tile/{level}/{'/'.join(groups)}"
