"""The jigsaw patch module's order of patches (arXiv 2102.04378, section 3.2): shift, then shuffle.

Nothing is random: the same order serves training and testing. Patches are numbered 1..N in raster order
and 0 is the CLS token, which never takes part. Two habits of the published networks are kept, because their
weights were trained with them: the rotation is by ``shift - 1`` patches, and a length that ``groups`` does
not divide is filled up with the last patch but one.
"""

from __future__ import annotations

__all__ = ["NUM_PARTS", "jigsaw_order", "jigsaw_parts"]

NUM_PARTS = 4


def jigsaw_order(num_patches: int, *, shift: int = 5, groups: int = 2) -> tuple[int, ...]:
    """Shift and shuffle the patches 1..N.

    Returns:
        N token indices, or N + 1 where ``groups`` divides only that.

    Raises:
        ValueError: ``shift`` outside 1..N (0 would move the CLS token among the patches), or ``groups``
            dividing neither N nor N + 1.
    """
    if not 1 <= shift <= num_patches:
        raise ValueError(f"shift: expected 1 to {num_patches} (the number of patches), got {shift}")
    if groups < 1:
        raise ValueError(f"groups: expected at least 1, got {groups}")
    order = [(i + shift - 1) % num_patches + 1 for i in range(num_patches)]
    if num_patches % groups:
        order.append(order[-2] if num_patches > 1 else order[-1])
    if len(order) % groups:
        raise ValueError(f"groups: {groups} divides neither {num_patches} patches nor one more")
    length = len(order) // groups
    return tuple(order[k * length + j] for j in range(length) for k in range(groups))


def jigsaw_parts(
    num_patches: int, *, shift: int = 5, groups: int = 2, divide_length: int = 4, rearrange: bool = True
) -> tuple[tuple[int, ...], ...]:
    """Cut the (re)arranged patches into the four parts the local branches see.

    There are always four; ``divide_length`` only sets their length ``N // divide_length``. Above 4
    patches are left over, below 4 the last parts run short.

    Raises:
        ValueError: see :func:`jigsaw_order`; or a part length below one patch.
    """
    order = jigsaw_order(num_patches, shift=shift, groups=groups) if rearrange else range(1, num_patches + 1)
    if not 1 <= divide_length <= num_patches:
        raise ValueError(
            f"divide_length: expected 1 to {num_patches}, the number of patches, got {divide_length}"
        )
    length = num_patches // divide_length
    return tuple(tuple(order[part * length : (part + 1) * length]) for part in range(NUM_PARTS))
