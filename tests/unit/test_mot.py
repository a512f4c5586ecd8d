"""MOT text: what is read, what is written, and complaints that name file and line."""

import numpy as np
import pytest

from tracking.mot import MotRows, read_mot, read_sequence, read_sequences, write_mot


def test_round_trip(tmp_path):
    xyxy = np.array([[1.5, 2, 11.5, 22], [3, 4, 5, 6]], np.float32)
    rows = MotRows(np.array([2, 1]), np.array([7, 3]), xyxy, np.array([0.5, 1.0], np.float32))
    write_mot(tmp_path / "out.txt", rows)
    assert (tmp_path / "out.txt").read_text().splitlines()[0] == "1,3,3.00,4.00,2.00,2.00,1.0000,-1,-1,-1"
    back = read_mot(tmp_path / "out.txt")
    assert back.frame.tolist() == [1, 2]
    np.testing.assert_allclose(back.xyxy, xyxy[::-1])


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_rows_is_a_normal_file(tmp_path, text):
    (tmp_path / "det.txt").write_text(text)
    rows = read_mot(tmp_path / "det.txt")
    assert len(rows) == 0
    assert len(rows.detections()) == 0


def test_blanks_for_commas_and_missing_confidence(tmp_path):
    (tmp_path / "det.txt").write_text("1 -1 10 20 30 40\n")
    rows = read_mot(tmp_path / "det.txt")
    assert rows.xyxy.tolist() == [[10, 20, 40, 60]]
    assert rows.confidence.tolist() == [1.0]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,2,3", "at least 6 columns, got 3"),
        ("1,2,x,4,5,6", "expected numbers"),
        ("1,2,nan,4,5,6", "finite"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, complaint):
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,1,1,5,5,1\n\n{line}\n")
    with pytest.raises(ValueError, match=complaint) as error:
        read_mot(path)
    assert f"{path}:3:" in str(error.value)


def sequence_folder(root, info="[Sequence]\nframeRate=12.5\nseqLength=3\n"):
    (root / "det").mkdir(parents=True)
    (root / "gt").mkdir()
    (root / "seqinfo.ini").write_text(info)
    (root / "det" / "det.txt").write_text("1,-1,0,0,10,10,0.9\n3,-1,0,0,10,10,0.8\n")
    (root / "gt" / "gt.txt").write_text("1,1,0,0,10,10,1\n1,2,0,0,10,10,0\n")


def test_a_sequence_folder(tmp_path):
    sequence_folder(tmp_path / "A")
    (sequence,) = read_sequences(tmp_path)
    assert sequence.truth is not None
    assert sequence.truth.id.tolist() == [1]  # a zero confidence is not scored
    frames = list(sequence.frames())
    assert [(f.frame_index, round(f.timestamp_s, 3), len(d)) for f, d in frames] == [
        (0, 0, 1),
        (1, 0.08, 0),
        (2, 0.16, 1),
    ]


@pytest.mark.parametrize("info", ["", "[Sequence]\nframeRate=25\n", "[Sequence]\nframeRate=0\nseqLength=3\n"])
def test_a_bad_seqinfo_is_named(tmp_path, info):
    sequence_folder(tmp_path / "A", info)
    with pytest.raises(ValueError, match=r"seqinfo\.ini"):
        read_sequence(tmp_path / "A")


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="no sequence folders"):
        read_sequences(tmp_path)
