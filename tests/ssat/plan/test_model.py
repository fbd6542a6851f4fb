import pytest

from ssat.plan.figures import DEFAULTS, PlanFigure
from ssat.plan.model import GIB, make_plan
from ssat.plan.settings import PlanSettings


def plan(**given):
    own = {name: PlanFigure(value, "", "measured", "") for name, value in given.pop("figures", {}).items()}
    made = make_plan(PlanSettings.build(None, given), {**DEFAULTS, **own})
    return {stage.name: stage for stage in made.stages}, made


def test_half_a_million_clips_from_a_source_that_counts_take_months():
    stages, made = plan(figures={"available_share": 1.0})
    assert stages["collect"].hours == pytest.approx(500_000 / 300)
    assert stages["collect"].bound_by == "the source's rate"
    assert made.bottleneck.name == "collect"
    assert any("mirror" in warning for warning in made.warnings)


def test_a_mirror_leaves_the_download_rate_as_the_limit():
    stages, _ = plan(per_hour=10**9)
    assert stages["collect"].bound_by == "the download rate"
    assert stages["collect"].hours == pytest.approx(500_000 * 10e6 * 8 / 1e9 / 3600)


def test_training_takes_images_over_rate_and_gpu_hours_are_all_gpus():
    stages, _ = plan(clips=1_600, gpus=8, cores=1000, read_gib_per_second=100, figures={"gpu_rate": 1000})
    images = 16 * 1_600 * 300
    assert stages["train"].hours == pytest.approx(images / 8_000 / 3600, rel=0.001)
    assert stages["train"].gpu_hours == pytest.approx(8 * stages["train"].hours)


def test_few_cores_starve_the_gpus():
    stages, _ = plan(clips=1_600, cores=2)
    assert stages["train"].bound_by == "cores (JPEG decoding)"
    assert stages["train"].hours == pytest.approx(16 * 1_600 * 300 / 1_371 / 2 / 3600)


def test_the_head_of_half_a_million_classes_is_the_table_of_the_docs():
    few, _ = plan(clips=1_600)
    many, _ = plan(clips=500_000)
    # docs/scaling.md: 1.7 GB a GPU sharded over 8 with 128 images each, against 0.005.
    assert (many["train"].gpu_gib - few["train"].gpu_gib) * GIB / 1e9 == pytest.approx(1.7, abs=0.1)


def test_two_machines_halve_the_time_and_talk_to_each_other():
    one, _ = plan(clips=8_000)
    two, _ = plan(clips=8_000, nodes=2)
    assert two["decode"].hours == pytest.approx(one["decode"].hours / 2)
    assert one["train"].network_bytes == 0 < two["train"].network_bytes
    slow, _ = plan(clips=8_000, nodes=2, network_gbit=0.1)
    assert slow["train"].bound_by == "the network between machines"


def test_smaller_early_crops_shorten_a_training_by_their_pixels():
    whole, _ = plan(gpus=0, clips=160, epochs=16, crop=112)
    early, _ = plan(gpus=0, clips=160, epochs=16, crop=112, early_crop=56, early_epochs=8)
    assert early["train"].hours / whole["train"].hours == pytest.approx(0.5 + 0.5 / 4, rel=0.01)


def test_cost_is_stated_only_for_what_has_a_price():
    assert plan()[1].cost is None
    stages, made = plan(price_gpu_hour=2.0)
    assert made.cost == {"GPUs": 2 * stages["train"].gpu_hours, "together": 2 * stages["train"].gpu_hours}


def test_memory_that_does_not_fit_is_said():
    _, made = plan(gpus=1, gpu_memory_gib=8.0)
    assert any("GPU's memory" in warning for warning in made.warnings)
