"""What the tests of the commands for pictures share."""

import pytest

from support.command_line import runner, save_picture


@pytest.fixture
def call(capsys):
    return runner(capsys)


@pytest.fixture
def weights(tmp_path):
    return tmp_path / "weights.safetensors"


@pytest.fixture
def files(tmp_path):
    return [save_picture(tmp_path / "photos" / f"{seed}.png", seed) for seed in range(5)]
