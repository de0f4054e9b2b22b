"""The moving picture: what was in the terminal is in it, and each frame shows over the one before."""

import re
import xml.etree.ElementTree as ElementTree

from paths import ROOT

from tools.recording import Recording


def drawn(svg):
    """Return the frames, each as the texts that it draws."""
    found = ElementTree.fromstring(svg)
    groups = [group for group in found if group.tag.endswith("}g")]
    return [["".join(text.itertext()) for text in group if text.tag.endswith("}text")] for group in groups]


def test_output_is_drawn_with_its_colours_and_escaped():
    recording = Recording(40, 5)
    recording.show("\x1b[32m<ok> & done\x1b[0m plain", 1)
    svg = recording.svg("a & b")
    assert drawn(svg) == [["<ok> & done plain"]]
    assert re.search(r'fill="#[0-9a-f]{6}"[^>]*>&lt;ok&gt; &amp; done<', svg)


def test_a_frame_draws_only_the_lines_that_have_changed():
    recording = Recording(40, 5)
    recording.show("head\n1/4", 1)
    recording.replace("head\n2/4", 1)
    assert drawn(recording.svg("")) == [["head", "1/4"], ["2/4"]]


def test_what_is_above_the_screen_has_scrolled_away():
    recording = Recording(40, 2)
    recording.show("one\ntwo\nthree", 1)
    assert drawn(recording.svg("")) == [["two", "three"]]


def test_frames_come_one_after_another():
    recording = Recording(40, 2)
    recording.type("deployer status")
    times = [begins for begins, _ in recording.frames]
    assert times == sorted(set(times))
    assert recording.svg("").count("@keyframes") == len(times)


def test_the_picture_of_the_readme_shows_a_roll_out_and_a_rollback():
    text = " ".join(line for frame in drawn((ROOT / "docs/pictures/demo.svg").read_text()) for line in frame)
    assert "updated" in text
    assert "rolled-back" in text
