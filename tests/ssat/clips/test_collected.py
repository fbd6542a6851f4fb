from ssat.clips.collected import CollectResult
from ssat.json_values import json_values


def test_json_keeps_the_key_that_earlier_versions_wrote() -> None:
    result = CollectResult("videos", 7, 8, 9, 7, 10, 1, {"ok": 7}, 0, (), 0, (), (), "", 1.0, "r", "roster.parquet", 0)
    values = json_values(result)
    assert (result.clips, values["ranks"], values["wanted"]) == (7, 7, 8)
    assert "clips" not in values
