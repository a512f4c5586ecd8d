"""The command line of re-identification: train, ablate, evaluate, embed, export, sie-fit.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from reid.embedder import Embedder

app = typer.Typer(
    name="reid",
    help="Train, score, run and export TransReID.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BAD_INPUT, BAD_MODEL = 2, 4


class BlurChoice(str, Enum):
    """Whom pictures do not show."""

    faces = "faces"
    bodies = "bodies"


class BackendChoice(str, Enum):
    """What runs the network."""

    torch = "torch"
    onnx = "onnx"
    openvino = "openvino"


class ExportPrecision(str, Enum):
    """What an exported network computes in."""

    fp32 = "fp32"
    int8 = "int8"


Weights = Annotated[Path, typer.Argument(metavar="WEIGHTS", help="Checkpoint, or an exported network.")]
WeightsOption = Annotated[Path, typer.Option("--weights", help="Checkpoint, or an exported network.")]
Backend = Annotated[BackendChoice, typer.Option(help="What runs it.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … or auto.")]
Precision = Annotated[str, typer.Option(help="fp32, bf16 or fp16; for torch on a CPU also int8.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Crops per forward pass.")]
Field = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="What a checkpoint does not show, e.g. num_heads=4."),
]


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the training.")],
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint where there is one.")] = False,
) -> None:
    """Train a network; under torchrun on several GPUs."""
    from reid.train import main as train_main

    scores = train_main(config, resume=resume)
    if scores:
        typer.echo(_line(scores))


@app.command()
def evaluate(
    weights: Weights,
    data: Annotated[str, typer.Option(help="Kind of dataset, e.g. market1501, msmt17, veri, synthetic.")],
    root: Annotated[Path, typer.Option(help="Its folder.")],
    sie: Annotated[str, typer.Option(help="camera (its own row), mean, off, or a row for all.")] = "camera",
    rerank: Annotated[bool, typer.Option(help="Also score k-reciprocal re-ranking.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for evaluation.json and the pictures.")] = Path(
        "evaluation"
    ),
    blur: Annotated[
        Optional[BlurChoice], typer.Option(help="Make people in the rank list unrecognisable.")  # noqa: UP045
    ] = None,
    backend: Backend = BackendChoice.torch,
    device: Device = "auto",
    precision: Precision = "fp32",
    batch_size: BatchSize = 32,
    field: Field = None,
) -> None:
    """Score a network and suggest a cosine threshold."""
    from typing import cast

    from reid.data.datasets import DatasetKind
    from reid.evaluate import evaluate as score
    from reid.evaluate import parse_sie

    embedder = _open(weights, backend, device, precision, batch_size, field)
    kind = cast(DatasetKind, data)
    report = score(embedder, kind, root, sie=parse_sie(sie), rerank=rerank, output=output, blur=blur.value if blur else None)
    _print_report(report)
    typer.echo(f"{output}: evaluation.json, rank_list.png, distances.png")


@app.command()
def embed(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES…", help="Crops, or folders of crops.")],
    weights: WeightsOption,
    camera: Annotated[str, typer.Option(help="Row of the camera table, mean or off.")] = "off",
    output: Annotated[Path, typer.Option(help="Embeddings and paths, for numpy.load.")] = Path(
        "embeddings.npz"
    ),
    backend: Backend = BackendChoice.torch,
    device: Device = "auto",
    precision: Precision = "fp32",
    batch_size: BatchSize = 32,
    field: Field = None,
) -> None:
    """Embed crops into one .npz file."""
    import numpy as np

    from reid.evaluate import parse_sie
    from reid.image_files import embed_files, find_images

    row = parse_sie(camera)
    if row == "camera":
        raise ValueError("--camera: expected a row's number, mean or off")
    paths = find_images(images)
    embedder = _open(weights, backend, device, precision, batch_size, field)
    embeddings = embed_files(embedder, paths, row)
    names = np.array([str(path) for path in paths])
    np.savez(output, embeddings=embeddings, paths=names, model_hash=np.array(embedder.model_hash))
    typer.echo(f"{output}: {len(paths)} embeddings of {embedder.dim} numbers")


@app.command()
def export(
    weights: Weights,
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", help="network.onnx or network.xml (OpenVINO).")],
    precision: Annotated[ExportPrecision, typer.Option(help="int8: checked to a cosine of 0.999.")] = ExportPrecision.fp32,
    field: Field = None,
) -> None:
    """Write a checkpoint as ONNX or OpenVINO and check it against torch."""
    from reid.checkpoint import build_network, read_checkpoint
    from reid.export import export as write

    known, stored = _fields(field), read_checkpoint(weights)
    model = build_network(stored, str(weights), **known)
    report = write(model, output, precision=precision.value, form=stored.form)
    typer.echo(f"{report.path}: cosine to torch at least {report.min_cosine:.6f}")


@app.command(name="sie-fit")
def sie_fit(
    weights: Weights,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES…", help="Crops of the new camera, or folders.")
    ],
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the checkpoint with the new row as its last camera."),
    ] = None,
    field: Field = None,
) -> None:
    """Find the best row for a camera the checkpoint never saw, from unlabelled crops of it."""
    from reid.image_files import find_images
    from reid.sie_fit import fit_files

    fit = fit_files(weights, find_images(images), output, **_fields(field))
    for row, mismatch in sorted(fit.mismatch.items(), key=lambda entry: entry[1]):
        typer.echo(f"row {row}: mismatch {mismatch:.4f} nats per dimension")
    typer.echo(f"best in the table: {fit.best}; a new row: {fit.row_mismatch:.4f}")
    if output is not None:
        typer.echo(f"{output}: written, the new row is the table's last")


@app.command()
def ablate(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML of a training with side information.")
    ],
) -> None:
    """Train baseline, JPM, SIE and both, and print their scores side by side."""
    from reid.ablate import ablate as run

    run(config)


def main() -> None:
    """Run the command line; bad input exits with 2, an unusable network with 4, both with one clear line."""
    try:
        app()
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except RuntimeError as error:
        if type(error).__module__.split(".")[0] != "reid":
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(BAD_MODEL)


def _open(
    weights: Path,
    backend: BackendChoice,
    device: str,
    precision: str,
    batch_size: int,
    field: list[str] | None,
) -> Embedder:
    from reid.embedder import Embedder

    return Embedder.open(
        weights, backend.value, device=device, precision=precision, batch_size=batch_size, **_fields(field)
    )


def _fields(pairs: list[str] | None) -> dict[str, Any]:
    """``NAME=VALUE`` pairs; a value is JSON where it can be, else a word."""
    fields: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: expected NAME=VALUE")
        try:
            fields[name] = json.loads(value)
        except json.JSONDecodeError:
            fields[name] = value
    return fields


def _line(scores: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in scores.items())


def _print_report(report: dict[str, Any]) -> None:
    typer.echo(f"{report['queries']} queries, {report['gallery']} in the gallery, sie {report['sie']}")
    typer.echo(_line(report["scores"]))
    if "reranked" in report:
        typer.echo(f"re-ranked: {_line(report['reranked'])}")
    found = report["threshold"]
    where = "on other identities" if found["held_out"] else "on the same pairs"
    typer.echo(
        f"suggested max_cosine_distance {found['max_cosine_distance']:.4f}: misses {found['missed']:.2%} of the same, "
        f"links {found['wrongly_linked']:.2%} of the different pairs ({where})"
    )
    for rate, threshold in found["stricter"].items():
        typer.echo(f"  for {float(rate):.1%} wrong links: {threshold:.4f}")
