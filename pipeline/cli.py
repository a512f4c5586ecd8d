"""The command line: options and help; the work is in `pipeline.commands`, imported when a command is called.

Nothing heavy is imported here, so that ``--help`` answers at once.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    name="crosscam",
    help="Follow people and vehicles across many cameras.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
weights = typer.Typer(no_args_is_help=True, help="Networks by name: list, get NAME, where NAME.")
app.add_typer(weights, name="weights")
calibrate = typer.Typer(
    no_args_is_help=True, help="Cosine threshold, floor plane and clocks from your own footage."
)
app.add_typer(calibrate, name="calibrate")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration.")]
TrackerFile = Annotated[
    Optional[Path], typer.Option(help="YAML with a tracker section, as `tune` writes it.")  # noqa: UP045
]
OutputFolder = Annotated[
    Optional[Path], typer.Option(help="Folder for the results, in place of output.folder.")  # noqa: UP045
]


class BlurChoice(str, Enum):
    """Whom pictures do not show."""

    faces = "faces"
    bodies = "bodies"


class SchemaName(str, Enum):
    """What has a published JSON Schema."""

    config = "config"
    trajectories = "trajectories"
    lines = "lines"


@app.callback()
def options(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False) -> None:
    from pipeline.log import set_up

    set_up(verbose)


@app.command()
def run(config: ConfigFile, output: OutputFolder = None) -> None:
    """Footage in, cross-camera trajectories out."""
    from pipeline.commands.run import run_command

    raise typer.Exit(run_command(config, output))


@app.command()
def check(config: ConfigFile, output: OutputFolder = None) -> None:
    """Find out whether a run would work, and how fast, without running it."""
    from pipeline.commands.check import check_command

    raise typer.Exit(check_command(config, output))


@app.command()
def doctor(
    config: ConfigFile,
    seconds: Annotated[float, typer.Option(help="How long to watch live cameras.", min=1)] = 12,
) -> None:
    """Open every camera and look: clock, rate, size, codec, expected load."""
    from rich.console import Console

    from pipeline.commands.doctor import doctor as examined

    raise typer.Exit(examined(config, seconds, Console()))


@app.command()
def associate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run that saved detections.")],
    config: Annotated[Path, typer.Option(help="The run's YAML, with other thresholds.")],
    output: Annotated[Path, typer.Option(help="Folder for the new results.")],
) -> None:
    """Track and associate again from what a run saved: seconds, no pixels."""
    from pipeline.commands.associate import associate_command

    raise typer.Exit(associate_command(folder, config, output))


@app.command()
def schema(which: Annotated[SchemaName, typer.Argument()]) -> None:
    """Print the JSON Schema of the configuration, of the results, or of the records while running."""
    from pipeline.commands.schema import schema as text_of

    typer.echo(text_of(which.value))


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Option(help="Ground truth: a folder or file.")],
    result: Annotated[Path, typer.Option(help="trajectories.json of a run.")],
    json: Annotated[Optional[Path], typer.Option(help="Also write the scores here.")] = None,  # noqa: UP045
) -> None:
    """Score a result against ground truth, per camera and across cameras."""
    from pipeline.commands.evaluate import evaluate as scored

    scored(truth, result, json)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="trajectories.json, or what --from says.")],
    form: Annotated[str, typer.Option("--format", help="mot, aicity, mdx, coco-video, csv or mf-json.")],
    output: Annotated[Path, typer.Option(help="File; a folder for mot.")],
    source_format: Annotated[str, typer.Option("--from", help="Format of FILE.")] = "crosscam",
    fps: Annotated[
        Optional[float], typer.Option(help="For sources without a clock (mot, aicity).")  # noqa: UP045
    ] = None,
    origin: Annotated[
        Optional[tuple[float, float, float]],  # noqa: UP045
        typer.Option(help="mf-json: latitude, longitude and bearing of the ground plane's origin, degrees."),
    ] = None,
) -> None:
    """Convert a result to another system's form."""
    from pipeline.commands.export import export as converted

    typer.echo(converted(source, form, output, source_format=source_format, fps=fps, origin=origin))


@app.command()
def recover(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a killed run.")]) -> None:
    """Make trajectories.json out of what a killed run left."""
    from pipeline.commands.export import recover as recovered

    typer.echo(recovered(folder))


@app.command()
def forget(
    global_id: Annotated[Optional[int], typer.Argument(help="Whose embeddings are deleted.")] = None,  # noqa: UP045
    config: Annotated[
        Optional[Path], typer.Option(help="The run's YAML: its output folder and its identity store.")  # noqa: UP045
    ] = None,
    output: OutputFolder = None,
    expired: Annotated[bool, typer.Option(help="All that are older than privacy.embeddings_max_age_s.")] = False,
) -> None:
    """Delete the embeddings of an identity, also from a run that goes on; an audit line says so."""
    from pipeline.commands.forget import forget as forgotten

    for line in forgotten(global_id, config, output, expired=expired):
        typer.echo(line)


@app.command()
def render(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Output folder of a run.")],
    camera: Annotated[Optional[list[str]], typer.Option(help="Only this one; may be repeated.")] = None,  # noqa: UP045
    blur: Annotated[
        Optional[BlurChoice], typer.Option(help="Make people unrecognisable; the run's privacy counts anyway.")  # noqa: UP045
    ] = None,
) -> None:
    """Draw results over their footage: a video per camera, a grid, the ground plane."""
    from rich.console import Console

    from pipeline.commands.render import render as drawn

    drawn(folder, Console(), cameras=camera, blur=blur.value if blur else None)


@app.command()
def track(
    detections: Annotated[Path, typer.Option(help="MOT detections.")],
    fps: Annotated[float, typer.Option(help="Frames per second.")],
    output: Annotated[Path, typer.Option(help="MOT tracks.")],
    tracker: TrackerFile = None,
    repaired: Annotated[bool, typer.Option(help="What is known afterwards, not frame by frame.")] = False,
) -> None:
    """Track stored detections of one camera."""
    from pipeline.commands.track import main as tracked

    typer.echo(f"{tracked(detections, fps, output, tracker=tracker, repaired=repaired)} tracks")


@app.command()
def tune(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="MOT sequences with det, gt, seqinfo.ini.")],
    trials: Annotated[int, typer.Option(help="Configurations tried in each search, twelve at a time.")] = 100,
    folds: Annotated[int, typer.Option(help="Rounds of cross-validation; 1 for none.")] = 3,
    seed: Annotated[int, typer.Option(help="The same seed finds the same.")] = 0,
    output: Annotated[Optional[Path], typer.Option(help="YAML to write.")] = None,  # noqa: UP045
    tracker: TrackerFile = None,
) -> None:
    """Fit the tracker to a folder of sequences, cross-validated."""
    from pipeline.commands.tune import main as tuned

    tuned(folder, trials=trials, folds=folds, seed=seed, output=output, tracker=tracker)


@app.command("track-bench")
def track_bench(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="MOT sequences with det, gt, seqinfo.ini.")],
    tracker: TrackerFile = None,
    json: Annotated[Optional[Path], typer.Option(help="Also write the scores here.")] = None,  # noqa: UP045
) -> None:
    """Score the tracker on a folder of sequences."""
    from pipeline.commands.bench_tracking import main as benched

    benched(folder, tracker=tracker, json_path=json)


@calibrate.command("threshold")
def calibrate_threshold(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run that saved embeddings.")],
    picture: Annotated[
        Optional[Path], typer.Option(help="PNG of the histograms; threshold.png in DIR if not given.")  # noqa: UP045
    ] = None,
    json: Annotated[Optional[Path], typer.Option(help="Also write the numbers here.")] = None,  # noqa: UP045
) -> None:
    """Suggest max_cosine_distance from unlabelled footage, with expected error rates."""
    from rich.console import Console

    from pipeline.commands.calibrate_threshold import calibrate_threshold as calibrated

    calibrated(folder, picture, json, Console())


@calibrate.command("homography")
def calibrate_homography(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Point pairs u_px,v_px,x_m,y_m (CSV, YAML, JSON), a known calibration (JSON, YAML, MAT), "
            "or a picture or video to click on.",
        ),
    ],
    output: Annotated[Optional[Path], typer.Option(help="YAML for cameras[].calibration.")] = None,  # noqa: UP045
    check: Annotated[
        Optional[Path], typer.Option(help="Point pairs to hold the calibration against.")  # noqa: UP045
    ] = None,
    frame: Annotated[
        Optional[Path], typer.Option(help="Picture or video to draw the floor's grid into.")  # noqa: UP045
    ] = None,
) -> None:
    """Find a camera's floor plane, with residuals in metres."""
    from rich.console import Console

    from pipeline.commands.calibrate_homography import calibrate_homography as calibrated

    calibrated(source, output, check, frame, Console())


@calibrate.command("sync")
def calibrate_sync(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a run with calibrated cameras.")],
    reference: Annotated[Optional[str], typer.Option(help="Camera whose clock is right.")] = None,  # noqa: UP045
    max_offset_s: Annotated[float, typer.Option(help="How far clocks may be off.")] = 5.0,
    json: Annotated[Optional[Path], typer.Option(help="Also write the numbers here.")] = None,  # noqa: UP045
) -> None:
    """Check every camera's clock: offset, drift, true frame rate."""
    from rich.console import Console

    from pipeline.commands.calibrate_sync import calibrate_sync as calibrated

    calibrated(folder, reference, max_offset_s, json, Console())


@weights.command("list")
def weights_list() -> None:
    """Every named network: licence, camera rows, whether it is here."""
    from rich.console import Console

    from pipeline.commands.weights import list_weights

    list_weights(Console())


@weights.command("get")
def weights_get(name: str) -> None:
    """Download a named network, check its hashes."""
    from rich.console import Console

    from pipeline.commands.weights import get_weights

    get_weights(name, Console())


@weights.command("where")
def weights_where(name: str) -> None:
    """Where a named network is, or will be."""
    from pipeline.commands.weights import where_weights

    typer.echo(where_weights(name))
