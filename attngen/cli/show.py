"""``attngen show``: a mask, its tiles or the graph, in the terminal or as a picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attngen.cli.options import SpecPath, Values, load_spec, parse_values
from attngen.errors import SpecError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attngen.language.spec import AttentionSpec
    from attngen.tiling.view import TileSchedule

PIXELS = 1600  # above it a pair is no pixel: the tiles alone are drawn, and no pair is evaluated


def show(
    spec: SpecPath,
    mask: Annotated[bool, typer.Option("--mask", help="Which pairs are kept, with their tiles (the default).")] = False,
    tiles: Annotated[bool, typer.Option("--tiles", help="The tiles alone, and the loops that visit them.")] = False,
    graph: Annotated[bool, typer.Option("--graph", help="The graph of the variant.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A picture: .png, .svg or .pdf.")
    ] = None,
    seqlen: Annotated[
        int | None, typer.Option("--seqlen", "-n", min=1, help="Keys. Default: enough to see the pattern.")
    ] = None,
    queries: Annotated[int | None, typer.Option("--queries", "-m", min=1, help="Queries. Default: as keys.")] = None,
    q_tile: Annotated[int, typer.Option("--q-tile", min=1, help="Queries a tile.")] = 128,
    kv_tile: Annotated[int, typer.Option("--kv-tile", min=1, help="Keys a tile.")] = 64,
    head: Annotated[int, typer.Option("--head", min=0, help="The head whose mask is drawn.")] = 0,
    param: Values = None,
) -> None:
    """Draw a mask with its tiles, or the graph; with block characters in the terminal unless -o is given."""
    if mask + tiles + graph > 1:
        raise typer.BadParameter("choose one of --mask, --tiles and --graph")
    if output is not None:
        from attngen.cli.output import check_target_file

        check_target_file(output)
    loaded = load_spec(spec)
    if graph:
        _show_graph(loaded, output)
        return
    keys = seqlen or typical_length(loaded)
    drawn = pattern(loaded, queries or keys, keys, q_tile, kv_tile, head, parse_values(param))
    if output is None:
        _print_pattern(drawn, pairs=not tiles)
    else:
        save_pattern(drawn if not tiles else replace(drawn, keep=None), output)


def typical_length(spec: AttentionSpec) -> int:
    """Twice the largest number in the mask, as a power of two from 512 to 16384: its pattern is in sight."""
    from attngen.expr.op import Op, leaves

    numbers = [abs(leaf.value) for leaf in leaves(spec.definition.mask, Op.CONST) if type(leaf.value) is int]
    longest = max([n for n in numbers if n <= 8192], default=0)
    return min(16384, max(512, 1 << (2 * longest - 1).bit_length() if longest else 512))


@dataclass(frozen=True, slots=True)
class Pattern:
    """One head of a mask at one length. ``keep`` [queries, keys] is None where it is too large to look at."""

    title: str
    keep: NDArray[np.bool_] | None
    tiles: NDArray[np.int8]
    schedule: TileSchedule


def pattern(
    spec: AttentionSpec,
    queries: int,
    keys: int,
    q_tile: int = 128,
    kv_tile: int = 64,
    head: int = 0,
    values: dict[str, int | float] | None = None,
) -> Pattern:
    """The tiles of a mask, and up to `PIXELS` also its pairs. Tensors and parameters not given are made up."""
    from attngen.expr.evaluate import evaluate
    from attngen.oracle import environment
    from attngen.sample import Sizes, sample
    from attngen.tiling.view import schedule

    if head >= spec.heads.q:
        raise SpecError(f"head {head} of {spec.heads.q}", place="--head", remedy=f"use 0 to {spec.heads.q - 1}")
    drawn = sample(spec.definition, Sizes(1, queries, keys), values or {})
    made = schedule(spec, q_tile=q_tile, kv_tile=kv_tile)
    tiles = made.tiles(queries, keys, params=drawn.params, tensors=drawn.tensors, h=head)
    keep = None
    if max(queries, keys) <= PIXELS:
        import numpy as np

        where = environment(spec, 1, queries, keys, {**drawn.tensors, **drawn.params})
        every = np.broadcast_to(evaluate(spec.definition.mask, where), (1, spec.heads.q, queries, keys))
        keep = every[0, head].astype(bool)
    title = f"{spec.name}, {queries:,} queries by {keys:,} keys" + (f", head {head}" if head else "")
    return Pattern(title, keep, tiles, made)


def save_pattern(drawn: Pattern, path: Path) -> None:
    """The picture of a pattern, whole or not at all."""
    from attngen.cli.output import check_target_file
    from attngen.draw.masks import draw_mask

    check_target_file(path)
    made = drawn.schedule.schedule
    draw_mask(drawn.keep, drawn.tiles, made.q_tile, made.kv_tile, path, drawn.title)


def _print_pattern(drawn: Pattern, *, pairs: bool) -> None:
    from attngen.cli.output import console
    from attngen.draw.terminal import mask_text, tiles_text

    out = console()
    made = drawn.schedule.schedule
    out.print(drawn.title)
    if pairs and drawn.keep is not None:
        out.print(mask_text(drawn.keep, min(72, out.width)), markup=False)
        out.print()
    out.print(tiles_text(drawn.tiles, made.q_tile, made.kv_tile, min(100, out.width)))
    if not pairs:
        out.print()
        out.print(str(drawn.schedule), markup=False)


def _show_graph(spec: AttentionSpec, output: Path | None) -> None:
    from attngen import pipeline
    from attngen.draw.graphs import draw_graph, graph_text

    graph = pipeline.generate(spec).graph
    if output is None:
        typer.echo(graph_text(graph))
    else:
        draw_graph(graph, output, spec.name)
