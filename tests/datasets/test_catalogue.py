"""From the command line's words to a data set, or to one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.catalogue import DataRequest
from datasets.errors import UserError
from datasets.folder.dataset import Folder
from datasets.mini.dataset import Mini
from datasets.osma.dataset import Osma
from datasets.settings import DataSettings
from tests.datasets.folder.test_dataset import SMALL
from tests.datasets.osma_tree import build

SETTINGS = DataSettings(image_size=64)

pytestmark = pytest.mark.usefixtures("own_cache")


def refused(name: str, root: Path | None = None) -> str:
    with pytest.raises(UserError) as caught:
        DataRequest(name, root, SETTINGS).open()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_kind_of_name_opens_its_data_set(tmp_path: Path) -> None:
    assert isinstance(DataRequest("mini", None, SETTINGS).open(), Mini)
    build(tmp_path / "osma", splits=1)
    assert isinstance(DataRequest("osma", tmp_path / "osma", SETTINGS).open(), Osma)


def test_a_description_is_opened_by_its_path_and_its_root_can_be_overridden(tmp_path: Path) -> None:
    for folder in ("camera_a", "fake/progan", "dcgan/seed1"):
        path = tmp_path / "elsewhere" / folder
        path.mkdir(parents=True)
        for index in range(3):
            (path / f"{index}.png").touch()
    description = tmp_path / "own.yaml"
    description.write_text(SMALL)
    assert "the root" in refused(str(description))
    assert isinstance(DataRequest(str(description), tmp_path / "elsewhere", SETTINGS).open(), Folder)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("omsa", "unknown data set 'omsa'; did you mean 'osma'?; use mini, osma or the path of a .yaml file"),
        ("Mini", "unknown data set 'Mini'; did you mean 'mini'?; use mini, osma or the path of a .yaml file"),
        ("imagenet", "unknown data set 'imagenet'; use mini, osma or the path of a .yaml file"),
        ("osma", "osma needs --data-root DIR, the folder that holds OSMA/ and split1_test/"),
        ("none.yaml", "none.yaml cannot be read (No such file or directory); correct the name"),
    ],
)
def test_a_wrong_request_is_one_line(name: str, message: str) -> None:
    assert refused(name) == message


def test_a_wrong_root_is_one_line(tmp_path: Path) -> None:
    assert refused("osma", tmp_path) == (
        f"--data-root {tmp_path} holds no split1_test/annotations/split1_test.txt; "
        "give the folder that holds OSMA/ and split1_test/"
    )
    assert refused("osma", tmp_path / "none").endswith("is no folder; give the one that holds OSMA/ and split1_test/")


def test_a_description_with_a_name_that_no_disk_can_hold_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--dataset d+\.\.\.: a name of 305 bytes, no disk holds more than 255; "):
        DataRequest("d" * 300 + ".yaml", None, DataSettings(image_size=16)).open()
