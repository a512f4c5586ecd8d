"""Training on a part of the patches: how many, which, and that the network sees those alone."""

from __future__ import annotations

import pytest
import torch

from reid.patch_dropout import dropout_rate, kept_tokens, take
from reid.training_config import ScheduleConfig
from reid.transreid import TransReID, TransReIDConfig


def test_the_rate_falls_linearly_from_the_first_epoch_to_none_in_the_last() -> None:
    rates = [dropout_rate(0.5, epoch, 6) for epoch in range(1, 7)]
    assert rates == pytest.approx([0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
    assert dropout_rate(0.5, 1, 1) == 0.0


@pytest.mark.parametrize(("rate", "size"), [(0.0, 8), (0.5, 4), (0.3, 6), (0.99, 1)])
def test_every_image_keeps_its_own_patches_and_the_cls_token(rate: float, size: int) -> None:
    torch.manual_seed(0)
    kept = kept_tokens(50, 8, rate)
    assert kept.shape == (50, 1 + size)
    assert (kept[:, 0] == 0).all()
    patches = kept[:, 1:].sort(dim=1).values
    assert ((patches >= 1) & (patches <= 8)).all()
    assert (patches.diff(dim=1) > 0).all()
    assert size == 8 or len({tuple(row.tolist()) for row in patches}) > 1


def test_the_same_seed_keeps_the_same_patches() -> None:
    torch.manual_seed(3)
    first = kept_tokens(4, 20, 0.4)
    torch.manual_seed(3)
    assert torch.equal(kept_tokens(4, 20, 0.4), first)


def network(jpm: bool) -> TransReID:
    config = TransReIDConfig(
        (64, 32), embed_dim=32, depth=2, num_heads=4, num_cameras=3, jpm=jpm, shift=2, num_classes=5
    )
    torch.manual_seed(1)
    return TransReID(config).double().eval()


@pytest.mark.parametrize("jpm", [False, True])
def test_all_tokens_in_any_order_are_the_whole_picture(jpm: bool) -> None:
    model, images = network(jpm), torch.rand(3, 3, 64, 32, dtype=torch.float64)
    kept = kept_tokens(3, model.config.num_patches, 0.0)
    assert not torch.equal(kept, kept.sort(dim=1).values)
    torch.testing.assert_close(model(images, [0, 1, 2], kept=kept), model(images, [0, 1, 2]))


def test_a_patch_left_out_is_not_seen() -> None:
    model, images = network(jpm=True), torch.rand(1, 3, 64, 32, dtype=torch.float64)
    changed = images.clone()
    changed[:, :, :16, :16] = 0  # patch 1 of 8, with the stride of 16 px
    kept = torch.tensor([[0, 2, 3, 5, 8]])
    torch.testing.assert_close(model(images, 0, kept=kept), model(changed, 0, kept=kept))
    assert not torch.allclose(model(images, 0), model(changed, 0))


def test_a_jigsaw_part_holds_the_patches_of_it_that_are_left() -> None:
    model, images = network(jpm=True), torch.rand(2, 3, 64, 32, dtype=torch.float64)
    kept = torch.tensor([[0, 2, 3, 5, 8], [0, 1, 4, 6, 7]])
    features = model.features(images, kept=kept)
    for row in range(2):
        left = take(model.base.tokens(images[row : row + 1]), kept[row : row + 1])
        tokens = model.base.trunk(left)
        for index, part in enumerate(model.config.parts(), start=1):
            places = [0, *(kept[row].tolist().index(token) for token in part if token in kept[row, 1:])]
            expected = model.b2[1](model.b2[0](tokens[:, places]))[:, 0]
            torch.testing.assert_close(features[index][row : row + 1], expected)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_cannot_be_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"patch_dropout: expected 0 or more and less than 1"):
        ScheduleConfig(patch_dropout=rate)
