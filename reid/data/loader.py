"""From labelled images to batches: crops kept in memory where they fit, prepared ahead of the training
step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from reid.data.datasets import LabelledImage
from reid.data.sampler import Batch
from reid.data.transforms import Augmentation, Interpolation, UInt8Array, augmented, normalised, read_resized

GIGABYTE = 1e9
PREPARED_AHEAD = 2


class CropStore:
    """Resized crops by index: all of them in memory where they fit, else read when asked for.

    Args:
        images: what to read.
        size: height and width, px.
        interpolation: of the resize.
        max_bytes: keep the crops in memory up to this much.
        threads: readers; PIL decodes and resizes outside the interpreter lock.

    Raises:
        ValueError: an unreadable image.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        size: tuple[int, int],
        interpolation: Interpolation,
        max_bytes: float,
        threads: int,
    ) -> None:
        self._images, self._size, self._interpolation = images, size, interpolation
        self._pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="crops")
        fits = len(images) * size[0] * size[1] * 3 <= max_bytes
        self._kept = self._read(range(len(images))) if fits else None

    def __len__(self) -> int:
        return len(self._images)

    def crops(self, indices: Sequence[int]) -> UInt8Array:
        """``(N, H, W, 3)`` RGB uint8."""
        return self._read(indices) if self._kept is None else self._kept[list(indices)]

    def _read(self, indices: Sequence[int]) -> UInt8Array:
        read = np.empty((len(indices), *self._size, 3), np.uint8)
        paths = [self._images[index].path for index in indices]
        crops = self._pool.map(lambda path: read_resized(path, self._size, self._interpolation), paths)
        for row, crop in enumerate(crops):
            read[row] = crop
        return read


class TrainBatch(NamedTuple):
    """Images ``(N, 3, H, W)`` float32; identity labels and positions in the camera and view tables ``(N,)``
    int64."""

    images: Tensor
    labels: Tensor
    cameras: Tensor
    views: Tensor

    def to(self, device: torch.device) -> TrainBatch:
        return TrainBatch(*(part.to(device, non_blocking=True) for part in self))


@dataclass(frozen=True, slots=True)
class SideTable:
    """Which row of the side-information table belongs to which camera and view of a dataset.

    Attributes:
        cameras, views: ids by their position in the table, empty where the network has no such information.
    """

    cameras: tuple[int, ...] = ()
    views: tuple[int, ...] = ()

    @property
    def num_rows(self) -> int:
        return max(len(self.cameras), 1) * max(len(self.views), 1) if self.cameras or self.views else 0

    def positions(
        self, images: Sequence[LabelledImage]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Positions of each image's camera and view, -1 where the training split never had it (or 0: no
        table)."""
        cameras = {camera: position for position, camera in enumerate(self.cameras)}
        views = {view: position for position, view in enumerate(self.views)}
        return (
            np.array([cameras.get(image.camera, -1) if cameras else 0 for image in images], np.int64),
            np.array([views.get(image.view, -1) if views else 0 for image in images], np.int64),
        )

    def codes(self, images: Sequence[LabelledImage]) -> npt.NDArray[np.int64]:
        """Rows of `reid.transreid.TransReID.sie_table`; the mean row for a camera or view never trained
        on."""
        camera, view = self.positions(images)
        rows = camera * max(len(self.views), 1) + view
        return np.where((camera < 0) | (view < 0), self.num_rows, rows)


class TrainLoader:
    """Augmented batches of one epoch after another.

    Every batch draws from its own generator, seeded with the run's seed, the epoch, its number and the
    rank, so the stream can be entered at any batch and does not depend on threads.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        store: CropStore,
        side: SideTable,
        augmentation: Augmentation,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._store, self._augmentation = store, augmentation
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._labels = torch.tensor([image.identity for image in images])
        self._cameras, self._views = (torch.from_numpy(position) for position in side.positions(images))

    def batches(self, plan: Sequence[Batch], epoch: int, first: int = 0) -> Iterator[TrainBatch]:
        """The batches of ``plan`` from number ``first`` on, prepared in a thread while the caller works."""
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead: deque[Future[TrainBatch]] = deque()
            for number in range(first, len(plan)):
                ahead.append(worker.submit(self._batch, plan[number], epoch, number))
                if len(ahead) > PREPARED_AHEAD:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()

    def _batch(self, indices: Batch, epoch: int, number: int) -> TrainBatch:
        place = number * self._world_size + self._rank
        generator = np.random.default_rng((self._seed, epoch, place))
        images = augmented(self._store.crops(indices), self._augmentation, generator)
        return TrainBatch(images, self._labels[indices], self._cameras[indices], self._views[indices])


def plain_batches(
    store: CropStore, augmentation: Augmentation, batch_size: int
) -> Iterator[tuple[slice, Tensor]]:
    """All crops of ``store`` in order, only normalised, with the rows each batch covers."""
    for start in range(0, len(store), batch_size):
        rows = slice(start, min(start + batch_size, len(store)))
        crops = torch.from_numpy(store.crops(range(rows.start, rows.stop)))
        yield rows, normalised(crops, augmentation.mean, augmentation.std)
