"""Pools, hash tables and the price index.

Pools hand out record indices: a free list first, then fresh records. Hash tables are open-addressed with linear
probing and deletion by shifting back, so nothing degrades with age (Knuth, TAOCP 6.4, algorithm R); eight neighbouring
keys share a home, as order ids that come together are looked up together. The price index of one side of a book is a
64-ary trie, as deep as the price band needs: inserting and removing a price and finding the next best cost at most
five hops, whatever the number of prices; a price that is there already is found through a hash table, in one.
"""

from typing import Any

import numpy as np
from numba import njit

from seawall.engine.kernels import layout as at
from seawall.engine.kernels.views import (
    ENTRY,
    Header,
    instruments_of,
    kernel,
    leading_zeros,
    level_table_of,
    levels_of,
    nodes_of,
    orders_of,
    trailing_zeros,
    words_of,
)

Index = Any
"""int64 index into a pool, -1 for none."""

_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, as int64


@kernel
def fresh(h: Header, pool: Index) -> Index:
    """A record never used before of a pool (0 orders .. 4 nodes); `fold` has made sure there is one."""
    record = h[at.USED_ORDERS + pool]
    h[at.USED_ORDERS + pool] = record + 1
    return record


@kernel
def take_order(h: Header) -> Index:
    """A free ORDER record."""
    h[at.ORDERS_LIVE] += 1
    record = h[at.FREE_ORDERS]
    if record < 0:
        return fresh(h, 0)
    h[at.FREE_ORDERS] = orders_of(h)[record].next
    return record


@kernel
def give_order(h: Header, record: Index) -> None:
    """Back to the pool; id 0 marks it dead."""
    h[at.ORDERS_LIVE] -= 1
    order = orders_of(h)[record]
    order.id = 0
    order.next = h[at.FREE_ORDERS]
    h[at.FREE_ORDERS] = record


@kernel
def _take_level(h: Header, price: Any) -> Index:
    record = h[at.FREE_LEVELS]
    if record < 0:
        record = fresh(h, 3)
    else:
        h[at.FREE_LEVELS] = levels_of(h)[record].head
    level = levels_of(h)[record]
    level.price, level.firm, level.head, level.tail = price, 0, -1, -1
    return record


@kernel
def _take_node(h: Header) -> Index:
    record = h[at.FREE_NODES]
    if record < 0:
        record = fresh(h, 4)
    else:
        h[at.FREE_NODES] = nodes_of(h)[record].child[0]
    nodes_of(h)[record].bits = 0
    return record


@kernel
def level_at(h: Header, instrument: Index, code: Any, price: Any) -> Index:
    """The level at `price` of one of an instrument's lists, made if there is none; keeps the best level of the list."""
    key = level_key(instrument, code, price)
    level = find(level_table_of(h), h[at.LEVEL_MASK], key)
    if level >= 0:
        return level
    level = _take_level(h, price)
    insert(level_table_of(h), h[at.LEVEL_MASK], key, level)
    h[at.LEVELS_LIVE] += 1
    _index(h, instrument, code, price, level)
    ins = instruments_of(h)[instrument]
    best = ins.best[code]
    if best < 0 or (price > levels_of(h)[best].price) == (code & 1 == 1):
        ins.best[code] = level
    return level


@kernel
def level_key(instrument: Index, code: Any, price: Any) -> Any:
    """Key of the level table, never 0. Neighbouring prices of a book's sides lie together."""
    if code < 2:
        return (instrument << 31 | price << 1 | code) + 1
    return (1 << 50 | (8 * instrument + code) << 30 | price) + 1


@kernel
def _index(h: Header, instrument: Index, code: Any, price: Any, level: Index) -> None:
    """Enter a new level into its list's trie."""
    ins = instruments_of(h)[instrument]
    nodes = nodes_of(h)
    node = np.int64(ins.roots[code])
    if node < 0:
        node = _take_node(h)
        ins.roots[code] = node
    depth = ins.trie_depth
    for hop in range(depth - 1):
        slot = (price >> 6 * (depth - 1 - hop)) & 63
        if nodes[node].bits >> slot & 1:
            node = np.int64(nodes[node].child[slot])
        else:
            below = _take_node(h)
            nodes[node].bits |= 1 << slot
            nodes[node].child[slot] = below
            node = below
    nodes[node].bits |= 1 << (price & 63)
    nodes[node].child[price & 63] = level


@kernel
def drop_level(h: Header, instrument: Index, code: Any, level: Index) -> None:
    """Remove an empty level, freeing trie nodes left without children; finds the new best where it was the best."""
    ins = instruments_of(h)[instrument]
    price = levels_of(h)[level].price
    if not _cut(h, ins.roots[code], price, ins.trie_depth):
        ins.roots[code] = -1
    remove(level_table_of(h), h[at.LEVEL_MASK], level_key(instrument, code, price))
    h[at.LEVELS_LIVE] -= 1
    levels_of(h)[level].head = h[at.FREE_LEVELS]
    h[at.FREE_LEVELS] = level
    if ins.best[code] == level:
        ins.best[code] = _best_level(h, ins.roots[code], code, ins.trie_depth)


@kernel
def _cut(h: Header, root: Index, price: Any, depth: Any) -> bool:
    """Clear the path to `price`, freeing empty nodes bottom-up; False if the root itself went."""
    nodes = nodes_of(h)
    for keep in range(depth - 1, -1, -1):
        node = root
        for hop in range(keep):
            node = nodes[node].child[(price >> 6 * (depth - 1 - hop)) & 63]
        nodes[node].bits &= ~(1 << ((price >> 6 * (depth - 1 - keep)) & 63))
        if nodes[node].bits != 0:
            return True
        nodes[node].child[0] = h[at.FREE_NODES]
        h[at.FREE_NODES] = node
    return False


@kernel
def _best_level(h: Header, root: Index, code: Any, depth: Any) -> Index:
    """Highest level of a list with an odd code, lowest of the others; -1 if empty."""
    if root < 0:
        return -1
    nodes = nodes_of(h)
    node = root
    for _ in range(depth):
        bits = nodes[node].bits
        slot = 63 - leading_zeros(bits) if code & 1 else trailing_zeros(bits)
        node = nodes[node].child[slot]
    return node


@kernel
def next_level(h: Header, instrument: Index, code: Any, level: Index) -> Index:
    """The next worse level of a list, or -1: up from a node to the first sibling on its way, then down to its best."""
    ins = instruments_of(h)[instrument]
    nodes = nodes_of(h)
    price, depth = levels_of(h)[level].price, ins.trie_depth
    for keep in range(depth - 1, -1, -1):
        node = ins.roots[code]
        for hop in range(keep):
            node = nodes[node].child[(price >> 6 * (depth - 1 - hop)) & 63]
        slot = (price >> 6 * (depth - 1 - keep)) & 63
        if code & 1:
            bits = nodes[node].bits & ((1 << slot) - 1)
        elif slot == 63:
            bits = 0
        else:
            bits = nodes[node].bits >> (slot + 1) << (slot + 1)
        if bits != 0:
            slot = 63 - leading_zeros(bits) if code & 1 else trailing_zeros(bits)
            return _best_level(h, nodes[node].child[slot], code, depth - 1 - keep)
    return -1


@kernel
def find(table: Any, mask: Any, key: Any) -> Index:
    """Value of `key`, or -1. Keys are positive."""
    slot = home(key, mask)
    while table[2 * slot] != 0:
        if table[2 * slot] == key:
            return table[2 * slot + 1]
        slot = (slot + 1) & mask
    return -1


@kernel
def insert(table: Any, mask: Any, key: Any, value: Index) -> None:
    """Add a key that is not there; the table is never more than half full."""
    slot = home(key, mask)
    while table[2 * slot] != 0:
        slot = (slot + 1) & mask
    table[2 * slot], table[2 * slot + 1] = key, value


@kernel
def remove(table: Any, mask: Any, key: Any) -> None:
    """Take out a key that is there, moving later ones of its run back."""
    hole = home(key, mask)
    while table[2 * hole] != key:
        hole = (hole + 1) & mask
    slot = hole
    while True:
        slot = (slot + 1) & mask
        if table[2 * slot] == 0:
            break
        begin = home(table[2 * slot], mask)
        if ((slot - begin) & mask) >= ((slot - hole) & mask):
            table[2 * hole], table[2 * hole + 1] = table[2 * slot], table[2 * slot + 1]
            hole = slot
    table[2 * hole] = 0


@njit(**ENTRY)
def lookup(table: Any, mask: Any, key: Any) -> Index:
    """`find` for Python."""
    return find(words_of(table), mask, key)


@njit(**ENTRY)
def rehash(old: Any, table: Any, mask: Any) -> None:
    """Fill an empty, larger table from an old one."""
    entries = words_of(table)
    for slot in range(len(old) // 2):
        if old[2 * slot] != 0:
            insert(entries, mask, old[2 * slot], old[2 * slot + 1])


@kernel
def home(key: Any, mask: Any) -> Any:
    """The slot where a key's run begins."""
    return ((((key >> 3) * _GOLDEN >> 20) << 3) | (key & 7)) & mask
