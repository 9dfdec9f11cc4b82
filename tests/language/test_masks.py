"""Every vocabulary mask against its definition, written independently over dense NumPy positions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import attngen.language as ag
from attngen.errors import SpecError
from tests.language.dense import HEADS, keep

LENGTHS = [(16, 16), (1, 16), (7, 20), (20, 7), (13, 13)]


def grid(m: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q [M, 1], position of the query [M, 1], kv [1, N]."""
    q, kv = np.arange(m)[:, None], np.arange(n)[None, :]
    return q, q + (n - m), kv


@pytest.fixture(params=LENGTHS, ids=lambda pair: f"{pair[0]}x{pair[1]}")
def mn(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


def same(mask: object, expected: np.ndarray, m: int, n: int, **options: object) -> None:
    got = keep(mask, m, n, **options)
    np.testing.assert_array_equal(got, np.broadcast_to(expected, got.shape))


def test_full(mn: tuple[int, int]) -> None:
    same(ag.full(), np.ones(mn, bool), *mn)


def test_no_mask_keeps_all(mn: tuple[int, int]) -> None:
    same(None, np.ones(mn, bool), *mn)


def test_causal_stands_the_last_query_at_the_last_key(mn: tuple[int, int]) -> None:
    m, n = mn
    expected = np.array([[kv <= q + n - m for kv in range(n)] for q in range(m)])
    same(ag.causal(), expected, m, n)
    assert expected[-1].all()


def test_causal_top_left_stands_the_first_query_at_the_first_key(mn: tuple[int, int]) -> None:
    same(ag.causal(align="top_left"), np.tri(*mn, dtype=bool), *mn)


def test_a_window_of_w_tokens_includes_the_query_itself(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.sliding_window(3), (pos - kv >= 0) & (pos - kv < 3), *mn)
    if mn[0] == mn[1]:
        assert keep(ag.sliding_window(3), *mn)[0, 0, 5].sum() == 3


def test_a_window_of_two_numbers(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.sliding_window(3, 2), (kv >= pos - 3) & (kv <= pos + 2), *mn)


def test_a_window_a_head(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    widths = np.array([1, 2, 3, 50])
    same(ag.sliding_window(widths), (kv <= pos) & (pos - kv < widths[:, None, None]), *mn)


def test_numbers_may_be_parameters_and_expressions(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    expected = (pos - kv >= 0) & (pos - kv < 4 + 1)
    same(ag.sliding_window("W + 1"), expected, *mn, params={"W": "int32"}, values={"W": 4})
    same("sliding_window(W + 1)", expected, *mn, params={"W": "int32"}, values={"W": 4})
    same(ag.sink("n"), kv < 2, *mn, params={"n": "int32"}, values={"n": 2})


def test_sink(mn: tuple[int, int]) -> None:
    same(ag.sink(4), grid(*mn)[2] < 4, *mn)


def test_prefix_lm(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.prefix_lm(5), (kv < 5) | (kv <= pos), *mn)


def test_a_prefix_a_batch(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    prefix = np.array([0, 6])
    same(ag.prefix_lm(prefix), (kv < prefix[:, None, None, None]) | (kv <= pos), *mn)
    declared = {"tensors": {"p": (("B",), "int32")}, "arrays": {"p": prefix}}
    same(ag.prefix_lm("p"), (kv < prefix[:, None, None, None]) | (kv <= pos), *mn, **declared)


def test_document_ids_shared_and_a_batch() -> None:
    ids = np.array([[0, 0, 1, 1, 1, 4, 4], [7, 3, 3, 3, 3, 3, 0]])
    same(ag.document(ids=ids[0]), ids[0][:, None] == ids[0][None], 7, 7)
    same(ag.document(ids=ids), (ids[:, :, None] == ids[:, None])[:, None], 7, 7)
    same(ag.document(ids[0].tolist()), ids[0][-3:, None] == ids[0][None], 3, 7)  # positions of the last queries


def test_document_of_boundaries() -> None:
    shared, each = [0, 2, 5, 7], [[0, 3, 7], [0, 6, 7]]
    ids = np.array([0, 0, 1, 1, 1, 2, 2])
    same(ag.document(cu_seqlens=shared), ids[:, None] == ids[None], 7, 7)
    ids = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1]])
    same(ag.document(cu_seqlens=each), (ids[:, :, None] == ids[:, None])[:, None], 7, 7)


def test_empty_documents_belong_to_nobody() -> None:
    ids = np.array([0, 0, 2, 2])
    same(ag.document(cu_seqlens=[0, 2, 2, 4]), ids[:, None] == ids[None], 4, 4)


def test_chunked(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    expected = np.floor(pos / 5) == np.floor(kv / 5)
    same(ag.chunked(5), expected, *mn)
    same(ag.block_diagonal(5), expected, *mn)


def test_dilated(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.dilated(3), np.abs(pos - kv) % 3 == 0, *mn)


def test_strided(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.strided(4), (kv <= pos) & ((pos - kv < 4) | ((pos - kv) % 4 == 0)), *mn)


def test_fixed(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.fixed(4, 2), (kv <= pos) & ((pos // 4 == kv // 4) | np.isin(kv % 4, (2, 3))), *mn)


def test_global_tokens(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    same(ag.global_tokens(2), (kv < 2) | (pos < 2), *mn)


def test_bigbird_parts(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    bq, bk = pos // 2, kv // 2
    same(ag.bigbird(2, window=3, globals=0, random=0), np.abs(bq - bk) <= 1, *mn)
    same(ag.bigbird(2, window=1, globals=1, random=0), (bq == bk) | (bk < 1) | (bq < 1), *mn)


def test_bigbird_draws_whole_blocks_that_depend_on_the_seed() -> None:
    n, block, random = 256, 8, 3
    drawn = [keep(ag.bigbird(block, 1, 0, random, seed), n, n)[0, 0] for seed in (0, 0, 1)]
    blocks = [d.reshape(n // block, block, n // block, block) for d in drawn]
    for b in blocks:
        assert (b.all(axis=(1, 3)) == b.any(axis=(1, 3))).all()
        assert 1 <= b.any(axis=(1, 3)).sum(1).min() <= b.any(axis=(1, 3)).sum(1).max() <= 1 + random
        assert len(set(np.nonzero(b.any(axis=(1, 3)))[1])) > n // block // 2  # spread over the keys
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()


def natten_axis(length: int, window: int, dilation: int) -> np.ndarray:
    """By enumeration: the window nearest neighbours of each cell among those of its residue."""
    out = np.zeros((length, length), bool)
    for i in range(length):
        cells = list(range(i % dilation, length, dilation))
        at = cells.index(i)
        start = min(max(at - window // 2, 0), len(cells) - window)
        out[i, cells[start : start + window]] = True
    return out


@pytest.mark.parametrize(("length", "window", "dilation"), [(16, 5, 1), (16, 4, 1), (17, 3, 3), (9, 9, 1), (16, 5, 2)])
def test_neighborhood_1d(length: int, window: int, dilation: int) -> None:
    expected = natten_axis(length, window, dilation)
    assert (expected.sum(1) == window).all()
    same(ag.neighborhood(length, window, dilation), expected, length, length)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("shape", "window"), [((4, 6), (2, 3)), ((4, 4, 6), (1, 2, 3))])
def test_neighborhood_of_grids_is_the_product_of_axes(
    shape: tuple[int, ...], window: tuple[int, ...], dilation: int
) -> None:
    expected = np.ones((1, 1), bool)
    for length, width in zip(shape, window, strict=True):
        expected = np.kron(expected, natten_axis(length, width, dilation)).astype(bool)
    n = int(np.prod(shape))
    same(ag.neighborhood(shape, window, dilation), expected, n, n)


def test_local_window_is_swin_s_roll_partition_and_mask() -> None:
    side, window, shift = 8, 4, 2
    index = np.arange(side * side).reshape(side, side)
    region = np.zeros((side, side), int)  # as in the Swin code: cells that the roll brings together
    slices = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (a, b) in enumerate(itertools.product(slices, slices)):
        region[a, b] = number
    rolled = np.roll(index, (-shift, -shift), (0, 1))
    expected = np.zeros((side * side, side * side), bool)
    for y, x in itertools.product(range(0, side, window), repeat=2):
        cells = rolled[y : y + window, x : x + window].ravel()
        parts = region[y : y + window, x : x + window].ravel()
        expected[np.ix_(cells, cells)] = parts[:, None] == parts[None]
    same(ag.local_window((side, side), window, shift), expected, side**2, side**2)


def test_local_window_without_shift() -> None:
    cell = np.arange(16)
    key = cell // 4 // 2 * 10 + cell % 4 // 2
    same(ag.local_window((4, 4), 2), key[:, None] == key[None], 16, 16)


def test_vertical_slash(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    verticals, slashes = [0, 3, 99], [0, 5]
    same(
        ag.vertical_slash(verticals, slashes), (kv <= pos) & (np.isin(kv, verticals) | np.isin(pos - kv, slashes)), *mn
    )


def test_vertical_slash_a_head(mn: tuple[int, int]) -> None:
    _, pos, kv = grid(*mn)
    verticals, slashes = np.array([[0], [1], [2], [-1]]), np.array([[0], [1], [0], [3]])
    each = [(kv <= pos) & ((kv == v) | (pos - kv == s)) for v, s in zip(verticals[:, 0], slashes[:, 0], strict=True)]
    same(ag.vertical_slash(verticals, slashes), np.stack(each), *mn)


def ancestors(parents: list[int]) -> np.ndarray:
    out = np.zeros((len(parents), len(parents)), bool)
    for node in range(len(parents)):
        at = node
        while at != -1:
            out[node, at] = True
            at = parents[at]
    return out


@pytest.mark.parametrize("context", [0, 5])
def test_tree(context: int) -> None:
    parents = [-1, 0, 0, 1, 1, 2, -1]
    m = len(parents)
    expected = np.concatenate([np.ones((m, context), bool), ancestors(parents)], axis=1)
    same(ag.tree(parents), expected, m, m + context)
    words = np.array([[sum(int(b) << k for k, b in enumerate(row))] for row in ancestors(parents)])
    same(ag.tree(ancestor_bits=words), expected, m, m + context)


def test_a_tree_a_batch_and_words_with_the_sign_bit() -> None:
    chain, star = list(range(-1, 39)), [-1] + [0] * 39
    tables = np.stack([ancestors(chain), ancestors(star)])
    same(ag.tree([chain, star]), tables[:, None], 40, 40)
    bits = np.concatenate([tables, np.zeros((2, 40, 24), bool)], axis=2).reshape(2, 40, 2, 32)
    words = (bits * (1 << np.arange(32, dtype=np.uint64))).sum(-1).astype(np.uint32).view(np.int32)
    same(ag.tree(ancestor_bits=words), tables[:, None], 40, 40)


def test_block_sparse_speaks_of_raw_indices() -> None:
    tiles = np.array([[1, 0, 1], [0, 1, 0]], bool)
    expected = np.kron(tiles, np.ones((4, 2), bool)).astype(bool)
    same(ag.block_sparse(tiles, block=(4, 2)), expected, 8, 6)
    each = np.stack([tiles, ~tiles, tiles, ~tiles])
    same(ag.block_sparse(each, block=(4, 2)), np.stack([expected, ~expected] * 2), 8, 6)
    whole = np.stack([each, ~each])
    batches = [np.stack([expected, ~expected] * 2), np.stack([~expected, expected] * 2)]
    same(ag.block_sparse(whole, block=(4, 2)), np.stack(batches), 8, 6)


def test_lengths_speak_of_raw_indices(mn: tuple[int, int]) -> None:
    q, _, kv = grid(*mn)
    ql, kl = np.array([3, 0])[:, None, None, None], np.array([2, 50])[:, None, None, None]
    same(ag.lengths(q=ql.ravel(), kv=kl.ravel()), (q < ql) & (kv < kl), *mn)
    same(ag.lengths(kv=kl.ravel()), (q < 999) & (kv < kl), *mn)


def test_combinations(mn: tuple[int, int]) -> None:
    q, pos, kv = grid(*mn)
    past, near, first = kv <= pos, (pos - kv >= 0) & (pos - kv < 4), kv < 2
    same(ag.causal() & (ag.sliding_window(4) | ag.sink(2)), past & (near | first), *mn)
    same(~ag.causal() | ag.sink(2), ~past | first, *mn)
    same(ag.causal() ^ ag.sink(2), past ^ first, *mn)
    same(ag.causal() & (lambda b, h, q, kv: q != 3), past & (q != 3), *mn)
    same((lambda b, h, q, kv: q != 3) & ag.causal(), past & (q != 3), *mn)
    same("kv < 1 | kv > 3" & ag.causal(), past & ((kv < 1) | (kv > 3)), *mn)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ag.sliding_window(0),
        lambda: ag.sliding_window(2.5),
        lambda: ag.sliding_window(True),
        lambda: ag.sink(-1),
        lambda: ag.chunked("n"),
        lambda: ag.dilated(0),
        lambda: ag.fixed(4, 5),
        lambda: ag.causal(align="left"),
        lambda: ag.document(),
        lambda: ag.document(ids=[0], cu_seqlens=[0, 1]),
        lambda: ag.tree(),
        lambda: ag.lengths(),
        lambda: ag.neighborhood((4, 4), 5),
        lambda: ag.neighborhood((4, 4), 2, 3),
        lambda: ag.neighborhood((4,) * 4, 2),
        lambda: ag.neighborhood((4, 4), (2, 2, 2)),
        lambda: ag.local_window(8, 4, -1),
        lambda: ag.bigbird(0),
        lambda: bool(ag.causal()),
        lambda: ag.causal() and ag.sink(2),
        lambda: keep(ag.document(ids=[[[0]]]), 1, 1),
        lambda: keep(ag.document(ids="ids"), 1, 1),
        lambda: keep(ag.sliding_window("q"), 1, 1),
        lambda: keep(ag.alibi(), 1, 1),
        lambda: keep(3, 1, 1),
        lambda: keep(ag.document(ids=[["a"]]), 1, 1),
        lambda: keep(ag.document(ids=[[0], [0, 1]]), 1, 1),
    ],
)
def test_wrong_arguments_say_the_value_the_place_and_the_way_out(wrong: object) -> None:
    with pytest.raises(SpecError) as info:
        wrong()  # type: ignore[operator]
    assert info.value.place
    assert info.value.remedy


def test_every_mask_has_the_heads_of_the_spec() -> None:
    assert keep(ag.causal(), 3, 3).shape == (2, HEADS, 3, 3)
