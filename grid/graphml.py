"""Road graphs as OSMnx saves them: GraphML read with the standard library, without entities, within a bound."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import IO, Any
from xml.parsers import expat

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 30
"""Larger files are refused: a city of 100,000 edges has some 100 MB. Smaller, and a province does not fit; larger, and
a file made to harm takes all memory."""


MOST_COLUMNS = 1_000
"""Of edges: each has a value of each column."""


class BadGraph(ValueError):
    """A GraphML file cannot be used; the text says why."""


@dataclass
class Graph:
    """columns: by name a value an edge, with `u` and `v` for its nodes; lines: float64 (k, 2), longitude and latitude,
    or None where neither the edge nor its nodes say. reference: of the coordinates, as the file says."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    lines: list[NDArray[np.float64] | None] = field(default_factory=list)
    reference: str = ""


class _Reader:
    """Takes nodes, edges and their data from the parser's calls."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.nodes: dict[str, dict[str, str]] = {}
        self.edges: list[dict[str, str]] = []
        self.graph: dict[str, str] = {}
        self._stack: list[dict[str, str]] = []
        self._key: str | None = None
        self._text: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "key":
            self.names[attributes.get("id", "")] = attributes.get("attr.name", "")
        elif name == "graph":
            self._stack = [self.graph]
        elif name == "node":
            self._stack.append(self.nodes.setdefault(attributes.get("id", ""), {}))
        elif name == "edge":
            edge = {"u": attributes.get("source", ""), "v": attributes.get("target", "")}
            if "id" in attributes:
                edge["edge"] = attributes["id"]
            self.edges.append(edge)
            self._stack.append(edge)
        elif name == "data":
            self._key, self._text = attributes.get("key", ""), []

    def text(self, part: str) -> None:
        if self._key is not None:
            self._text.append(part)

    def end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if name == "data" and self._key is not None:
            if not self._stack:
                self._stack = [self.graph]
            self._stack[-1][self.names.get(self._key, self._key)] = "".join(self._text)
            self._key = None
        elif name in ("node", "edge") and len(self._stack) > 1:
            self._stack.pop()


def read_graphml(file: IO[bytes]) -> Graph:
    """The edges of a graph. Raises BadGraph: no XML, no edges, a document type (entities could fill all memory), or
    more than `MOST_BYTES`."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text

    def refuse(*_: Any) -> None:
        raise BadGraph("the GraphML file declares a document type; entities are not read: save it without")

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    size = 0
    try:
        while part := file.read(1 << 20):
            size += len(part)
            if size > MOST_BYTES:
                raise BadGraph(f"the GraphML file has over {MOST_BYTES >> 20} MiB: split it, or use a GeoPackage")
            parser.Parse(part, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise BadGraph(f"the GraphML file is no XML: {error}") from None
    if not reader.edges:
        raise BadGraph("the GraphML file has no edges")
    names = {name: None for edge in reader.edges for name in edge if name != "geometry"}
    if len(names) > MOST_COLUMNS:
        raise BadGraph(f"its edges have {len(names):,} columns, the most is {MOST_COLUMNS:,}: save it with fewer")
    return Graph(
        columns={name: [edge.get(name) for edge in reader.edges] for name in names},
        lines=[_line(edge, reader.nodes) for edge in reader.edges],
        reference=reader.graph.get("crs", ""),
    )


def _line(edge: dict[str, str], nodes: dict[str, dict[str, str]]) -> NDArray[np.float64] | None:
    """Its own geometry, or the straight line between its nodes."""
    try:
        if "geometry" in edge:
            match = re.fullmatch(r"\s*LINESTRING\s*(?:Z\s*)?\(([^()]*)\)\s*", edge["geometry"], re.IGNORECASE)
            if match is None:
                return None
            pairs = ((float(x), float(y)) for x, y, *_ in (p.split() for p in match[1].split(",")))
            return np.array(list(pairs), dtype=np.float64)
        ends = [nodes[edge[name]] for name in ("u", "v")]
        return np.array([[float(n["x"]), float(n["y"])] for n in ends], dtype=np.float64)
    except (KeyError, ValueError):
        return None
