"""The report in a browser, where there is one: it is laid out, fits a phone, and asks for nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from attngen.records.store import Store
from attngen.report.page import report
from tests.report.kit import filled

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
MEASURE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(one => !one.closest(".wide")
    && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.tagName);
  const shown = selector => [...document.querySelectorAll(selector)]
    .filter(one => one.getBoundingClientRect().height > 0);
  document.title = JSON.stringify({
    wide, width: innerWidth, scroll: document.documentElement.scrollWidth,
    circles: shown("circle").length, cells: shown(".heat td").length, sections: shown("section").length,
    fetched: performance.getEntriesByType("resource").length,
    paper: getComputedStyle(document.body).backgroundColor,
  });
});
</script></body>"""


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if BROWSER is None:
        warnings.warn(f"NOT LOOKED AT: none of {', '.join(NAMES)} is on PATH; the report was only parsed", stacklevel=1)
        pytest.skip("no browser: apt-get install chromium-headless-shell")
    folder = tmp_path_factory.mktemp("browser")
    with Store.open(filled(folder / "records.sqlite"), readonly=True) as store:
        (folder / "report.html").write_text(report(store), encoding="utf-8")
    return folder / "report.html"


def browse(page: Path, *options: str) -> str:
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}",
    ]
    done = subprocess.run([*command, *options, page.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1200, True)])
def test_it_is_laid_out(html: Path, width: int, dark: bool) -> None:
    """The page itself runs no script: its policy is taken out of a copy that measures itself."""
    import json

    probe = html.with_name(f"probe{width}.html")
    text = re.sub(r"<meta http-equiv[^>]*>", "", html.read_text(encoding="utf-8"))
    probe.write_text(text.replace("</body>", MEASURE), encoding="utf-8")
    scheme = [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    dom = browse(probe, f"--window-size={width},900", *scheme, "--dump-dom")
    title = re.search(r"<title>(\{.*?\})</title>", dom)
    assert title is not None
    found = json.loads(title[1])
    assert found["wide"] == [], "only what scrolls by itself is wider than the screen"
    assert found["scroll"] <= found["width"]
    assert found["sections"] == 5
    assert found["circles"] > 60
    assert found["cells"] > 20
    assert found["fetched"] == 0
    assert (found["paper"] == "rgb(255, 255, 255)") is not dark


def test_a_picture_of_it_is_no_blank(html: Path) -> None:
    picture = html.with_name("report.png")
    browse(html, "--window-size=1000,1400", f"--screenshot={picture}")
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) > 50_000, "a blank page of this size packs to a tenth of it"
