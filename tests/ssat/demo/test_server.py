import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ssat.demo.server import serve


def test_serves_the_folder_and_nothing_else(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a.mp4").write_bytes(b"clip")
    (tmp_path / "secret").write_text("no")
    with serve(clips) as address:
        assert address.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(f"{address}/a.mp4", timeout=5).read() == b"clip"
        for path in ("/", "/b.mp4", "/../secret", "/%2e%2e/secret"):
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(address + path, timeout=5)
            assert error.value.code == 404
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{address}/a.mp4", timeout=5)
