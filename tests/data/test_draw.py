"""A random order that stays: mvnp/data/draw.py."""

import hashlib
import unicodedata

from mvnp.data.draw import drawn_order


def test_is_the_order_of_the_hash():
    names = [str(index) for index in range(50)]
    assert drawn_order(names, 3) == sorted(range(50), key=lambda i: hashlib.sha256(f"3/{i}".encode()).hexdigest())


def test_depends_on_names_and_seed_only():
    names = ["a", "b", "c", "d", "e", "ü"]
    drawn = [names[i] for i in drawn_order(names, 0)]
    backwards = names[::-1]
    assert [backwards[i] for i in drawn_order(backwards, 0)] == drawn
    assert any([names[i] for i in drawn_order(names, seed)] != drawn for seed in range(1, 5))
    # macOS may give "ü" back as u and two dots.
    apart = [unicodedata.normalize("NFD", name) for name in names]
    assert all(drawn_order(apart, seed) == drawn_order(names, seed) for seed in range(10))


def test_a_name_that_is_no_utf8():
    assert drawn_order(["caf\udce9"], 0) == [0]
