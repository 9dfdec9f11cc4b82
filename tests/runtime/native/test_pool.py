"""Threads: any number gives the same bits, calls may come from several at once, after a fork, and until the end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from attngen.runtime.cache import Cache
from attngen.runtime.launch import Attention
from attngen.runtime.native import library
from tests.runtime.native.kit import ROOT, inputs, native, values


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[False, True], ids=["whole", "split"])
def f(request: pytest.FixtureRequest, cache: Cache) -> Attention:
    return native(cache, split=request.param, wait=300)


def workers() -> int:
    return library._pools[False].attngen_pool_workers()  # type: ignore[no-any-return]


def test_the_same_bits_for_any_number_of_threads(f: Attention) -> None:
    q, k, v = inputs(m=64, n=64)
    answers = []
    for count in (1, 2, 3, 7, 16):
        torch.set_num_threads(count)
        for _ in range(5):
            answers.append(f(q, k, v, return_lse=True, **values(64)))
    for out, lse in answers[1:]:
        assert torch.equal(out, answers[0][0])
        assert torch.equal(lse, answers[0][1])


def test_as_many_threads_as_torch_has(f: Attention) -> None:
    q, k, v = inputs(m=64, n=64)
    before = workers()
    torch.set_num_threads(1)
    f(q, k, v, **values(64))
    assert workers() == before
    torch.set_num_threads(before + 3)
    f(q, k, v, **values(64))
    assert workers() == before + 2, "the caller is one of them"


def test_flushed_denormals_of_a_thread_do_not_change_results(f: Attention) -> None:
    q, k, v = (x * 1e-39 if i == 2 else x for i, x in enumerate(inputs(m=64, n=64)))
    torch.set_num_threads(2)
    right = f(q, k, v, **values(64))
    assert (right != 0).any()
    torch.set_flush_denormal(True)
    try:
        mine = f(q, k, v, **values(64))
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(mine.view(torch.int32), right.view(torch.int32))


def test_a_thousand_calls_from_eight_threads(f: Attention) -> None:
    torch.set_num_threads(2)
    cases = [(inputs(1 + i % 3, 20 + i, 30 + i, seed=i), values(30 + i, 5 + i)) for i in range(8)]
    right = [f(*qkv, **given) for qkv, given in cases]

    def call(i: int) -> bool:
        qkv, given = cases[i % 8]
        return torch.equal(f(*qkv, **given), right[i % 8])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(1000)))


def test_other_python_threads_run_meanwhile(cache: Cache) -> None:
    f = native(cache, wait=2_000_000)
    q, k, v = inputs(1, 8, 8)
    torch.set_num_threads(1)
    f(q, k, v, **values(8))
    steps, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            steps[0] += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    before = steps[0]
    f(q, k, v, **values(8))
    after = steps[0]
    done.set()
    other.join()
    assert after > before


def in_a_process(code: str, root: Path) -> str:
    text = textwrap.dedent(code).replace("ROOT", repr(str(root)))
    head = textwrap.dedent("""
        import os, sys, threading, torch
        from pathlib import Path
        from attngen.runtime.cache import Cache
        from tests.runtime.native.kit import inputs, native, values
    """)
    done = subprocess.run(
        [sys.executable, "-c", head + text], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-3000:])
    return done.stdout


def test_after_a_fork_the_child_has_threads_of_its_own(cache: Cache) -> None:
    """Children of a parent whose workers exist, and of one with a call under way in another thread."""
    out = in_a_process(
        """
        torch.set_num_threads(4)
        f = native(Cache(Path(ROOT)), split=True, wait=300)
        q, k, v = inputs(m=64, n=64)
        right = f(q, k, v, **values(64))
        busy = [True]
        def calls():
            while busy[0]:
                f(q, k, v, **values(64))
        others = [threading.Thread(target=calls) for _ in range(2)]
        for one in others:
            one.start()
        statuses = []
        for _ in range(20):
            child = os.fork()
            if child == 0:
                good = all(torch.equal(f(q, k, v, **values(64)), right) for _ in range(20))
                grandchild = os.fork()
                if grandchild == 0:
                    os._exit(0 if torch.equal(f(q, k, v, **values(64)), right) else 1)
                good = good and os.waitpid(grandchild, 0)[1] == 0
                os._exit(0 if good else 1)
            statuses.append(os.waitpid(child, 0)[1])
        busy[0] = False
        for one in others:
            one.join()
        assert torch.equal(f(q, k, v, **values(64)), right)
        print(statuses)
        """,
        cache.root,
    )
    assert out == f"{[0] * 20}\n"


def test_an_interpreter_that_ends_while_a_call_runs(cache: Cache) -> None:
    # `out=`: an allocation by torch in a daemon thread can itself end an interpreter with "terminate called"
    code = """
        torch.set_num_threads(3)
        f, given = native(Cache(Path(ROOT)), wait=20000), values(64)
        q, k, v = inputs(m=64, n=64)
        out = torch.empty_like(q)
        f(q, k, v, out=out, **given)
        f(q, k, v, out=out, **given)
        def calls():
            while True:
                f(q, k, v, out=out, **given)
        for _ in range(3):
            threading.Thread(target=calls, daemon=True).start()
        print("done")
        """
    for _ in range(4):
        assert in_a_process(code, cache.root) == "done\n"


def test_where_no_thread_can_be_had_the_caller_works_alone(cache: Cache) -> None:
    out = in_a_process(
        """
        import resource
        torch.set_num_threads(1)
        f = native(Cache(Path(ROOT)), wait=300)
        q, k, v = inputs(m=64, n=64)
        right = f(q, k, v, **values(64))
        if os.geteuid() == 0:
            os.setresuid(65533, 65533, 65533)  # root has no limit
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        torch.set_num_threads(8)
        same = torch.equal(f(q, k, v, **values(64)), right)
        from attngen.runtime.native import library
        print(same, library._pools[False].attngen_pool_workers())
        """,
        cache.root,
    )
    assert out == "True 0\n"


def test_threads_of_python_leave_nothing_behind(f: Attention) -> None:
    """Scratch belongs to a thread and goes with it."""
    q, k, v = inputs()
    torch.set_num_threads(2)
    for _ in range(200):
        one = threading.Thread(target=lambda: f(q, k, v, **values()))
        one.start()
        one.join()
    assert f(q, k, v, **values()).isfinite().all()
