"""A name for a network that does not depend on the order in which its layers were written down.

A graph with one way in and one way out is taken apart where all its paths meet: into pieces in series. A piece whose
last layer joins branches that have nothing else in common is these branches in parallel, each taken apart in turn. Both
are named by their parts, so a name can be put together from names that were found before. What is left, such as most
cells, is named by its nodes in a canonical order: colours are refined until no node can tell itself from another, then
each of those alike is singled out in turn, and the least result counts (McKay & Piperno 2014,
https://arxiv.org/abs/1301.1493).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from archsearch.space.layers import Add, Dropout, DropPath, Layer

Nodes = Sequence[int]


class Key(NamedTuple):
    """Names a graph: equal for two that build the same network, and only for them.

    Attributes:
        structure: All but the rates of dropout.
        rates: In the order of `structure`; apart, because they tend to be drawn from the real numbers.
    """

    structure: str
    rates: tuple[float, ...] = ()


def series(keys: Sequence[Key]) -> Key:
    """Of graphs one behind the other."""
    return Key("".join([key.structure for key in keys]), tuple([rate for key in keys for rate in key.rates]))


def parallel(join: Key, branches: Iterable[Key]) -> Key:
    """Of graphs side by side, from one node into the layer named `join`; the order matters unless it is a sum."""
    branches = sorted(branches) if join == _SUM else list(branches)
    structure = f"{join.structure}[{'|'.join([key.structure for key in branches])}]"
    return Key(structure, tuple([rate for key in branches for rate in key.rates]))


@lru_cache(maxsize=1024)
def label(layer: Layer) -> Key:
    """Of a single layer."""
    if isinstance(layer, Dropout | DropPath):
        return Key(f"{type(layer).__name__};", (layer.rate,))
    return Key(f"{layer!r};")


_SUM = label(Add())


class _Link(NamedTuple):
    """A node's name, the links that it reads, and the names of those that follow it one by one."""

    label: Key
    reads: tuple[int, ...]
    tail: list[Key]


def graph_key(labels: Sequence[Key], inputs: Sequence[tuple[int, ...]]) -> Key:
    """Of a graph in an order in which it can be computed.

    Args:
        labels: Names of its nodes; the first is the way in and has no part in the key, the last is the way out.
        inputs: Positions of the nodes that each one reads; every node but the last is read.
    """
    readers = Counter([i for read in inputs for i in read])
    links, place = [_Link(labels[0], (), [])], [0]
    for name, read in zip(labels[1:], inputs[1:], strict=True):
        reads = tuple([place[i] for i in read])
        if len(read) == 1 and readers[read[0]] == 1 and reads[0] != 0:
            links[reads[0]].tail.append(name)
            place.append(reads[0])
        else:
            links.append(_Link(name, reads, []))
            place.append(len(links) - 1)
    return _series_key(links, _take_apart(tuple([link.reads for link in links])))


# Graphs in series and in parallel -------------------------------------------------------------------------------------

_Reads = Sequence[tuple[int, ...]]


class _Piece(NamedTuple):
    """What lies between two nodes where all paths meet.

    Attributes:
        entry, inner, end: The first node, those between, the second.
        branches: What the second one reads, if it joins branches that have nothing else in common; otherwise None.
    """

    entry: int
    inner: tuple[int, ...]
    end: int
    branches: "tuple[tuple[_Piece, ...], ...] | None"


@lru_cache(maxsize=8192)  # graphs with different layers often have the same edges
def _take_apart(reads: tuple[tuple[int, ...], ...]) -> tuple[_Piece, ...]:
    return tuple(_pieces(reads, 0, range(1, len(reads))))


def _pieces(reads: _Reads, entry: int, nodes: Nodes) -> Iterator[_Piece]:
    last_reader = {i: node for node in nodes for i in reads[node]}
    inner: list[int] = []
    reach = last_reader.get(entry, entry)
    for node in nodes:
        if reach <= node:
            yield _Piece(entry, tuple(inner), node, _parallel_branches(reads, entry, inner, node))
            entry, inner = node, []
        else:
            inner.append(node)
        reach = max(reach, last_reader.get(node, node))


def _parallel_branches(reads: _Reads, entry: int, inner: Nodes, end: int) -> tuple[tuple[_Piece, ...], ...] | None:
    if not inner and len(reads[end]) == 1:
        return ()
    branches = _branches(reads, entry, inner)
    feeding = [branches.get(i, ()) for i in reads[end]]
    if max(Counter(filter(None, feeding)).values(), default=0) > 1:
        return None
    return tuple(tuple(_pieces(reads, entry, branch)) for branch in feeding)


def _branches(reads: _Reads, entry: int, inner: Nodes) -> dict[int, tuple[int, ...]]:
    """For each inner node all those that it is tied to without going through `entry`, ascending."""
    groups: dict[int, list[int]] = {}
    for node in inner:
        merged = [node]
        for group in {id(groups[i]): groups[i] for i in reads[node] if i != entry}.values():
            merged += group
        groups.update(dict.fromkeys(merged, merged))
    return {node: tuple(sorted(group)) for node, group in groups.items()}


def _series_key(links: Sequence[_Link], pieces: Iterable[_Piece]) -> Key:
    return series([key for piece in pieces for key in (_piece_key(links, piece), *links[piece.end].tail)])


def _piece_key(links: Sequence[_Link], piece: _Piece) -> Key:
    """But for the tail of its end."""
    join = links[piece.end].label
    if piece.branches is None:
        return Key(_tangle(links, piece))
    return parallel(join, [_series_key(links, branch) for branch in piece.branches]) if piece.branches else join


# Graphs that are neither series nor parallel --------------------------------------------------------------------------


class _Graph(NamedTuple):
    """Nodes with what they read and who reads them; a sum does not tell its inputs apart."""

    labels: Mapping[int, str]
    inputs: Mapping[int, tuple[int, ...]]
    readers: Mapping[int, tuple[tuple[int, int], ...]]  # (node, which of its inputs)
    sums: frozenset[int]

    def reads(self, node: int, colours: Mapping[int, int]) -> tuple[int, ...]:
        found = [colours[i] for i in self.inputs[node]]
        return tuple(sorted(found) if node in self.sums else found)


def _tangle(links: Sequence[_Link], piece: _Piece) -> str:
    nodes = (*piece.inner, piece.end)
    labels = {piece.entry: "", piece.end: _text([links[piece.end].label])}
    labels |= {node: _text([links[node].label, *links[node].tail]) for node in piece.inner}
    sums = frozenset(node for node in nodes if links[node].label == _SUM)
    readers: dict[int, list[tuple[int, int]]] = {node: [] for node in labels}
    for node in nodes:
        for slot, i in enumerate(links[node].reads):
            readers[i].append((node, 0 if node in sums else slot))
    graph = _Graph(
        labels=labels,
        inputs={piece.entry: ()} | {node: links[node].reads for node in nodes},
        readers={node: tuple(sorted(found)) for node, found in readers.items()},
        sums=sums,
    )
    least = repr(_least(graph, _ranks(labels)))
    return f"{hashlib.sha256(least.encode()).hexdigest()};"


def _text(keys: Sequence[Key]) -> str:
    key = series(keys)
    return f"{key.structure}{key.rates}"


def _least(graph: _Graph, colours: Mapping[int, int]) -> list[tuple[int, str, tuple[int, ...]]]:
    """The graph in the canonical order: the least over all ways to tell alike nodes apart."""
    colours = _refine(graph, colours)
    counts = Counter(colours.values())
    tied = min((colour for colour, count in counts.items() if count > 1), default=None)
    if tied is None:
        return sorted((colours[node], label, graph.reads(node, colours)) for node, label in graph.labels.items())
    # Twins, with the same inputs and readers, may change places: one of them stands for all.
    alike = {(graph.inputs[n], graph.readers[n]): n for n, colour in colours.items() if colour == tied}
    singled = [{n: 2 * colour - (n == one) for n, colour in colours.items()} for one in alike.values()]
    return min(_least(graph, chosen) for chosen in singled)


def _refine(graph: _Graph, colours: Mapping[int, int]) -> Mapping[int, int]:
    """Splits colours by the colours of what nodes read and are read by, until nothing changes."""
    while True:
        finer = _ranks(
            {
                node: (
                    colour,
                    graph.reads(node, colours),
                    tuple(sorted((colours[reader], slot) for reader, slot in graph.readers[node])),
                )
                for node, colour in colours.items()
            }
        )
        if len(set(finer.values())) == len(set(colours.values())):
            return finer
        colours = finer


def _ranks(found: Mapping[int, Any]) -> dict[int, int]:
    ranks = {value: rank for rank, value in enumerate(sorted(set(found.values())))}
    return {node: ranks[value] for node, value in found.items()}
