import pytest

from ssat.errors import InputError, WorkspaceError
from ssat.scale.ladder import Ladder, Rung
from ssat.scale.settings import LADDER, ScaleSettings


def rung(clips: int, **changes) -> Rung:
    facts = {
        "clips": clips,
        "classes": clips,
        "finished_at": "2026-01-01T00:00:00+00:00",
        "embedder": f"training/{clips}/embedder.safetensors",
        "model_version": "1",
        "architecture": "resnet18",
        "overall": {"idf1": 0.5, "mota": 0.4, "idsw": 3, "fp": 1, "fn": 2},
        "protocol": "motchallenge",
        "minutes": {"train": 1.0},
        "stored_bytes": 1000 * clips,
        "frames_per_second": 100.0,
        "images": 100 * clips,
        "training_seconds": 60.0,
        "promoted": True,
        "verdict": "the first",
    }
    return Rung(**{**facts, **changes})


def test_a_climb_goes_rung_by_rung_to_the_top_and_is_remembered(workspace):
    ladder = Ladder.load(workspace)
    reached = []
    while (clips := ladder.next_clips(LADDER)) is not None:
        reached.append(clips)
        ladder = ladder.with_rung(workspace, rung(clips))
    assert tuple(reached) == LADDER
    assert Ladder.load(workspace) == ladder


def test_a_rung_that_tracks_worse_leaves_the_champion_and_the_climb_goes_on(workspace):
    ladder = Ladder().with_rung(workspace, rung(160)).with_rung(workspace, rung(800, promoted=False, verdict="worse"))
    assert ladder.champion.clips == 160
    assert ladder.last.clips == 800
    assert ladder.next_clips(LADDER) == 1600


def test_the_rest_of_a_list_is_a_rung_where_it_is_a_fifth_more():
    ladder = Ladder(rungs=(rung(100),))
    assert not ladder.worth(119)
    assert ladder.worth(120)
    assert Ladder().worth(2)
    assert not Ladder().worth(1)


def test_a_damaged_ladder_is_named_and_nothing_is_lost_by_removing_it(workspace):
    (workspace.root / "scale").mkdir()
    (workspace.root / "scale" / "ladder.json").write_text('{"rungs": [{"clips": 1}]}')
    with pytest.raises(WorkspaceError, match=r"ladder\.json.*remove it"):
        Ladder.load(workspace)


@pytest.mark.parametrize("ladder", [[], [1, 5], [8, 8], [16, 8]])
def test_a_ladder_that_does_not_ascend_is_refused(ladder):
    with pytest.raises(InputError, match="ascending"):
        ScaleSettings.build(None, {"ladder": ladder})
