"""What leaves are called in an emitted Triton kernel."""

from __future__ import annotations

from attngen.emit.triton_dialect import TRITON
from attngen.expr.axis import Axis
from attngen.expr.build import B_IDX, H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, SCORE, length, named, param, size
from attngen.expr.op import Expr, Kind, Op, Param, TensorRef
from attngen.expr.printer import Printer, Scope
from attngen.expr.ranges import nonnegative
from attngen.graph.guard import COLS
from attngen.tiling.schedule import QUERY_TILE

# Names that an emitted file uses itself; a parameter or tensor of the user's that is called so gets a suffix.
RESERVED = frozenset(
    "Q K V Out Lse M N B BLOCK_M BLOCK_N q k v s p out lse acc batch head kv_head q_tile q_start rows cols offs_row "
    "offs_m offs_n offs_d offs_v in_m in_n offs_k lane q_rows k_rows v_rows out_rows k_base v_base k_tile v_tile "
    "k_offsets v_offsets first_key start step tile keep row_max row_sum new_max pivot rescale inverse qk_scale sink "
    "start_before torch triton tl floor_div floor_mod list_row list_split tile_offsets tile_split tile_indices "
    "full_first full_last edge_first edge_last".split()
)


def kernel_name(name: str) -> str:
    """A user's name inside the kernel and the launcher's body."""
    return f"{name}_" if name in RESERVED else name


def size_name(tensor: TensorRef, dim: int) -> str:
    return f"{kernel_name(tensor.name)}_size_{dim}"


def stride_name(tensor: TensorRef, dim: int) -> str:
    return f"{kernel_name(tensor.name)}_stride_{dim}"


def printer(
    params: tuple[Param, ...],
    tensors: tuple[TensorRef, ...],
    *,
    packed: bool,
    clamp_keys: bool,
) -> Printer:
    """A printer for one place in the kernel. ``clamp_keys``: the tile may reach beyond the last key."""
    names: dict[Expr, tuple[str, Axis]] = {
        B_IDX: ("batch", Axis.TILE),
        H_IDX: ("head", Axis.ROW if packed else Axis.TILE),
        Q_IDX: ("offs_m", Axis.ROW),
        KV_IDX: ("offs_n", Axis.COLUMN),
        M_LEN: ("M", Axis.TILE),
        N_LEN: ("N", Axis.TILE),
        length("B"): ("B", Axis.TILE),
        SCORE: ("s", Axis.BOTH),
        COLS: ("cols" if clamp_keys else "offs_n", Axis.COLUMN),
        named(QUERY_TILE, Kind.INT): ("q_tile", Axis.TILE),
    }
    names.update({param(item): (kernel_name(item.name), Axis.TILE) for item in params})
    names.update({size(ref, dim): (size_name(ref, dim), Axis.TILE) for ref in tensors for dim in range(ref.rank)})
    return Printer(TRITON, Scope(names, _address, _load, nonnegative))


def _address(node: Expr, indices: list[str]) -> list[str]:
    tensor: TensorRef = node.value
    terms = [kernel_name(tensor.name)]
    for dim, text in enumerate(indices):
        if tensor.shape[dim] == 1 or (node.args[dim].op is Op.CONST and node.args[dim].value == 0):
            continue
        # all but the last stride may be large: 64 bits
        wide = f"tl.cast({text}, tl.int64)" if dim < tensor.rank - 1 else text
        terms.append(f"{wide} * {stride_name(tensor, dim)}")
    return terms


def _load(node: Expr, address: str) -> str:
    # the language has one integer and one float of 32 bits each
    narrowed = {"fp16": ".to(tl.float32)", "bf16": ".to(tl.float32)", "int64": ".to(tl.int32)"}
    return f"tl.load({address}){narrowed.get(node.value.dtype, '')}"
