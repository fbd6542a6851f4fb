"""Settings of the collect stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from ssat.setting_marks import LocalPath
from ssat.settings import FormerName, StageSettings

YOUTUBE_WATCH_URL = "https://www.youtube.com/watch?v={clip_id}"


class CollectSettings(StageSettings):
    """Number, source and format of the clips, and patience of the collector."""

    section: ClassVar[str] = "collect"
    # The paper's largest experiment has 1,600 clips, its smallest 160.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"clips": 1600}, "quick": {"clips": 160}}

    source: Annotated[str | None, LocalPath()] = Field(
        None,
        description="Source of the clips: a Kinetics CSV, a text file with a URL per line, or a folder of videos",
    )
    url_template: str = Field(
        YOUTUBE_WATCH_URL, description="Address of a CSV row's video; {clip_id} stands for its youtube_id"
    )
    mirrors: Annotated[tuple[str, ...], LocalPath()] = Field(
        (),
        description="Sources of a CSV's videos that are tried before url_template, in this order: a tar archive, a "
        "text file that names tar archives, a folder of either, or an address with {clip_id} in it",
    )
    mirrors_only: bool = Field(False, description="Use the mirrors alone, never url_template")
    clips: int = Field(160, ge=1, description="Number of clips in the roster; more may be collected later")
    seed: int = Field(0, description="Seed of the candidate order: candidates are sorted by sha256(seed | clip id)")

    clip_seconds: float = Field(10.0, gt=0, le=100, description="Length of a clip, in seconds")
    min_seconds: float = Field(3.0, gt=0, description="Minimum length of a video, in seconds")
    short_side: int = Field(256, ge=32, description="Maximum short side of a stored clip, in pixels")
    crf: int = Field(19, ge=0, le=51, description="x264 constant rate factor; lower is better and larger")
    encoder_preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "veryfast", description="x264 preset"
    )

    candidates_per_shard: Annotated[int, FormerName("shard_size")] = Field(
        200, ge=1, description="Candidates of a shard, which is collected as one task"
    )
    concurrent_downloads: Annotated[int, FormerName("downloads")] = Field(
        4, ge=1, le=64, description="Concurrent downloads"
    )
    workers: int = Field(0, ge=0, description="Trimming processes; 0: one per CPU core")

    retry_dead: bool = Field(
        False, description="Retry clips that earlier runs gave up (dead letters), also region-blocked ones"
    )
    network_attempts: Annotated[int, FormerName("net_attempts")] = Field(
        3, ge=1, description="Attempts at a clip whose download fails by a network error"
    )
    backoff_seconds: float = Field(
        2.0,
        ge=0,
        description="Mean delay before the second attempt, in seconds; doubles with each (exponential backoff)",
    )
    rate_limit_pause_seconds: Annotated[float, FormerName("rate_pause_seconds")] = Field(
        3600.0, ge=1, description="Pause of all downloads after HTTP 429 (too many requests), in seconds"
    )
    wait_out_pauses: bool = Field(
        False, description="Wait for the end of such a pause and continue, instead of ending the run"
    )
    requests_per_hour: Annotated[int, FormerName("per_hour")] = Field(
        300, ge=1, description="Rate limit: largest number of videos requested from YouTube in an hour"
    )
    jitter_seconds: float = Field(
        2.0, ge=0, description="Mean of the random delay before each request to YouTube, in seconds"
    )
    egress: str = Field(
        "default",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Name of this machine's network egress: collectors with the same egress and the same "
        "server share requests_per_hour and the pauses",
    )
    max_similar_failures: Annotated[int, FormerName("stop_after")] = Field(
        5,
        ge=1,
        description="Clips of one server that fail with the same error class, none succeeding, before the collector "
        "stops",
    )
    max_download_mib: Annotated[int, FormerName("max_mib")] = Field(512, ge=1, description="Largest download, in MiB")
    max_disk_gib: Annotated[float | None, FormerName("disk_gib")] = Field(
        None, gt=0, description="Disk quota of the collected clips, in GiB"
    )
    min_free_gib: Annotated[float, FormerName("free_gib")] = Field(
        0.5, ge=0, description="Free disk space that collecting leaves, in GiB"
    )
    socket_timeout_seconds: Annotated[float, FormerName("socket_timeout")] = Field(
        30.0, gt=0, description="Socket timeout of a download, in seconds"
    )

    # Secret values: shown as stars wherever settings are printed, stored or recorded.
    proxy: SecretStr | None = Field(None, description="Proxy URL for downloads; better given as SSAT_PROXY")
    cookies: SecretStr | None = Field(None, description="Netscape cookie file; better given as SSAT_COOKIES")
    user_agent: SecretStr | None = Field(None, description="User agent of downloads; better given as SSAT_USER_AGENT")

    @field_validator("url_template")
    @classmethod
    def _has_a_place_for_the_clip(cls, value: str) -> str:
        if "{clip_id}" not in value or not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https:// and contain {clip_id}")
        return value
