"""Datasets by their conventions, the PK sampler, and the paper's transforms."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reid.data.datasets import LabelledImage, ReIDDataset, load_dataset
from reid.data.sampler import pk_batches, rank_batches
from reid.data.transforms import Augmentation, augmented, normalised, read_resized, resized

PLAIN = Augmentation(flip_probability=0, padding_px=0, erase_probability=0)


@pytest.fixture(scope="module")
def fixtures(reference: Path) -> Path:
    return reference / "transreid_fixtures"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def laid_out(fixtures: Path, root: Path) -> dict[str, Any]:
    """The fixture's file names as empty files, its lists and labels as files."""
    data: dict[str, Any] = json.loads((fixtures / "dataset_parse.json").read_text())
    for folder, splits in data["files"].items():
        for split, names in splits.items():
            if folder == "MSMT17_lists":
                list_path = root / "MSMT17" / f"list_{split}.txt"
                list_path.parent.mkdir(exist_ok=True)
                list_path.write_text("\n".join(names) + "\n")
            else:
                for name in names:
                    touch(root / folder / split / name)
    labels = [f"./{name} 1 2 {view}" for name, view in data["veri_view_labels"].items()]
    (root / "VeRi" / "keypoint_train.txt").write_text("\n".join(labels[:4]))
    (root / "VeRi" / "keypoint_test.txt").write_text("\n".join(labels[4:]))
    return data


def as_rows(images: tuple[LabelledImage, ...], root: Path) -> list[list[Any]]:
    return sorted([str(i.path.relative_to(root)), i.identity, i.camera, i.view] for i in images)


@pytest.mark.parametrize("kind", ["market1501", "dukemtmc", "occ_duke", "msmt17", "veri"])
def test_datasets_are_parsed_as_the_reference_parses_them(fixtures: Path, tmp_path: Path, kind: Any) -> None:
    parsed = laid_out(fixtures, tmp_path)["parsed"][kind]
    dataset = load_dataset(kind, tmp_path)
    assert as_rows(dataset.query, tmp_path) == sorted(parsed["query"])
    assert as_rows(dataset.gallery, tmp_path) == sorted(parsed["gallery"])
    ours, theirs = as_rows(dataset.train, tmp_path), sorted(parsed["train"])
    assert [[path, *rest] for path, _, *rest in ours] == [[path, *rest] for path, _, *rest in theirs]
    # The labels may be numbered in another order, one to one.
    pairs = {(mine[1], reference[1]) for mine, reference in zip(ours, theirs, strict=True)}
    assert len(pairs) == len({mine for mine, _ in pairs}) == len({other for _, other in pairs})
    assert sorted({row[1] for row in ours}) == list(range(dataset.num_identities))
    assert dataset.num_identities == parsed["num_train_pids"]
    assert len(dataset.cameras) == parsed["num_train_cams"]
    assert len(dataset.views) == parsed["num_train_views"]


def test_vehicle_id_draws_one_gallery_image_per_identity(tmp_path: Path) -> None:
    root = tmp_path / "VehicleID_V1.0"
    lists = root / "train_test_split"
    lists.mkdir(parents=True)
    (lists / "train_list.txt").write_text("0000001 7\n0000002 7\n0000003 9\n")
    (lists / "test_list_800.txt").write_text("".join(f"{i:07d} {i % 3}\n" for i in range(10, 22)))
    dataset = load_dataset("vehicleid", tmp_path, seed=3)
    assert [image.identity for image in dataset.train] == [0, 0, 1]
    assert dataset.train[0].path == root / "image" / "0000001.jpg"
    assert sorted(image.identity for image in dataset.gallery) == [0, 1, 2]
    assert {image.camera for image in dataset.gallery} == {1}
    assert {image.camera for image in (*dataset.query, *dataset.train)} == {0}
    assert len(dataset.query) == 9
    assert not {i.path for i in dataset.query} & {i.path for i in dataset.gallery}
    assert load_dataset("vehicleid", tmp_path, seed=3) == dataset
    assert load_dataset("vehicleid", tmp_path, seed=4).gallery != dataset.gallery


def test_views_of_the_synthetic_site_come_from_the_names(tmp_path: Path) -> None:
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / split / "0003_c2_v5_000017.jpg")
        touch(tmp_path / split / "0003_c12_v0_000018.jpg")
    images = load_dataset("synthetic", tmp_path).query
    assert sorted((image.identity, image.camera, image.view) for image in images) == [(3, 1, 5), (3, 11, 0)]


@pytest.mark.parametrize(
    ("name", "message"),
    [("dog.jpg", "dog.jpg: expected a name"), ("-1_c1s1_000401_03.jpg", "holds no images")],
)
def test_a_wrong_folder_is_named(tmp_path: Path, name: str, message: str) -> None:
    for split in ("bounding_box_train", "query", "bounding_box_test"):
        touch(tmp_path / split / name)
    with pytest.raises(ValueError, match=message):
        load_dataset("market1501", tmp_path)
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        load_dataset("market1501", tmp_path / "nowhere")


def sampler_cases(fixtures: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((fixtures / "pk_sampler.json").read_text())
    return cases


def test_sampler_has_the_references_properties(fixtures: Path) -> None:
    for case in sampler_cases(fixtures):
        pids, size, images = case["pids"], case["batch_size"], case["num_instances"]
        count = Counter(pids)
        lengths = set()
        for epoch in range(60):
            batches = pk_batches(pids, size // images, images, seed=1, epoch=epoch)
            lengths.add(size * len(batches))
            for batch in batches:
                groups = [batch[i : i + images] for i in range(0, size, images)]
                assert all(len({pids[index] for index in group}) == 1 for group in groups)
                assert len({pids[group[0]] for group in groups}) == size // images
            uses = Counter(index for batch in batches for index in batch)
            assert all(n == 1 for index, n in uses.items() if count[pids[index]] >= images)
        # Sixty epochs see every length the reference saw in thirty, and nothing longer than its promise.
        assert set(case["observed_lens_30_epochs"]) <= lengths
        assert max(lengths) <= case["reported_len"]


def test_an_epoch_depends_on_seed_and_number_only() -> None:
    pids = [i // 5 for i in range(60)]
    first = pk_batches(pids, 3, 4, seed=1, epoch=2)
    assert pk_batches(pids, 3, 4, seed=1, epoch=2) == first
    assert pk_batches(pids, 3, 4, seed=1, epoch=3) != first
    assert pk_batches(pids, 3, 4, seed=2, epoch=2) != first


def test_ranks_share_the_batches_without_overlap() -> None:
    batches = [[i] for i in range(11)]
    shares = [rank_batches(batches, rank, 3) for rank in range(3)]
    assert [len(share) for share in shares] == [3, 3, 3]
    assert [shares[turn % 3][turn // 3] for turn in range(9)] == batches[:9]


def test_too_few_identities_are_refused() -> None:
    with pytest.raises(ValueError, match="batches of 4 identities"):
        pk_batches([0, 0, 1, 1], 4, 2, seed=0, epoch=1)


def test_resizing_and_normalising_are_the_references(fixtures: Path) -> None:
    arrays = np.load(fixtures / "transforms.npz")
    for case in json.loads((fixtures / "transforms.json").read_text()):
        index, size = case["index"], tuple(case["dst_hw"])
        source = Image.fromarray(arrays[f"rgb_{index}"])
        np.testing.assert_array_equal(resized(source, size, "bicubic"), arrays[f"train_resized_{index}"])
        test = resized(source, size, "bilinear")
        np.testing.assert_array_equal(test, arrays[f"test_resized_{index}"])
        batch = normalised(torch.from_numpy(test[None].copy()), (0.5,) * 3, (0.5,) * 3).numpy()
        assert batch.mean() == pytest.approx(case["normalised_mean"], abs=1e-6)
        assert np.abs(batch).sum(dtype=np.float64) == pytest.approx(case["normalised_abs_sum"], rel=1e-6)


def random_crops(count: int, height: int = 40, width: int = 24) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(1, 256, (count, height, width, 3), np.uint8)


def test_flip_pad_and_crop_move_the_crop_and_fill_with_black() -> None:
    crops = random_crops(200)
    config = Augmentation(
        flip_probability=0.5, padding_px=10, erase_probability=0, mean=(0, 0, 0), std=(1, 1, 1)
    )
    batch = np.rint(
        augmented(crops, config, np.random.default_rng(1)).permute(0, 2, 3, 1).numpy() * 255
    ).astype(int)
    shifts, flips = set(), 0
    for crop, moved in zip(crops, batch, strict=True):
        down, right, flipped = found_move(crop, moved)
        shifts.add((down, right))
        flips += flipped
    assert 70 <= flips <= 130
    assert {down for down, _ in shifts} == {right for _, right in shifts} == set(range(-10, 11))


def found_move(crop: Any, moved: Any) -> tuple[int, int, bool]:
    """By brute force: pad by 10 and find the window that was cut out."""
    for flipped in (False, True):
        padded = np.pad(crop[:, ::-1] if flipped else crop, ((10, 10), (10, 10), (0, 0)))
        for top in range(21):
            for left in range(21):
                if np.array_equal(padded[top : top + moved.shape[0], left : left + moved.shape[1]], moved):
                    return 10 - top, 10 - left, flipped
    raise AssertionError("not a flipped, padded and cropped copy")


def test_erasing_fills_one_box_of_the_asked_size_with_noise() -> None:
    crops = np.zeros((400, 64, 32, 3), np.uint8)
    config = Augmentation(flip_probability=0, padding_px=0, erase_probability=0.5)
    changed = augmented(crops, config, np.random.default_rng(2)).numpy() != -1.0
    erased = [mask.any(axis=0) for mask in changed if mask.any()]
    assert 160 <= len(erased) <= 240
    for mask in erased:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert 0.015 <= mask.mean() <= 0.36
        assert 0.25 <= len(rows) / len(columns) <= 3.9
    values = augmented(crops, config, np.random.default_rng(2)).numpy()
    noise = values[values != -1.0]
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02


def test_without_augmentation_only_the_normalisation_is_left() -> None:
    crops = random_crops(3)
    np.testing.assert_allclose(
        augmented(crops, PLAIN, np.random.default_rng(0)).numpy(),
        crops.transpose(0, 3, 1, 2) / 127.5 - 1,
        atol=1e-6,
    )


def test_an_image_that_pillow_wants_a_package_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:  # as ultralytics' own Image.open does
        raise ModuleNotFoundError("No module named 'pi_heif'")

    monkeypatch.setattr(Image, "open", lacking)
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        read_resized(tmp_path / "broken.jpg", (8, 4), "bilinear")


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a jpeg")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        read_resized(broken, (8, 4), "bilinear")
    cut = tmp_path / "cut.jpg"
    Image.fromarray(random_crops(1)[0]).save(cut)
    cut.write_bytes(cut.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"cut\.jpg"):
        read_resized(cut, (8, 4), "bilinear")


def test_splits_count_cameras_and_views_of_training_only() -> None:
    train = tuple(
        LabelledImage(Path("a"), i, camera, view) for i, (camera, view) in enumerate([(0, 2), (3, 2)])
    )
    dataset = ReIDDataset(train, (LabelledImage(Path("q"), 0, 9, 9),), ())
    assert dataset.cameras == (0, 3) and dataset.views == (2,)
