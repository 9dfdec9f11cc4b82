"""The vocabulary of masks. Each is a formula over positions, with the paper or model that uses it.

``pos`` is the position of a query among the keys, q + (N - M): the last query stands at the last key.
With M == N it is q. The position of a key is kv. Numbers may be ints or, where it says so, texts of
integer expressions such as the name of a declared int32 parameter.
"""

from __future__ import annotations

from typing import Any

from attngen.errors import SpecError
from attngen.expr.build import TRUE
from attngen.language.checks import one_of, positive, whole
from attngen.language.proxy import Proxy
from attngen.language.scope import Number, Scope
from attngen.language.term import Mask, call_text, vocabulary_mask


def full() -> Mask:
    """Every key: true."""
    return vocabulary_mask("full", lambda s: Proxy(TRUE))


def causal(align: str = "bottom_right") -> Mask:
    """kv <= q + (N - M): a query sees the keys up to its own position.

    With ``align="top_left"``, kv <= q: the first query stands at the first key (PyTorch's ``is_causal``).
    """
    one_of("causal", "align", align, ("bottom_right", "top_left"))
    if align == "top_left":
        return vocabulary_mask("causal(align=top_left)", lambda s: s.kv <= s.q)
    return vocabulary_mask("causal", _is_past)


def _is_past(s: Scope) -> Any:
    return s.kv <= s.pos


def sliding_window(w: Number, right: Number | None = None) -> Mask:
    """0 <= pos - kv < w: the last w keys, its own position included (Mistral 7B, arXiv:2310.06825).

    With two numbers ``(left, right)``, as in FlashAttention: -right <= pos - kv <= left.
    ``w``, ``left`` and ``right``: ints, texts, or tensors [H] (or [B, H]).
    """
    whole("sliding_window", "w", w, least=1 if right is None else 0)
    whole("sliding_window", "right", right, least=0)

    def keep(s: Scope) -> Any:
        back = s.pos - s.kv
        left = s.number(w, "sliding_window(w)", by="h")
        if right is None:
            return (back >= 0) & (back < left)
        return (back >= -s.number(right, "sliding_window(right)", by="h")) & (back <= left)

    return vocabulary_mask(
        call_text("sliding_window", w) if right is None else call_text("sliding_window", w, right), keep
    )


def sink(n: Number) -> Mask:
    """kv < n: the first n keys, for everyone (StreamingLLM, arXiv:2309.17453). ``n``: int or text."""
    whole("sink", "n", n, least=0)
    return vocabulary_mask(call_text("sink", n), lambda s: s.kv < s.number(n, "sink(n)"))


def prefix_lm(p: Number) -> Mask:
    """kv < p | kv <= pos: the prefix sees itself both ways (T5, arXiv:1910.10683). ``p``: int, text or tensor [B]."""
    whole("prefix_lm", "p", p, least=0)
    return vocabulary_mask(call_text("prefix_lm", p), lambda s: (s.kv < s.number(p, "prefix_lm(p)")) | _is_past(s))


def document(ids: Any = None, *, cu_seqlens: Any = None) -> Mask:
    """ids[pos] == ids[kv]: packed documents see only themselves (arXiv:2107.02027).

    ``ids``: int tensor [N] or [B, N]. Or ``cu_seqlens``: int tensor [D + 1] or [B, D + 1] with the
    boundaries 0, ..., N, as in FlashAttention's varlen calls; the ids are made of it at the call.
    """
    if (ids is None) == (cu_seqlens is None):
        raise SpecError(
            "give one of ids and cu_seqlens", place="document", remedy="document(ids=...) or document(cu_seqlens=...)"
        )

    def keep(s: Scope) -> Any:
        if ids is not None:
            tensor = s.integers(ids, "ids", "document(ids)", (1, 2))
        else:
            source = s.integers(cu_seqlens, "cu_seqlens", "document(cu_seqlens)", (1, 2))
            tensor = s.derive("segment_ids", source, (*source.shape[:-1], "N"), "int32", "ids")
        return s.load(tensor, (s.b,), s.pos) == s.load(tensor, (s.b,), s.kv)

    return vocabulary_mask(call_text("document", ids=ids, cu_seqlens=cu_seqlens), keep)


def chunked(n: int) -> Mask:
    """pos // n == kv // n: blocks of n tokens see only themselves (Llama 4's chunked attention)."""
    positive("chunked", "n", n)
    return vocabulary_mask(call_text("chunked", n), lambda s: s.pos // n == s.kv // n)


def block_diagonal(n: int) -> Mask:
    """`chunked` by its other name."""
    return chunked(n)


def dilated(d: int) -> Mask:
    """(pos - kv) % d == 0: every d-th key (LongNet, arXiv:2307.02486)."""
    positive("dilated", "d", d)
    return vocabulary_mask(call_text("dilated", d), lambda s: (s.pos - s.kv) % d == 0)


def strided(n: int) -> Mask:
    """kv <= pos & (pos - kv < n | (pos - kv) % n == 0) (Sparse Transformer, arXiv:1904.10509, figure 3b)."""
    positive("strided", "n", n)

    def keep(s: Scope) -> Any:
        back = s.pos - s.kv
        return _is_past(s) & ((back < n) | (back % n == 0))

    return vocabulary_mask(call_text("strided", n), keep)


def fixed(n: int, c: int) -> Mask:
    """kv <= pos & (pos // n == kv // n | kv % n >= n - c): own block, and the last c of each (Sparse Transformer)."""
    positive("fixed", "n", n)
    positive("fixed", "c", c)
    if c > n:
        raise SpecError(f"c = {c} summary columns in a block of n = {n}", place="fixed(c)", remedy="use c <= n")
    return vocabulary_mask(
        call_text("fixed", n, c), lambda s: _is_past(s) & ((s.pos // n == s.kv // n) | (s.kv % n >= n - c))
    )


def global_tokens(n: Number) -> Mask:
    """kv < n | pos < n: the first n tokens see all and are seen by all.

    Longformer, arXiv:2004.05150. ``n``: int or text.
    """
    whole("global_tokens", "n", n, least=0)

    def keep(s: Scope) -> Any:
        count = s.number(n, "global_tokens(n)")
        return (s.kv < count) | (s.pos < count)

    return vocabulary_mask(call_text("global_tokens", n), keep)


_MOST_RANDOM = 64
_PRIME, _ROW, _PICK, _SEED = 32749, 7919, 104729 % 32749, 15485863 % 32749


def bigbird(block: int = 64, window: int = 3, globals: int = 2, random: int = 3, seed: int = 0) -> Mask:
    """Blocks of ``block`` tokens: a window, global ones, and random ones (BigBird, arXiv:2007.14062).

    With bq = pos // block, bk = kv // block and nb = ceil(N / block):
    \\|bq - bk\\| <= window // 2 | bk < globals | bq < globals | bk in {pick(bq, r) : r < random}.

    pick(bq, r) = (x^3 mod p) % nb with x = (7919 bq + 104729 r + 15485863 seed) mod p and p = 32749. p is
    2 mod 3, so cubing permutes the residues; all intermediate values stay below 2^31. Closed form:
    the kernel, the oracle and every other process draw the same blocks.
    """
    positive("bigbird", "block", block)
    for name, value in (("window", window), ("globals", globals), ("random", random), ("seed", seed)):
        whole("bigbird", name, value, least=0, constant=True)
    if random > _MOST_RANDOM:
        raise SpecError(
            f"{random} random blocks a row",
            place="bigbird(random)",
            remedy=f"use at most {_MOST_RANDOM}, or block_sparse",
        )

    def keep(s: Scope) -> Any:
        bq, bk = s.pos // block, s.kv // block
        count = (s.N + (block - 1)) // block
        near = bq - bk
        kept = (near <= window // 2) & (near >= -(window // 2))
        if globals:
            kept = kept | (bk < globals) | (bq < globals)
        for r in range(random):
            x = (bq % _PRIME * _ROW + (r * _PICK + seed * _SEED) % _PRIME) % _PRIME
            kept = kept | (bk == x * x % _PRIME * x % _PRIME % count)
        return kept

    return vocabulary_mask(
        call_text("bigbird", block=block, window=window, globals=globals, random=random, seed=seed), keep
    )


def vertical_slash(verticals: Any, slashes: Any) -> Mask:
    """kv <= pos & (kv in verticals | pos - kv in slashes) (MInference, arXiv:2407.02490).

    ``verticals``, ``slashes``: int tensors [n], or [H, n] for their own lists a head.
    """

    def keep(s: Scope) -> Any:
        columns, diagonals = (
            _flags(s, value, name) for value, name in ((verticals, "verticals"), (slashes, "slashes"))
        )
        return _is_past(s) & (s.load(columns, (s.h,), s.kv) | s.load(diagonals, (s.h,), s.pos - s.kv))

    return vocabulary_mask(call_text("vertical_slash", verticals=verticals, slashes=slashes), keep)


def _flags(s: Scope, value: Any, name: str) -> Any:
    """bool [.., N]: true at the listed indices."""
    source = s.integers(value, name, f"vertical_slash({name})", (1, 2))
    return s.derive("index_flags", source, (*source.shape[:-1], "N"), "bool", "flags")


def tree(parents: Any = None, *, ancestor_bits: Any = None) -> Mask:
    """kv < N - M | node kv - (N - M) is an ancestor of node q, or q itself (SpecInfer, arXiv:2305.09781).

    The M queries are the nodes of a tree of drafted tokens, and the last M keys; the keys before them
    are the context. ``parents``: int tensor [M] or [B, M], -1 for a root. Or ``ancestor_bits``: int32
    tensor [M, W] or [B, M, W], bit k % 32 of word k // 32 telling whether node k is seen.
    """
    if (parents is None) == (ancestor_bits is None):
        raise SpecError(
            "give one of parents and ancestor_bits", place="tree", remedy="tree(parents=...) or tree(ancestor_bits=...)"
        )

    def keep(s: Scope) -> Any:
        node = s.kv - (s.N - s.M)
        if parents is not None:
            source = s.integers(parents, "parents", "tree(parents)", (1, 2))
            table = s.derive("tree_ancestors", source, (*source.shape[:-1], "M", "M"), "bool", "ancestors")
            return (node < 0) | s.load(table, (s.b,), s.q, node)
        bits = s.integers(ancestor_bits, "ancestor_bits", "tree(ancestor_bits)", (2, 3))
        word = s.load(bits, (s.b,), s.q, node // 32)
        return (node < 0) | (((word >> (node % 32)) & 1) != 0)

    return vocabulary_mask(call_text("tree", parents=parents, ancestor_bits=ancestor_bits), keep)


def block_sparse(tile_map: Any, block: int | tuple[int, int] = 128) -> Mask:
    """tile_map[q // block_q, kv // block_kv]: any map of blocks (Block-Sparse FlashAttention).

    ``tile_map``: bool tensor [Mt, Nt], [H, Mt, Nt] or [B, H, Mt, Nt]. It speaks of raw indices.
    """
    sizes = (block, block) if isinstance(block, int) else block
    if not isinstance(sizes, (list, tuple)) or len(sizes) != 2:
        raise SpecError(
            f"{block!r} is no size of a block", place="block_sparse(block)", remedy="use an int, or (queries, keys)"
        )
    rows, columns = sizes
    positive("block_sparse", "block", rows)
    positive("block_sparse", "block", columns)

    def keep(s: Scope) -> Any:
        tiles = s.tensor(tile_map, "tile_map", "block_sparse(tile_map)", (2, 3, 4))
        return s.load(tiles, (s.b, s.h), s.q // rows, s.kv // columns) != 0

    return vocabulary_mask(call_text("block_sparse", tile_map, block=[rows, columns]), keep)


def lengths(q: Any = None, kv: Any = None) -> Mask:
    """q < q_lengths[b] & kv < kv_lengths[b]: padded batches. int tensors [B]; either may be left away. Raw indices."""
    if q is None and kv is None:
        raise SpecError("no lengths are given", place="lengths", remedy="lengths(q=..., kv=...), or one of them")

    def keep(s: Scope) -> Any:
        pairs = ((s.q, q, "q"), (s.kv, kv, "kv"))
        tests = [
            index < s.load(s.integers(value, f"{name}_lengths", f"lengths({name})", (1,)), (), s.b)
            for index, value, name in pairs
            if value is not None
        ]
        return tests[0] if len(tests) == 1 else tests[0] & tests[1]

    return vocabulary_mask(call_text("lengths", q=q, kv=kv), keep)
