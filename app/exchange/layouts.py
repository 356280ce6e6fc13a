"""Layouts: where the nodes of a graph stand in a picture. Pure, deterministic, without a library.

Distances on the page follow the distances in the graph (stress, by stochastic gradient descent: Zheng, Pawar and Goodman,
"Graph Drawing by Stochastic Gradient Descent", 2018); then boxes that overlap are pushed apart. With a center, the others
stand on rings around it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

Point = tuple[float, float]
Pair = tuple[int, int, float]
GOLDEN = math.pi * (3 - math.sqrt(5))
"""The angle between two neighbours on a sunflower: no two points of it coincide."""
SEED = 2014
MOST_PAIRS = 40_000
"""Of more, beside the neighbours, so many taken at random: the picture is as good, in a third of the time."""
STRAIGHT = 8
"""So many stand on a ring in one line."""
_ROOM = 1.6
_SWEEPS = 400
_GAP = 14.0
_TOUCH = 0.5
"""Boxes that overlap by less, in pixels, are left so: nobody sees it."""


class Box(NamedTuple):
    """What a node and its label need, around the node's point: to each side, above and below."""

    side: float
    above: float
    below: float


def layout(edges: Sequence[tuple[int, int]], boxes: Sequence[Box], *, center: int | None, unit: Point) -> list[Point]:
    """A point for each box, such that no two boxes overlap. `unit` is the length of an edge, across and down.
    The center, where there is one, stands at 0, 0."""
    count = len(boxes)
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for one, two in edges:
        neighbours[one].add(two)
        neighbours[two].add(one)
    blocks = [_block(part, neighbours, boxes, center, unit) for part in _components(neighbours, center)]
    if center is None and len(blocks) > 1 and len(blocks[0].nodes) == 1:
        blocks.insert(0, Block([], [], 0.0, 0.0, 0.0, 0.0))  # nothing is connected: all of it stands in rows
    placed: list[Point] = [(0.0, 0.0)] * count
    for block, (right, down) in _packed(blocks):
        for node, (x, y) in zip(block.nodes, block.points, strict=True):
            placed[node] = (x + right, y + down)
    return placed


class Block(NamedTuple):
    """A connected part: its nodes, their points, and the edges of the box around them."""

    nodes: Sequence[int]
    points: Sequence[Point]
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left + 2 * _GAP

    @property
    def height(self) -> float:
        return self.bottom - self.top + 2 * _GAP


def _block(
    part: Sequence[int], neighbours: Sequence[set[int]], boxes: Sequence[Box], center: int | None, unit: Point
) -> Block:
    points = _part(part, neighbours, boxes, center, unit) if len(part) > 1 else [(0.0, 0.0)]
    placed = [(x, y, boxes[node]) for node, (x, y) in zip(part, points, strict=True)]
    return Block(
        part, points, min(x - box.side for x, _, box in placed), min(y - box.above for _, y, box in placed),
        max(x + box.side for x, _, box in placed), max(y + box.below for _, y, box in placed),
    )  # fmt: skip


def _packed(blocks: Sequence[Block]) -> Iterator[tuple[Block, Point]]:
    """The first block as it is, the others in rows below it, each with how far it is moved."""
    if not blocks:
        return
    first, *others = blocks
    yield first, (0.0, 0.0)
    area = sum(block.width * block.height for block in others)
    width, middle = max(first.width, 600.0, math.sqrt(1.6 * area)), (first.left + first.right) / 2
    floor = first.bottom + 2 * _GAP
    for row in _rows(others, width):
        x = middle - sum(block.width for block in row) / 2
        for block in row:
            yield block, (x + _GAP - block.left, floor - block.top)
            x += block.width
        floor += max(block.height for block in row)


def _rows(blocks: Sequence[Block], width: float) -> Iterator[list[Block]]:
    row: list[Block] = []
    for block in blocks:
        if row and sum(each.width for each in row) + block.width > width:
            yield row
            row = []
        row.append(block)
    if row:
        yield row


def _part(
    part: Sequence[int], neighbours: Sequence[set[int]], boxes: Sequence[Box], center: int | None, unit: Point
) -> list[Point]:
    """The points of one component, around its middle."""
    own = {node: number for number, node in enumerate(part)}
    links = [[own[other] for other in sorted(neighbours[node])] for node in part]
    middle = own.get(center) if center is not None else None
    points = _stress(list(_distances(links)), len(part), middle)
    if middle is None:
        points = _level(points)
    spread = [(x * unit[0], y * unit[1]) for x, y in points]
    if middle is not None:
        spread = _rings(points, [boxes[node] for node in part], unit)
    return _apart(spread, [boxes[node] for node in part], middle)


def _rings(points: Sequence[Point], boxes: Sequence[Box], unit: Point) -> list[Point]:
    """The same order around the center, and each ring evenly filled and as large as its boxes need. A full ring is several
    lines deep: lines between neighbours pass beside those between them, and the picture stays small."""
    rings: dict[int, list[int]] = {}
    for node, (x, y) in enumerate(points):
        rings.setdefault(round(math.hypot(x, y)), []).append(node)
    found = [(0.0, 0.0)] * len(points)
    flat, edge = unit[1] / unit[0], 0.0
    for steps in sorted(rings.keys() - {0}):
        ring = sorted(rings[steps], key=lambda node: (_angle(points[node]), node))
        layers = 1 if len(ring) <= STRAIGHT else 1 + math.ceil(math.sqrt(len(ring) / 24))
        deep = 0.4 * unit[1] * (layers - 1)
        around = sum(max(2 * boxes[node].side, 60.0) + 2 * _GAP for node in ring)
        needed = around / layers * _ROOM * flat / (2 * math.pi)
        edge = max(edge + unit[1] + (deep if layers > 2 else 0.0), needed + deep / 2)
        for place, (node, angle) in enumerate(zip(ring, _even([_angle(points[node]) for node in ring]), strict=True)):
            own = edge - 0.4 * unit[1] * (place % layers)
            found[node] = (own / flat * math.cos(angle), own * math.sin(angle))
    return found


def _angle(point: Point) -> float:
    return math.atan2(point[1], point[0])


def _even(angles: Sequence[float]) -> list[float]:
    """As many angles, all the way round and equally far from each other, turned to where they were."""
    step = 2 * math.pi / len(angles)
    off = [angle - n * step for n, angle in enumerate(angles)]
    turn = math.atan2(sum(map(math.sin, off)), sum(map(math.cos, off)))
    return [turn + n * step for n in range(len(angles))]


def _components(neighbours: Sequence[set[int]], center: int | None) -> list[list[int]]:
    """The connected parts, that of the center first, then the larger before the smaller."""
    seen: set[int] = set()
    found = []
    for start in range(len(neighbours)):
        if start in seen:
            continue
        part, waiting = [], [start]
        seen.add(start)
        while waiting:
            node = waiting.pop()
            part.append(node)
            new = neighbours[node] - seen
            seen |= new
            waiting += sorted(new)
        found.append(sorted(part))
    return sorted(found, key=lambda part: (center not in part, -len(part), part[0]))


def _distances(links: Sequence[Sequence[int]]) -> Iterator[Pair]:
    """Every two nodes with their distance. The nodes within so many steps of each are the bits of one number, so that a step
    of all of them is one OR for each edge."""
    reached = [1 << node for node in range(len(links))]
    steps = 0
    while True:
        steps += 1
        following = []
        for node, others in enumerate(links):
            mask = reached[node]
            for other in others:
                mask |= reached[other]
            following.append(mask)
        if following == reached:
            return
        for node in range(len(links)):
            new = (following[node] & ~reached[node]) >> (node + 1)
            while new:
                low = new & -new
                yield node, node + low.bit_length(), float(steps)
                new ^= low
        reached = following


def _stress(pairs: list[Pair], count: int, center: int | None) -> list[Point]:
    """Points whose distances are as near to those of `pairs` as can be; the near ones count more. The center stays at 0, 0,
    and its own distances are kept to the end, which makes the rings."""
    xs = [math.sqrt(n) * math.cos(n * GOLDEN) for n in range(count)]
    ys = [math.sqrt(n) * math.sin(n * GOLDEN) for n in range(count)]
    if center is not None:
        xs[center], ys[center], xs[0], ys[0] = 0.0, 0.0, xs[center], ys[center]
    random.Random(SEED).shuffle(pairs)  # noqa: S311  # no secret: the same picture each time
    pairs = pairs[:MOST_PAIRS] + [pair for pair in pairs[MOST_PAIRS:] if pair[2] == 1 or center in pair[:2]]
    farthest = max((distance for *_, distance in pairs), default=1.0)
    rounds = 60 if count <= 120 else 15
    decay = math.log(farthest**2 / 0.05) / max(rounds - 1, 1)
    for n in range(rounds):
        _round(pairs if n % 2 else pairs[::-1], xs, ys, farthest**2 * math.exp(-decay * n), center)
    return list(zip(xs, ys, strict=True))


def _round(pairs: Sequence[Pair], xs: list[float], ys: list[float], step: float, center: int | None) -> None:
    """Move each two nodes towards their distance, once."""
    for one, two, distance in pairs:
        x, y = xs[one] - xs[two], ys[one] - ys[two]
        length = math.sqrt(x * x + y * y) or 1e-9
        move = step / (distance * distance)
        if one == center or two == center:
            _tether(xs, ys, two if one == center else one, distance)
            continue
        if move > 1:
            move = 1.0
        share = move * (length - distance) / (2 * length)
        x *= share
        y *= share
        xs[one] -= x
        ys[one] -= y
        xs[two] += x
        ys[two] += y


def _tether(xs: list[float], ys: list[float], node: int, distance: float) -> None:
    """Put a node on its ring."""
    length = math.sqrt(xs[node] ** 2 + ys[node] ** 2) or 1e-9
    xs[node] *= distance / length
    ys[node] *= distance / length


def _level(points: Sequence[Point]) -> list[Point]:
    """Turned so that the longer side lies level, around the mean."""
    count = len(points)
    mx, my = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    moved = [(x - mx, y - my) for x, y in points]
    xx, yy, xy = (sum(a * b for a, b in products) for products in _products(moved))
    angle = -math.atan2(2 * xy, xx - yy) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in moved]


def _products(points: Sequence[Point]) -> Iterator[list[tuple[float, float]]]:
    yield [(x, x) for x, _ in points]
    yield [(y, y) for _, y in points]
    yield [(x, y) for x, y in points]


# --- boxes ------------------------------------------------------------------------------------------------------------


def _apart(points: Sequence[Point], boxes: Sequence[Box], fixed: int | None) -> list[Point]:
    """Push boxes apart, each two along the way that is shorter, until none overlap. Sorted by their tops, a box is compared
    with those alone that begin before it ends."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    sides = [box.side + _GAP / 2 for box in boxes]
    for _ in range(_SWEEPS):
        pushed = sum(_push(one, two, xs, ys, boxes, sides, fixed) for one, two in _near(xs, ys, boxes, sides))
        if not pushed:
            break
        # Where it is crowded, those who are pushed push others: a little more room for all ends that soon.
        room = 1 + 0.004 + 0.04 * min(pushed / len(boxes), 1)
        xs, ys = [x * room for x in xs], [y * room for y in ys]
    return list(zip(xs, ys, strict=True))


def _near(xs: list[float], ys: list[float], boxes: Sequence[Box], sides: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Each two boxes that may overlap."""
    order = sorted(range(len(boxes)), key=lambda node: (ys[node] - boxes[node].above, node))
    for place, one in enumerate(order):
        bottom = ys[one] + boxes[one].below + _GAP / 2
        for two in islice(order, place + 1, None):
            if ys[two] - boxes[two].above >= bottom:
                break
            if abs(xs[one] - xs[two]) < sides[one] + sides[two]:
                yield one, two


def _push(
    one: int,
    two: int,
    xs: list[float],
    ys: list[float],
    boxes: Sequence[Box],
    sides: Sequence[float],
    fixed: int | None,
) -> bool:
    """Move two boxes apart if they overlap. The fixed one stays where it is."""
    left, right = (one, two) if (xs[one], one) <= (xs[two], two) else (two, one)
    up, down = (one, two) if (ys[one], one) <= (ys[two], two) else (two, one)
    over_x = sides[one] + sides[two] - (xs[right] - xs[left])
    over_y = ys[up] + boxes[up].below + _GAP / 2 - (ys[down] - boxes[down].above)
    if over_x <= _TOUCH or over_y <= _TOUCH:
        return False
    share = {one: 0.5, two: 0.5}
    if fixed in share:
        share = {node: float(node != fixed) for node in share}
    if over_x < over_y:
        xs[left] -= over_x * share[left]
        xs[right] += over_x * share[right]
    else:
        ys[up] -= over_y * share[up]
        ys[down] += over_y * share[down]
    return True
