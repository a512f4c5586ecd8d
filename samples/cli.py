"""``python -m samples``: render a scenario, stream one camera, make training sets."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# the scenarios' names are repeated here so that --help needs no heavy import; a test holds them equal
SCENARIO_NAMES = ("demo", "crowd", "lookalikes", "vehicles", "long", "faults")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 for bad arguments."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        print(f"samples: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m samples", description="The synthetic site of crosscam.")
    commands = parser.add_subparsers(required=True, metavar="command")
    render = commands.add_parser("render", help="clips, truth, calibration and config.yaml of a scenario")
    _scenario_options(render)
    render.add_argument("--out", type=Path, required=True, help="folder to write")
    render.add_argument(
        "--workers", type=int, default=None, help="processes (default: one per camera, at most one per core)"
    )
    render.set_defaults(run=_render)
    stream = commands.add_parser("stream", help="send one camera as MPEG-TS, storing nothing")
    _scenario_options(stream)
    stream.add_argument("--camera", required=True, help="camera id")
    stream.add_argument("--to", required=True, help="URL, such as udp://127.0.0.1:5000")
    stream.add_argument("--truth", type=Path, help="file for the truth, written as frames are sent")
    stream.set_defaults(run=_stream)
    _reid_options(commands.add_parser("reid-set", help="re-identification crops, Market-1501 style"))
    _yolo_options(commands.add_parser("yolo-set", help="detection images and labels, YOLO style"))
    _footage_options(
        commands.add_parser("yolo-footage", help="the same from the clips and the truth of rendered sites")
    )
    _reid_footage_options(
        commands.add_parser("reid-footage", help="crops from rendered sites, added to a reid-set's training split")
    )
    _training_options(
        commands.add_parser("train-detector", help="train the sample detector by a recipe")
    )
    return parser


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="such as configs/detector/synthetic.yaml")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="folders that yolo-set and yolo-footage wrote, as the recipe's head says",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for detector.pt")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="CPU threads")
    parser.set_defaults(run=_train_detector)


def _train_detector(options: argparse.Namespace) -> None:
    from samples.detector import DetectorRecipe, train

    scores = train(DetectorRecipe.read(options.recipe), options.data, options.out, options.threads)
    print("  ".join(f"{name} {value:.3f}" for name, value in scores.items()))


def _scenario_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenario", required=True, choices=SCENARIO_NAMES)
    parser.add_argument("--seed", type=int, default=7, help="who is there and what happens (default 7)")
    parser.add_argument(
        "--duration-s", type=float, default=None, help="seconds (default: the scenario's own)"
    )


def _set_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=int, default=1001, help="the people of a seed are nobody else's (default 1001)"
    )
    _output_options(parser)


def _output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )


def _reid_options(parser: argparse.ArgumentParser) -> None:
    _set_options(parser)
    parser.add_argument("--train", type=int, default=400, help="training identities (default 400)")
    parser.add_argument("--test", type=int, default=100, help="query and gallery identities (default 100)")
    parser.add_argument("--crops", type=int, default=40, help="crops per identity, about (default 40)")
    parser.add_argument(
        "--cameras", type=int, default=8, help="2..9; the first four are the known place's (default 8)"
    )
    parser.add_argument(
        "--kind", choices=("people", "vehicles"), default="people", help="who is in it (default people)"
    )
    parser.set_defaults(run=_reid_set)


def _yolo_options(parser: argparse.ArgumentParser) -> None:
    _set_options(parser)
    parser.add_argument("--images", type=int, default=3000, help="pictures in all (default 3000)")
    parser.add_argument("--validation", type=float, default=0.1, help="share that validates (default 0.1)")
    parser.add_argument(
        "--hard", type=float, default=0.0, help="share with people close up and hidden, and vehicles close and heavy"
    )
    parser.add_argument("--traffic", type=float, default=0.0, help="share of views that look at roads (default 0)")
    parser.add_argument("--queues", type=float, default=0.0, help="share with vehicles that queue (default 0)")
    parser.set_defaults(run=_yolo_set)


def _footage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sites", type=Path, nargs="+", metavar="SITE", help="folders that render wrote; the last one validates"
    )
    parser.add_argument("--every-s", type=float, default=0.4, help="seconds from frame to frame (default 0.4)")
    _output_options(parser)
    parser.set_defaults(run=_yolo_footage)


def _reid_footage_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sites", type=Path, nargs="+", metavar="SITE", help="folders that render wrote")
    parser.add_argument("--every-s", type=float, default=0.8, help="seconds from crop to crop (default 0.8)")
    _output_options(parser)
    parser.set_defaults(run=_reid_footage)


def _render(options: argparse.Namespace) -> None:
    from samples.recording import render_site

    render_site(options.scenario, options.seed, options.out, options.duration_s, options.workers)
    print(f"wrote {options.out}: run it with python -m pipeline run {options.out / 'config.yaml'}")


def _stream(options: argparse.Namespace) -> None:
    from samples.recording import stream

    sent = stream(
        options.scenario, options.seed, options.camera, options.to, options.truth, options.duration_s
    )
    print(f"sent {sent} frames")


def _reid_set(options: argparse.Namespace) -> None:
    from samples.reidset import ReidSetPlan, render_reid_set

    plan = ReidSetPlan(
        options.seed, options.train, options.test, options.crops, options.cameras, options.kind
    )
    print(f"wrote {options.out}: {render_reid_set(plan, options.out, options.workers)}")


def _yolo_set(options: argparse.Namespace) -> None:
    from samples.yoloset import YoloSetPlan, render_yolo_set

    shares = options.hard, options.traffic, options.queues
    plan = YoloSetPlan(options.seed, options.images, options.validation, *shares)
    print(f"wrote {options.out}: {render_yolo_set(plan, options.out, options.workers)}")


def _yolo_footage(options: argparse.Namespace) -> None:
    from samples.yolofootage import YoloFootagePlan, write_yolo_footage

    plan = YoloFootagePlan(tuple(options.sites), options.every_s)
    print(f"wrote {options.out}: {write_yolo_footage(plan, options.out, options.workers)}")


def _reid_footage(options: argparse.Namespace) -> None:
    from samples.reidfootage import ReidFootagePlan, add_reid_footage

    plan = ReidFootagePlan(tuple(options.sites), options.every_s)
    print(f"added to {options.out}: {add_reid_footage(plan, options.out, options.workers)}")
