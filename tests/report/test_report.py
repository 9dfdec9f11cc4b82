"""The report stands alone, says everything, and lets no text of others become markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attngen.records.store import Store
from attngen.report.page import report
from tests.records.kit import SUBJECT
from tests.report.kit import HOSTILE, Reader, decision, filled, sweep

HEADINGS = {
    "head", "What was tried", "The landscape", "Prediction against measurement", "Noise", "Why the winner wins",
    "Failures", "Load and versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = filled(tmp_path_factory.mktemp("report") / "records.sqlite")
    with Store.open(path, readonly=True) as store:
        return report(store)


@pytest.fixture(scope="module")
def page(text: str) -> Reader:
    return Reader(text)


def test_every_part_of_every_subject_says_something(page: Reader) -> None:
    assert len(page.sections) == 5
    for parts in page.sections.values():
        assert set(parts) == HEADINGS
        for heading, words in parts.items():
            assert words.strip(), heading


def test_the_subject_with_everything(page: Reader) -> None:
    parts = page.sections["s1"]
    assert "block_m=64, block_n=128, micro_m=4 wins: 1.250 times as fast" in parts["head"]
    assert "13 configurations were tried, 1 failed" in parts["head"]
    tried = parts["What was tried"]
    assert tried.index("block_n=128") < tried.index("block_n=64"), "fastest first"
    assert "1.250" in tried, "the gain is of paired rounds: the drift of the machine falls out"
    assert {"32", "64", "256", "×", "1.00"} <= set(parts["The landscape"].split())
    assert "Kendall tau 1.00 over 12 configurations" in parts["Prediction against measurement"]
    assert "middle half of 5 rounds: 1.250 to 1.250" in parts["Noise"]
    assert "registers 28 30 0.933" in re.sub(r"\s+", " ", parts["Why the winner wins"])
    assert "crashed: signal 11" in parts["Failures"]
    assert "0 to 1," in parts["Load and versions"]
    assert "g++ 12.2.0" in parts["Load and versions"]


def test_shades_of_the_landscape(page: Reader) -> None:
    shades = [found["class"].removeprefix("n ") for tag, found in page.tags if tag == "td" and "title" in found]
    assert {"s0", "failed", "none"} < set(shades)
    assert len(set(shades)) > 5, "slower plans are paler"


def test_the_others_say_what_they_lack(page: Reader) -> None:
    heads = {parts["head"].split(",")[0].strip(): parts for parts in page.sections.values()}
    assert "No configuration was measured" in heads["lost"]["What was tried"]
    assert "does not compile: x" in heads["lost"]["Failures"]
    static = next(parts for parts in page.sections.values() if "static results" in parts["head"])
    assert "Nothing ran here" in static["head"]
    assert "from compiled code" in static["Prediction against measurement"]
    assert {"split_keys", "block_n", "1024", "2048"} <= set(heads["decode"]["The landscape"].split())


def test_it_stands_alone(page: Reader, text: str) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "base", "form", "image"}
    )
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on")}, tag
        for name in ("src", "href", "xlink:href", "action", "data", "style"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import", style[1])
    policy = next(found["content"] for tag, found in page.tags if "http-equiv" in found)
    assert policy.startswith("default-src 'none'")


def test_hostile_texts_stay_texts(page: Reader, text: str) -> None:
    parts = next(parts for parts in page.sections.values() if "7*7" in parts["head"])
    assert HOSTILE in parts["Failures"]
    assert "alert(" in text
    assert text.count("<style>") == 1
    assert "<script" not in text


def test_places_in_the_page_exist(page: Reader) -> None:
    names = {found["id"] for _, found in page.tags if "id" in found}
    links = {found["href"].removeprefix("#") for tag, found in page.tags if tag == "a"}
    assert links == names


def test_numbers_of_drawings_are_numbers_within_them(page: Reader) -> None:
    places = [found for tag, found in page.tags if tag in ("circle", "rect", "line")]
    assert len(places) > 60
    for found in places:
        for name in {"cx", "cy", "x", "y", "x1", "x2", "y1", "y2", "width"} & set(found):
            assert -1 <= float(found[name]) <= 330, found


def test_an_empty_store(tmp_path: Path) -> None:
    with Store.open(tmp_path / "records.sqlite") as store:
        text = report(store)
    Reader(text)
    assert "attngen tune SPEC.toml" in text


def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    from dataclasses import replace

    one = sweep()[0]
    rows = [
        replace(one, configuration=replace(one.configuration, plan={"block_m": n, "block_n": 1, "x": n}))
        for n in range(1, 141)
    ]
    with Store.open(tmp_path / "records.sqlite") as store:
        store.extend(rows)
        text = report(store)
    assert "40 slower ones are left out" in text
    assert "128 slower grids are left out" in text


def test_a_decision_whose_rows_are_gone(tmp_path: Path) -> None:
    with Store.open(tmp_path / "records.sqlite") as store:
        store.extend([row for row in sweep() if row.configuration.plan != decision().untuned])
        store.decide(decision())
        text = report(store)
    assert "no good time is here" in text
    assert SUBJECT.target in text
