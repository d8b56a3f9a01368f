"""What an uploaded version asks for, in words."""

from model_ui.render.versions import asked_for
from model_ui.spec_types import ArchiveSettings


def test_what_its_archive_asks_for_is_said() -> None:
    settings = ArchiveSettings(batch_size=8, batch_delay_seconds=0.02, startup_seconds=300)
    assert asked_for(settings) == "batches of 8 rows, batches after 20 ms, 300 s to load"


def test_without_a_configuration_file_nothing_is_said() -> None:
    assert asked_for(None) == asked_for(ArchiveSettings()) == ""
