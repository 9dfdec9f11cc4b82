"""What each pass promises, one test a promise."""

from __future__ import annotations

import dataclasses
import math

import networkx as nx
import numpy as np
import pytest

from attngen.errors import GraphError
from attngen.expr.build import FALSE, H_IDX, KV_IDX, M_LEN, N_LEN, Q_IDX, SCORE, TRUE, const, load, make, substitute
from attngen.expr.evaluate import Env, evaluate
from attngen.expr.op import Expr, Op, TensorRef, walk
from attngen.graph import legality
from attngen.graph.build import build_graph
from attngen.graph.node import AttentionGraph, AttentionOp, MaskClass, Node
from attngen.graph.passes import run_passes
from attngen.graph.passes.fold_scale import LOG2E, fold_scale
from attngen.graph.passes.separate import Q_START, separate_mask, separate_score
from attngen.graph.passes.split_mask import classify
from attngen.language.definition import Definition, HeadDim, Heads, Sigmoid, Softmax

POSITION = make(Op.ADD, Q_IDX, make(Op.SUB, N_LEN, M_LEN))
DISTANCE = make(Op.SUB, POSITION, KV_IDX)
CAUSAL = make(Op.LE, KV_IDX, POSITION)
SLOPES = TensorRef("slopes", "fp32", (None,), captured=True)
ALIBI = make(Op.ADD, SCORE, make(Op.MUL, load(SLOPES, [H_IDX]), make(Op.TO_FLOAT, make(Op.NEG, DISTANCE))))
SOFTCAP = make(Op.MUL, const(50.0), make(Op.TANH, make(Op.DIV, SCORE, const(50.0))))


def definition(mask: Expr = TRUE, score: Expr = SCORE, normalizer: Softmax | Sigmoid | None = None) -> Definition:
    return Definition(
        Heads(4, 2), HeadDim(32, 32), None, False, const(0.25), mask, score, normalizer or Softmax(), (), (SLOPES,)
    )


def score_of(graph: AttentionGraph) -> Node:
    node = graph.get(AttentionOp.SCORE)
    assert node is not None and node.expr is not None
    return node


def value(expr: Expr, **index: object) -> np.ndarray:
    """expr at M=7 queries and N=9 keys of head 1, with scores on a grid."""
    q, kv = np.arange(7).reshape(1, 1, 7, 1), np.arange(9).reshape(1, 1, 1, 9)
    named = {"q_start": np.asarray(3), **index}
    env = Env(
        index={"b": np.zeros((1, 1, 1, 1), int), "h": np.ones((1, 1, 1, 1), int), "q": q, "kv": kv},
        length={"B": 1, "M": 7, "N": 9},
        score=np.linspace(-60, 60, 63).reshape(1, 1, 7, 9),
        tensors={SLOPES: np.array([0.5, 0.25, 0.125, 0.0625])},
        named=named,
    )
    return np.broadcast_to(evaluate(expr, env), (1, 1, 7, 9))


def test_hoisted_values_have_names_of_their_own() -> None:
    """Two values of a row, one of which would take the name of the user's tensor."""
    taken = TensorRef("row_bias", "fp32", (None,), captured=True)
    squared = make(Op.TO_FLOAT, make(Op.MUL, Q_IDX, Q_IDX))
    step = make(Op.MUL, make(Op.ADD, SCORE, make(Op.TO_FLOAT, POSITION)), squared)
    made = dataclasses.replace(definition(score=make(Op.ADD, step, load(taken, [H_IDX]))), tensors=(SLOPES, taken))
    names = [item.name for item in score_of(run_passes(build_graph(made))).hoisted if item.axis == "row"]
    assert len(names) == 2 and len({*names, "row_bias"}) == 3


def test_a_logarithm_near_one_keeps_its_digits() -> None:
    node = score_of(run_passes(build_graph(definition(score=make(Op.LOG1P, make(Op.MUL, SCORE, const(1e-12)))))))
    assert node.expr is not None
    dots = np.linspace(-60, 60, 63).reshape(1, 1, 7, 9)
    np.testing.assert_allclose(value(node.expr), 0.25e-12 * dots * LOG2E, rtol=1e-9, atol=0)


def test_scale_and_log2e_become_one_factor() -> None:
    score = score_of(run_passes(build_graph(definition())))
    assert score.expr is make(Op.MUL, SCORE, const(0.25 * LOG2E))
    assert score.base2 and not score.hoisted


@pytest.mark.parametrize(
    "step",
    [
        SOFTCAP,
        ALIBI,
        make(Op.WHERE, CAUSAL, SCORE, const(-math.inf)),
        make(Op.MUL, const(3.0), make(Op.NEG, make(Op.ABS, SCORE))),
        make(Op.SIGMOID, SCORE),
    ],
)
@pytest.mark.parametrize("precise", [False, True])
def test_the_passes_keep_the_meaning(step: Expr, precise: bool) -> None:
    """score2(dot) == score(scale * dot) * log2(e), with hoisted values put back."""
    graph = run_passes(build_graph(definition(CAUSAL, step)), precise=precise)
    node = score_of(graph)
    expr = node.expr
    assert expr is not None
    for item in reversed(node.hoisted):
        expr = substitute(
            expr, {leaf: item.expr for leaf in walk(expr) if leaf.op is Op.NAMED and leaf.value.name == item.name}
        )
    rows, cols = np.arange(7).reshape(1, 1, 7, 1), np.arange(9).reshape(1, 1, 1, 9)
    wanted = value(substitute(step, {SCORE: make(Op.MUL, SCORE, const(0.25))})) * LOG2E
    np.testing.assert_allclose(value(expr, rows=rows, cols=cols), wanted, rtol=1e-6, atol=1e-5)


def test_soft_cap_costs_one_exponential_and_one_square_root() -> None:
    expr = score_of(run_passes(build_graph(definition(score=SOFTCAP)))).expr
    assert expr is not None
    ops = [node.op for node in walk(expr)]
    assert ops.count(Op.EXP2) == ops.count(Op.RSQRT) == 1 and Op.DIV not in ops
    assert Op.TANH not in ops and ops.count(Op.MUL) == 3  # by the scale, the square, by the cap


def test_alibi_becomes_a_row_and_a_column_vector() -> None:
    node = score_of(run_passes(build_graph(definition(CAUSAL, ALIBI))))
    assert {item.axis for item in node.hoisted} >= {"row", "column"}
    assert node.expr is not None
    assert not any(leaf.op is Op.LOAD for leaf in walk(node.expr))


def test_distances_are_measured_from_the_tile() -> None:
    separated = separate_score(ALIBI, row_heads=False)
    assert Q_START in set(walk(separated))
    np.testing.assert_allclose(value(separated), value(ALIBI), rtol=1e-12)


def test_a_comparison_of_sums_is_columns_against_rows() -> None:
    window = make(Op.LT, DISTANCE, const(4))
    apart = separate_mask(window, row_heads=False)
    assert apart.op is Op.GT and apart.args[0] is KV_IDX
    assert np.array_equal(value(apart), value(window))


def test_full_masks_and_identity_scores_disappear() -> None:
    graph = run_passes(build_graph(definition(make(Op.OR, CAUSAL, TRUE), make(Op.MUL, SCORE, const(1.0)))))
    assert graph.get(AttentionOp.MASK) is None
    assert graph.family == "forward"


def test_sigmoid_has_no_lse() -> None:
    graph = run_passes(build_graph(definition(normalizer=Sigmoid(const(-2.0)))))
    assert not any(node.name == "lse" for node in graph.nodes)


def test_mask_parts_are_classified() -> None:
    ids = TensorRef("ids", "int32", (None,), captured=True)
    same = make(Op.EQ, load(ids, [Q_IDX]), load(ids, [KV_IDX]))
    length = make(Op.LT, KV_IDX, load(TensorRef("lengths", "int32", ("B",)), [H_IDX]))
    bias = make(Op.GT, load(TensorRef("map", "fp32", (None, None)), [Q_IDX, KV_IDX]), const(0.0))
    dilated = make(Op.EQ, make(Op.MOD, DISTANCE, const(3)), const(0))
    assert [classify(part) for part in (CAUSAL, dilated, same, length, bias)] == [
        MaskClass.AFFINE, MaskClass.AFFINE, MaskClass.DATA, MaskClass.DATA, MaskClass.OPAQUE,
    ]  # fmt: skip


def test_operand_positions_survive() -> None:
    graph = build_graph(definition())
    assert [node.name for node in graph.operands(graph["qk"])] == ["q", "k"]
    assert isinstance(graph.nodes, nx.MultiDiGraph)


@pytest.mark.parametrize("rule", legality.RULES, ids=lambda rule: rule.name)
def test_every_rule_can_be_broken(rule: legality.Rule) -> None:
    """Each rule refuses the raw graph of some definition, or one that was tampered with."""
    raw = build_graph(definition(CAUSAL, SOFTCAP))
    done = run_passes(raw)
    bad: dict[str, AttentionGraph] = {
        "the graph has no cycle": _with_edge(raw, "out", "q"),
        "every operation has its operands in positions 0, 1, ...": _with_edge(raw, "q", "v"),
        "scores are floats, masks are bools": raw.replace(raw["mask"], raw["mask"].with_(expr=SCORE)),
        "only score nodes read SCORE": raw.replace(raw["mask"], raw["mask"].with_(expr=make(Op.LT, SCORE, const(0.0)))),
        "every named value is hoisted before its use": done.replace(
            score_of(done), score_of(done).with_(hoisted=(), expr=_dangling())
        ),
        "every loaded dimension is proven, checked or clamped": done.replace(
            score_of(done), score_of(done).with_(expr=ALIBI)
        ),
    }
    assert rule.holds(done)
    assert not rule.holds(bad.get(rule.name, raw)), rule.name
    with pytest.raises(GraphError, match="after `x`: "):
        legality.check(bad.get(rule.name, raw), [rule.since, "x"])


def _dangling() -> Expr:
    from attngen.expr.build import named
    from attngen.expr.op import Kind

    return make(Op.ADD, SCORE, named("nowhere", Kind.FLOAT))


def _with_edge(graph: AttentionGraph, source: str, user: str) -> AttentionGraph:
    import dataclasses

    nodes = graph.nodes.copy()
    nodes.add_edge(graph[source], graph[user], key=5)
    return dataclasses.replace(graph, nodes=nodes)


def test_fold_scale_carries_parameters() -> None:
    from attngen.expr.build import param
    from attngen.expr.op import Param

    scale = param(Param("sm_scale", "float32"))
    raw = build_graph(definition())
    graph = fold_scale(raw.replace(raw["scale"], raw["scale"].with_(expr=scale)))
    assert FALSE not in graph.nodes
    expr = score_of(graph).expr
    assert expr is not None and scale in set(walk(expr)) and SCORE in set(walk(expr))
