"""Settings of the collect stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from ssat.setting_marks import LocalPath
from ssat.settings import StageSettings

YOUTUBE_WATCH_URL = "https://www.youtube.com/watch?v={clip_id}"


class CollectSettings(StageSettings):
    """Which clips are wanted, where they come from, how they are cut, and how patient the collector is."""

    section: ClassVar[str] = "collect"
    # The paper's largest experiment has 1,600 clips, its smallest 160.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"clips": 1600}, "quick": {"clips": 160}}

    source: Annotated[str | None, LocalPath()] = Field(
        None,
        description="Where the clips come from: a Kinetics CSV, a text file with a URL a line, or a folder of videos",
    )
    url_template: str = Field(
        YOUTUBE_WATCH_URL, description="Address of a CSV row's video; {clip_id} stands for its youtube_id"
    )
    mirrors: Annotated[tuple[str, ...], LocalPath()] = Field(
        (),
        description="Where the videos of a CSV are looked for before url_template, in this order: a tar archive, a "
        "text file that names tar archives, a folder of either, or an address with {clip_id} in it",
    )
    mirrors_only: bool = Field(False, description="Ask the mirrors alone, never url_template")
    clips: int = Field(160, ge=1, description="Number of ranks wanted; more may be collected later")
    seed: int = Field(0, description="Seed of the candidate order: candidates are sorted by sha256(seed | clip id)")

    clip_seconds: float = Field(10.0, gt=0, le=100, description="Length of a clip, in seconds")
    min_seconds: float = Field(3.0, gt=0, description="Shortest video that is taken, in seconds")
    short_side: int = Field(256, ge=32, description="Largest short side of a stored clip, in pixels")
    crf: int = Field(19, ge=0, le=51, description="x264 constant rate factor; lower is better and larger")
    encoder_preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "veryfast", description="x264 preset"
    )

    shard_size: int = Field(200, ge=1, description="Candidates handled by one piece of work")
    downloads: int = Field(4, ge=1, le=64, description="Downloads at the same time")
    workers: int = Field(0, ge=0, description="Processes that trim; 0: one for each core")

    retry_dead: bool = Field(False, description="Try clips again that earlier runs gave up, also region-blocked ones")
    net_attempts: int = Field(3, ge=1, description="Attempts at a clip that fails for reasons of the network")
    backoff_seconds: float = Field(2.0, ge=0, description="Mean pause before the second attempt; doubles with each")
    rate_pause_seconds: float = Field(
        3600.0, ge=1, description="How long nothing is downloaded after the source said: too many requests"
    )
    wait_out_pauses: bool = Field(
        False, description="Wait until such a pause is over and go on, instead of ending the run"
    )
    per_hour: int = Field(300, ge=1, description="Most videos asked of YouTube in an hour (what a guest is allowed)")
    jitter_seconds: float = Field(2.0, ge=0, description="Mean of a random pause before each video asked of YouTube")
    egress: str = Field(
        "default",
        pattern=r"^[a-z0-9-]{1,40}$",
        description="Name of this machine's way out to the network: collectors with the same one and the same "
        "server share per_hour and the pauses",
    )
    stop_after: int = Field(
        5, ge=1, description="Clips of one server that fail alike, none succeeding, before the collector stops"
    )
    max_mib: int = Field(512, ge=1, description="Largest download, in MiB")
    disk_gib: float | None = Field(None, gt=0, description="Most that collected clips may take on the disk, in GiB")
    free_gib: float = Field(0.5, ge=0, description="Least free space that collecting leaves on the disk, in GiB")
    socket_timeout: float = Field(30.0, gt=0, description="Seconds that a server may stay silent")

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
