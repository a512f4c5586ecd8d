"""Embeddings go when they are told to, or when their time is over: from the store, from files, from a run that goes on."""

from __future__ import annotations

import base64
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.commands.forget import forget
from pipeline.config_loader import parse_config
from pipeline.errors import ConfigError
from pipeline.export.header import CameraInfo, RunHeader
from pipeline.export.writer import RunWriter
from pipeline.linking import OnlineLinker
from pipeline.packets import Watermark
from pipeline.retention import Sweeper, erase_identity, expire
from pipeline.stages.embedding_files import EmbeddingWriter, StoredCrop, read_embeddings
from pipeline.stored_run import read_stored_run
from tracking.association import AssociationConfig
from tracking.identity_store import IdentityStore
from tracking.online import OnlineAssociator
from tracking.sketch import sketch_of
from tracking.splits import Splitter
from tracking.types import Tracklet, TrackletKey, Trajectory

NOW = time.time()


def vector(number: int) -> np.ndarray:
    one = np.random.default_rng(number).normal(size=64).astype(np.float32)
    return one / np.linalg.norm(one)


def tracklet(camera: str, local_id: int, look: int, start_s: float = NOW) -> Tracklet:
    frames = np.arange(5)
    return Tracklet(
        key=TrackletKey(camera, local_id),
        class_id=0,
        frame_index=frames,
        timestamp_s=start_s + frames / 10,
        xyxy=np.tile([10.0, 20, 40, 100], (5, 1)),
        confidence=np.full(5, 0.9),
        interpolated=np.zeros(5, bool),
        ground_xy=None,
        embeddings=np.tile(vector(look), (4, 1)),
        embedding_quality=np.full(4, 0.9),
        embedding_timestamp_s=start_s + np.arange(4) / 10,
        as_of_s=start_s + 1,
        is_final=True,
    )


class Site:
    """A run in progress: two people in two cameras, state, saved embeddings, lines."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.state = folder, folder / "out", folder / "ids.sqlite"
        self.store = IdentityStore(self.state)
        associator = OnlineAssociator(AssociationConfig(), identities=self.store)
        self.linker = OnlineLinker(associator, ["a", "b"], self.store)
        self.writer = RunWriter(
            self.out, RunHeader(("person",), tuple(CameraInfo(c, "rtsp://x", 0, 0, None) for c in "ab"))
        )
        self.saved = {
            c: EmbeddingWriter(self.out / f"embeddings/abc/{c}.jsonl", {"camera": c, "model": "m", "dim": 64})
            for c in "ab"
        }
        for camera, look, start_s in (
            ("a", 1, NOW),
            ("a", 2, NOW + 1),
            ("b", 1, NOW + 20),
            ("b", 2, NOW + 21),
        ):
            self.take(tracklet(camera, look, look, start_s), look)

    def take(self, one: Tracklet, look: int) -> None:
        self.writer.tracklet(one)
        self.linker.take(one)
        for time_s in one.embedding_timestamp_s:
            crop = StoredCrop(np.array([1, 2, 3, 4], np.float32), 0.9, vector(look))
            self.saved[one.key.camera_id].write(
                int(10 * time_s) % 1000, one.key.local_id, float(time_s), crop
            )

    def advance(self, time_s: float) -> list[Any]:
        told = [event for camera in "ab" for event in self.linker.advance(Watermark(camera, time_s))]
        for event in told:
            self.writer.event(event)
        return told

    def config(self, **changes: Any) -> Path:
        plain = {
            "cameras": [{"id": c, "source": f"rtsp://x/{c}"} for c in "ab"],
            "detector": {"weights": "w.pt"},
            "association": {"mode": "online", "state": str(self.state)},
            "output": {"folder": str(self.out)},
            **changes,
        }
        path = self.folder / "live.yaml"
        path.write_text(yaml.safe_dump(plain))
        return path

    def crops(self, camera: str) -> int:
        return sum(map(len, read_embeddings(self.out / f"embeddings/abc/{camera}.jsonl").values()))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    one = Site(tmp_path)
    events = one.advance(NOW + 60)
    assert [event.kind for event in events].count("new") == 2
    return one


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def audit(site: Site) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (site.out / "audit.jsonl").read_text().splitlines()]


def test_an_identity_is_forgotten_in_the_store_in_files_and_in_the_run_that_goes_on(site: Site):
    needle_file = base64.b64encode(vector(1).astype("<f4").tobytes())[:80]
    needle_store = vector(1).astype("<f4").tobytes()[:64]
    before = bytes_of(site.folder)
    assert needle_file in before
    assert site.crops("a") == site.crops("b") == 8
    told = list(forget(1, site.config(), None))
    assert told[0] == "identity 1: 2 stored members, 8 saved embeddings deleted"
    assert site.crops("a") == site.crops("b") == 4
    assert {gid for gid, _ in site.store.recall()} == {2}
    time.sleep(1.05)  # the run asks once a second
    (event,) = site.advance(NOW + 61)
    assert (event.kind, event.global_id) == ("end", 1)
    assert site.linker.identities == 1
    site.store.close()
    after = bytes_of(site.folder)
    assert needle_file not in after
    assert needle_store not in after, "overwritten on disk, not only unlinked"
    (line,) = audit(site)
    assert (line["action"], line["global_id"], line["store_members"], line["saved_crops"]) == (
        "forget",
        1,
        2,
        8,
    )
    assert "@" in line["by"]


def test_who_comes_back_after_being_forgotten_is_somebody_new(site: Site):
    list(forget(1, site.config(), None))
    time.sleep(1.05)
    site.advance(NOW + 61)
    site.take(tracklet("a", 9, 1, NOW + 62), 1)
    kinds = [(event.kind, event.global_id) for event in site.advance(NOW + 100)]
    assert ("new", 3) in kinds, "a number is never used twice"
    assert site.store.allocate() == 4


def test_a_run_that_still_writes_to_the_file_is_not_disturbed(site: Site):
    list(forget(1, site.config(), None))
    crop = StoredCrop(np.array([1, 2, 3, 4], np.float32), 0.9, vector(5))
    site.saved["a"].write(999, 7, NOW + 70, crop)
    assert site.crops("a") == 5
    found = read_embeddings(site.out / "embeddings/abc/a.jsonl")[999][0]
    assert np.array_equal(found.embedding, vector(5))


def test_a_superseded_identity_is_forgotten_under_the_name_it_has_now(site: Site):
    site.store.supersede(2, by=1)
    told = list(forget(2, site.config(), None))
    assert told[0].startswith("identity 2, which is 1 now: 4 stored members")
    assert list(site.store.recall()) == []


def test_an_unknown_identity_is_said_to_be_so(site: Site):
    with pytest.raises(ConfigError, match="identity 77 is neither in the identity store nor in the results"):
        list(forget(77, site.config(), None))
    assert not (site.out / "audit.jsonl").exists()


def test_without_a_configuration_the_folder_alone_is_cleaned_and_that_is_said(site: Site):
    told = list(forget(1, None, site.out))
    assert "8 saved embeddings deleted" in told[0]
    assert "was not touched" in told[1]
    assert len(list(site.store.recall())) == 4


def swept(config: Path) -> str:
    told, _ = forget(None, config, None, expired=True)
    return told


def test_what_has_outlived_its_time_goes(site: Site):
    config = site.config(privacy={"embeddings_max_age_s": 3600})
    assert swept(config).endswith("0 stored members, 0 saved embeddings deleted")
    assert not (site.out / "audit.jsonl").exists(), "nothing went, nothing to tell"
    old = IdentityStore(site.state)
    old._connection.execute("UPDATE member SET stored_s = stored_s - 7200 WHERE global_id = 1")
    old._connection.commit()
    old.close()
    crop = StoredCrop(np.array([1, 2, 3, 4], np.float32), 0.9, vector(5))
    site.saved["a"].write(1, 50, NOW - 7200, crop)
    assert swept(config).endswith("2 stored members, 1 saved embeddings deleted")
    assert audit(site)[0]["action"] == "expire"


def test_of_a_recording_only_the_files_own_age_counts(site: Site):
    crop = StoredCrop(np.array([1, 2, 3, 4], np.float32), 0.9, vector(5))
    site.saved["a"].write(1, 50, 0.0, crop)
    assert expire(site.out, None, 3600, is_live=False) == (0, 0)
    path = site.out / "embeddings/abc/a.jsonl"
    os.utime(path, (NOW - 7200, NOW - 7200))
    assert expire(site.out, None, 3600, is_live=False) == (0, 9)


def test_a_run_sweeps_by_itself(site: Site):
    old = IdentityStore(site.state)
    old._connection.execute("UPDATE member SET stored_s = 1")
    old._connection.commit()
    old.close()
    with Sweeper(site.out, site.state, 3600, is_live=True):
        end = time.monotonic() + 10
        while not (site.out / "audit.jsonl").exists():
            assert time.monotonic() < end
            time.sleep(0.02)
    assert list(site.store.recall()) == []


def test_a_lifetime_below_the_associations_memory_is_refused():
    text = (
        "cameras: [{id: a, source: a.mp4}]\ndetector: {weights: w.pt}\nprivacy: {embeddings_max_age_s: 5}\n"
    )
    with pytest.raises(ConfigError, match=r"must not be below association\.rules\.max_gap_s"):
        parse_config(text, Path("x.yaml"))


def test_a_store_of_the_first_version_is_taken_over(tmp_path: Path):
    store = IdentityStore(tmp_path / "ids.sqlite")
    gid = store.allocate()
    store.remember(gid, sketch_of(tracklet("a", 1, 1), 4))
    store._connection.executescript(
        "DROP TABLE erasure; ALTER TABLE member DROP COLUMN stored_s; PRAGMA user_version = 1;"
    )
    store.close()
    again = IdentityStore(tmp_path / "ids.sqlite")
    assert [found for found, _ in again.recall()] == [gid]
    assert again.expire(NOW - 100) == 0, "what was there counts from today"
    assert again.erase(gid) == 1
    again.close()


def test_the_crops_of_a_tracklet_that_was_split_go_to_its_pieces_and_are_forgotten_with_either(
    tmp_path: Path,
):
    whole = tracklet("a", 1, 1)
    whole = replace(whole, embeddings=np.stack([vector(1)] * 2 + [vector(2)] * 2))
    splitter = Splitter()
    known = replace(whole, embeddings=np.stack([vector(3)] * 4))
    for _ in range(20):
        splitter.split(known, np.zeros(len(whole.frame_index)))
    pieces = splitter.split(whole, np.ones(len(whole.frame_index)))
    with RunWriter(tmp_path, RunHeader(("person",), (CameraInfo("a", "a.mp4", 9, 9, None),))) as writer:
        for piece in pieces:
            writer.tracklet(piece)
        writer.finish([Trajectory(k, 0, (piece.key,)) for k, piece in enumerate(pieces, 1)])
    header = {"camera": "a", "model": "m", "dim": 64}
    saved = EmbeddingWriter(tmp_path / "embeddings/abc/a.jsonl", header)
    for step, look in enumerate((1, 1, 2, 2)):
        stored = StoredCrop(np.zeros(4, np.float32), 0.9, vector(look))
        saved.write(step, 1, float(whole.timestamp_s[step]), stored)
    saved.close()
    of_pieces = [one.embeddings for one in read_stored_run(tmp_path).tracklets]
    for its, look in zip(of_pieces, (1, 2), strict=True):
        np.testing.assert_array_equal(its, [vector(look)] * 2)
    assert erase_identity(2, tmp_path, None).crops == 4
