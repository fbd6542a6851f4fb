import pytest

from ssat.errors import InputError
from ssat.plan import measure as measuring
from ssat.plan.figures import DEFAULTS


def test_this_machine_is_measured_and_the_figures_are_kept(workspace, monkeypatch):
    monkeypatch.setattr(measuring, "MIN_SECONDS", 0.05)
    figures = measuring.measure(workspace)
    assert set(figures) <= set(DEFAULTS)
    assert {"decode_rate", "encode_rate", "frame_bytes", "loader_rate", "embed_rate", "trim_seconds"} <= set(figures)
    assert all(figure.value > 0 and figure.kind == "measured" for figure in figures.values())
    assert "rendered" in figures["clip_bytes"].source
    loaded = measuring.load_figures(workspace)
    assert {name: loaded[name] for name in figures} == figures
    assert loaded["available_share"] == DEFAULTS["available_share"]


def test_a_damaged_measurement_is_named(workspace):
    path = measuring.measured_file(workspace)
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(InputError, match="setting `measure`"):
        measuring.load_figures(workspace)
