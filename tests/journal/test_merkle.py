"""Trees and proofs against published vectors, and against the definitions of RFC 6962 written out naively."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.journal.merkle import (
    Tiles,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root_of,
)
from seawall.vocabulary.errors import TilesDamaged

EVERY_SIZE = 70

# Leaves, roots and proofs of Google's certificate-transparency (merkletree tests, also transparency-dev/merkle), which
# RFC 6962 logs are tested with: published test data.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = [((0, 8), [_A, _B, _C]), ((5, 8), [_D, _E, ROOTS[3]])]
CONSISTENCY = [((1, 1), []), ((1, 8), [_A, _B, _C]), ((6, 8), [_F, _E, ROOTS[3]]), ((2, 5), [_B, _D])]


def sha(data):
    return hashlib.sha256(data).digest()


def split(count):
    left = 1
    while left * 2 < count:
        left *= 2
    return left


def naive_root(data):
    """MTH(D[n])."""
    if len(data) <= 1:
        return sha(b"\0" + data[0]) if data else sha(b"")
    left = split(len(data))
    return sha(b"\1" + naive_root(data[:left]) + naive_root(data[left:]))


def naive_path(index, data):
    """PATH(m, D[n])."""
    if len(data) == 1:
        return []
    left = split(len(data))
    if index < left:
        return [*naive_path(index, data[:left]), naive_root(data[left:])]
    return [*naive_path(index - left, data[left:]), naive_root(data[:left])]


def naive_proof(old, data, whole=True):
    """SUBPROOF(m, D[n], b)."""
    if old == len(data):
        return [] if whole else [naive_root(data)]
    left = split(len(data))
    if old <= left:
        return [*naive_proof(old, data[:left], whole), naive_root(data[left:])]
    return [*naive_proof(old - left, data[left:], False), naive_root(data[:left])]


def subtree_of(data):
    return lambda level, index: naive_root(data[index << level : (index + 1) << level])


def hashes(data):
    return b"".join(leaf_hash(one) for one in data)


def some(count, seed=0):
    return [random.Random(f"{seed} {number}").randbytes(number % 5) + bytes([number % 256]) for number in range(count)]


def test_published_roots():
    data = [bytes.fromhex(one) for one in LEAVES]
    tree = Tree()
    assert tree.root().hex() == EMPTY == naive_root([]).hex()
    for count, root in enumerate(ROOTS, start=1):
        tree.append(leaf_hash(data[count - 1]))
        assert tree.root().hex() == naive_root(data[:count]).hex() == root_of(subtree_of(data), count).hex() == root


def test_published_proofs():
    data = [bytes.fromhex(one) for one in LEAVES]
    for (index, size), path in INCLUSION:
        proof = inclusion_proof(subtree_of(data), index, size)
        assert [one.hex() for one in proof] == path
        assert proves_inclusion(leaf_hash(data[index]), index, size, proof, bytes.fromhex(ROOTS[size - 1]))
    for (old, new), path in CONSISTENCY:
        proof = consistency_proof(subtree_of(data), old, new)
        assert [one.hex() for one in proof] == path
        roots = bytes.fromhex(ROOTS[old - 1]), bytes.fromhex(ROOTS[new - 1])
        assert proves_consistency(old, new, proof, *roots)


@pytest.mark.parametrize("size", range(1, EVERY_SIZE + 1))
def test_every_small_tree_is_as_defined(size):
    data = some(size)
    subtree, root = subtree_of(data), naive_root(data)
    for index in range(size):
        proof = inclusion_proof(subtree, index, size)
        assert proof == naive_path(index, data)
        assert proves_inclusion(leaf_hash(data[index]), index, size, proof, root)
        for other in {index ^ 1, index + 1, index - 1, size, -1} - {index}:
            assert not proves_inclusion(leaf_hash(data[index]), other, size, proof, root)
    for old in range(1, size + 1):
        proof = consistency_proof(subtree, old, size)
        assert proof == naive_proof(old, data)
        assert proves_consistency(old, size, proof, naive_root(data[:old]), root)


def altered(draw, proof):
    """A proof with a bit flipped, a hash left out, put in, or exchanged."""
    proof = list(proof)
    kind = draw(st.sampled_from(["flip", "drop", "add", "swap"] if proof else ["add"]))
    at = draw(st.integers(0, max(0, len(proof) - 1)))
    if kind == "flip":
        bit = draw(st.integers(0, 255))
        proof[at] = (int.from_bytes(proof[at], "big") ^ 1 << bit).to_bytes(32, "big")
    elif kind == "drop":
        del proof[at]
    elif kind == "add":
        proof.insert(at, draw(st.binary(min_size=32, max_size=32)))
    else:
        proof[at], proof[-1] = proof[-1], proof[at]
    return proof


@settings(deadline=None)
@given(st.data(), st.integers(1, 3 * EVERY_SIZE), st.integers(0, 9))
def test_nothing_altered_proves_inclusion(data, size, seed):
    leaves = some(size, seed)
    index = data.draw(st.integers(0, size - 1))
    root, proof, leaf = naive_root(leaves), naive_path(index, leaves), leaf_hash(leaves[index])
    assert proves_inclusion(leaf, index, size, proof, root)
    bad = altered(data.draw, proof)
    assert bad == proof or not proves_inclusion(leaf, index, size, bad, root)
    assert not proves_inclusion(sha(leaf), index, size, proof, root)
    assert not proves_inclusion(leaf, index, size, proof, sha(root))
    assert not proves_inclusion(leaf, index, 2 * size, proof, root)
    assert size == 1 or not proves_inclusion(leaf, index, index, proof, root)


@settings(deadline=None)
@given(st.data(), st.integers(1, 3 * EVERY_SIZE), st.integers(0, 9))
def test_nothing_altered_proves_consistency(data, new, seed):
    leaves = some(new, seed)
    old = data.draw(st.integers(1, new))
    before, after, proof = naive_root(leaves[:old]), naive_root(leaves), naive_proof(old, leaves)
    assert proves_consistency(old, new, proof, before, after)
    bad = altered(data.draw, proof)
    assert bad == proof or not proves_consistency(old, new, bad, before, after)
    assert not proves_consistency(old, new, proof, sha(before), after)
    assert not proves_consistency(old, new, proof, before, sha(after))
    assert not proves_consistency(new + 1, new, proof, before, after)
    assert not proves_consistency(0, new, proof, before, after)
    assert old == new or not proves_consistency(old, new, [], before, after)
    assert old == new or not proves_consistency(new, new, proof, before, after)
    other = [b"other" + leaves[0], *leaves[1:]]
    fork = naive_root(other), naive_proof(old, other)
    assert not proves_consistency(old, new, fork[1], before, fork[0])


@settings(deadline=None)  # another program on the machine is no defect
@given(st.lists(st.integers(0, 700), max_size=6), st.integers(0, 9))
def test_a_tree_does_not_depend_on_how_it_grew(parts, seed):
    leaves = hashes(some(sum(parts), seed))
    whole, grown, at = Tree(), Tree(), 0
    whole.append(leaves)
    for part in parts:
        grown.append(leaves[at * 32 : (at + part) * 32])
        at += part
    assert (grown.size, grown.edges[:1], grown.root()) == (whole.size, whole.edges[:1], whole.root())
    assert whole.root() == naive_root(some(sum(parts), seed))


@pytest.mark.parametrize("write", [True, False])
def test_tiles_continue_and_prove(tmp_path, write):
    """Sizes around the edges of tiles; each begins where the one before ended, from what the tiles hold."""
    data = some(1000)
    tiles, size = Tiles(tmp_path / "tiles", write=write), 0
    for more in (1, 254, 1, 1, 255, 3, 200, 285):
        tree = tiles.grow(size)
        tree.append(hashes(data[size : size + more]))
        tiles.flush(tree)
        before, size = size, size + more
        assert tree.size == size and tree.root() == naive_root(data[:size]) == root_of(tiles.subtree, size)
        for index in {0, before, size // 2, size - 1}:
            assert inclusion_proof(tiles.subtree, index, size) == naive_path(index, data[:size])
        for old in {1, max(before, 1), size // 2 or 1, size}:
            assert consistency_proof(tiles.subtree, old, size) == naive_proof(old, data[:size])
    for size in (1, 255, 256, 257, 511, 700):  # older trees are in the same tiles
        assert tiles.grow(size).root() == naive_root(data[:size])
    assert (tmp_path / "tiles").exists() == write


def test_tiles_lie_as_c2sp_has_them(tmp_path):
    """The example of c2sp.org/tlog-tiles: a tree of size 70,000."""
    tiles = Tiles(tmp_path)
    tree = tiles.grow(0)
    tree.append(b"".join(sha(number.to_bytes(4, "big")) for number in range(70_000)))
    tiles.flush(tree)
    found = {
        path.relative_to(tmp_path).as_posix(): path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()
    }
    full = [f"tile/0/{number:03d}" for number in range(273)] + ["tile/1/000"]
    partial = {"tile/0/273.p/112": 112 * 32, "tile/1/001.p/17": 17 * 32, "tile/2/000.p/1": 32}
    assert found == dict.fromkeys(full, 256 * 32) | partial
    tiles.keep(0, 1_234_067, bytes(256 * 32))
    assert (tmp_path / "tile/0/x001/x234/067").is_file()


def test_a_full_tile_takes_the_place_of_narrower_ones(tmp_path):
    tiles = Tiles(tmp_path)
    for size in (100, 200, 256):
        tree = tiles.grow(size - 100 if size < 256 else 200)
        tree.append(bytes(32 * (size - tree.size)))
        tiles.flush(tree)
    assert sorted(path.name for path in (tmp_path / "tile" / "0").iterdir()) == ["000"]
    assert sorted(path.name for path in (tmp_path / "tile" / "1").iterdir()) == ["000.p"]


def test_missing_and_short_tiles_are_named(tmp_path):
    tiles = Tiles(tmp_path)
    tree = tiles.grow(0)
    tree.append(bytes(32 * 600))
    tiles.flush(tree)
    short = tmp_path / "tile" / "0" / "001"
    short.write_bytes(short.read_bytes()[:-1])
    (tmp_path / "tile" / "0" / "000").unlink()
    for index in (0, 300):
        with pytest.raises(TilesDamaged, match=r"tile/0/00[01]"):
            inclusion_proof(tiles.subtree, index, 600)
    (tmp_path / "tile" / "1" / "000.p" / "2").unlink()
    with pytest.raises(TilesDamaged):
        tiles.grow(600)
    tiles.clear()
    assert not (tmp_path / "tile").exists()
