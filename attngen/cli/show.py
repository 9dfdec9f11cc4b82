"""``attngen show``: a mask, its tiles or the graph, in the terminal or as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attngen.cli.options import SpecPath, Values, load_spec, parse_values

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attngen.language.spec import AttentionSpec

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
    _show_mask(loaded, output, queries or keys, keys, q_tile, kv_tile, head, parse_values(param), pairs=not tiles)


def typical_length(spec: AttentionSpec) -> int:
    """Twice the largest number in the mask, as a power of two from 512 to 16384: its pattern is in sight."""
    from attngen.expr.op import Op, leaves

    numbers = [abs(leaf.value) for leaf in leaves(spec.definition.mask, Op.CONST) if type(leaf.value) is int]
    longest = max([n for n in numbers if n <= 8192], default=0)
    return min(16384, max(512, 1 << (2 * longest - 1).bit_length() if longest else 512))


def _show_graph(spec: AttentionSpec, output: Path | None) -> None:
    from attngen import pipeline
    from attngen.draw.graphs import draw_graph, graph_text

    graph = pipeline.generate(spec).graph
    if output is None:
        typer.echo(graph_text(graph))
    else:
        _save(output, lambda part: draw_graph(graph, part))
