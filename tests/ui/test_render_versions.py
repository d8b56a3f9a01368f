"""What is shown of an uploaded version beside what it takes and gives."""

from model_ui.api_types import Me
from model_ui.render import versions
from model_ui.spec_types import ArchiveSettings, Version


def shown(settings: ArchiveSettings | None) -> str:
    version = Version(experiment="digits", version=1, sha256="a" * 64, archive_settings=settings)
    return versions.uploaded(version, (), Me(subject="me", role="admin", kind="token"))


def test_what_its_archive_asks_for_is_shown_with_what_has_no_effect() -> None:
    html = shown(
        ArchiveSettings(
            batch_size=8,
            batch_delay_seconds=0.02,
            startup_seconds=300,
            not_honoured=("maxWorkers: <each> deployment has one",),
        )
    )
    assert "batches of 8 rows, batches after 20 ms, 300 s to load" in html
    assert "maxWorkers: &lt;each&gt; deployment has one" in html


def test_without_a_configuration_file_nothing_is_said() -> None:
    assert "asks for" not in shown(None)
    assert "asks for" not in shown(ArchiveSettings())
