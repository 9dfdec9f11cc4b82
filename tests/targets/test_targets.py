"""The target table: complete, findable by every name, and honest about devices it does not know."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest

from attngen.errors import RuntimeMissingError, TargetError
from attngen.targets import probe
from attngen.targets.load import find_target, load_architectures, load_sources, load_targets
from attngen.targets.target import Target

TARGETS = load_targets()
ARCHITECTURES = "sm_80 sm_86 sm_89 sm_90 sm_100 sm_103 sm_120 sm_121 gfx90a gfx942 gfx950 gfx1100".split()


def test_the_table_has_every_device_once() -> None:
    assert len(TARGETS) == 24
    assert len({target.name for target in TARGETS}) == 24
    assert all(target.aliases for target in TARGETS)


def test_no_alias_names_two_devices() -> None:
    owner: dict[str, str] = {}
    for target in TARGETS:
        for name in (target.name, *target.aliases):
            plain = "".join(char for char in name.lower() if char.isalnum())
            assert owner.setdefault(plain, target.name) == target.name, name


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_figures_are_consistent(target: Target) -> None:
    assert target.smem_per_block <= target.smem_per_sm
    assert target.regs_per_sm % (target.sub_partitions * target.warp_size) == 0
    assert target.max_threads_per_sm == target.max_warps_per_sm * target.warp_size
    assert set(target.sources) <= set(load_sources())
    assert {"num_sms", "peak", "dram_gbps", "l2_bytes", "mufu"} <= {key for key, _ in target.confidence}
    assert target.arch in load_architectures()
    hash(target)


@pytest.mark.parametrize(
    ("name", "tflops"),
    [("a100", 312), ("h100", 989), ("b200", 2250), ("4090", 165), ("mi300x", 1307), ("mi355x", 2500)],
)
def test_published_peaks_follow_from_the_row(name: str, tflops: float) -> None:
    target = find_target(name)
    peak = target.num_sms * target.mma_rate("bf16") * target.mma_clock_mhz / 1e6
    assert peak == pytest.approx(tflops, rel=0.02)


@pytest.mark.parametrize(
    "name", ["h100", "H100", "h-100", "H100-SXM5-80GB", "h100 sxm5 80gb", "sm_90", "SM90", "sm-90"]
)
def test_case_and_separators_do_not_matter(name: str) -> None:
    assert find_target(name).name == "H100-SXM5-80GB"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_architecture_names_its_common_device(arch: str) -> None:
    assert find_target(arch).arch == arch


def test_amd_devices_have_aliases() -> None:
    names = {find_target(name).name for name in ("mi250x", "mi300x", "mi325x", "mi350x", "mi355x", "7900xtx")}
    assert len(names) == 6


def test_descriptors_are_for_nvidia_from_sm_90_on() -> None:
    for target in TARGETS:
        number = int(target.arch[3:]) if target.vendor == "nvidia" else 0
        assert target.tensor_descriptors == (number >= 90), target.name


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    with pytest.raises(TargetError, match="did you mean `h100`") as caught:
        find_target("h1000")
    assert "mi300x" in str(caught.value)
    assert "gfx942" in str(caught.value)


@pytest.mark.parametrize(
    ("device", "arch", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "sm_90", "H100-SXM5-80GB"),
        ("NVIDIA H100 PCIe", "sm_90", "H100-PCIe-80GB"),
        ("NVIDIA H200 MIG 1g.18gb", "sm_90", "H200-SXM-141GB"),
        ("NVIDIA L40S", "sm_89", "L40S"),
        ("NVIDIA GeForce RTX 4090", "sm_89", "RTX 4090"),
        ("NVIDIA GeForce RTX 4070", "sm_89", "RTX 4090"),  # not in the table: by architecture
        ("AMD Instinct MI300X", "gfx942", "MI300X"),
        ("NVIDIA A10", "sm_86", "RTX 3090"),  # an A10 is no A10G
    ],
)
def test_a_device_is_matched_by_name_then_architecture(device: str, arch: str, expected: str) -> None:
    assert probe.match_device(device, arch).name == expected


def test_an_unknown_device_is_never_taken_for_another() -> None:
    with pytest.raises(TargetError, match="sm_130"):
        probe.match_device("NVIDIA Z900", "sm_130")


def test_probing_without_torch_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fake(name: str, *rest: object) -> object:
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(RuntimeMissingError, match="attngen\\[torch\\]"):
        probe.probe_target()


def test_the_table_loads_without_torch_or_triton() -> None:
    code = (
        "import sys, attngen.targets.probe, attngen.planner.choose; assert not {'torch', 'triton'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
