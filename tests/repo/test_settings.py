"""Every setting of every part stands in the table of the part's README, and nothing else does."""

import re
from typing import get_args

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

from marina_local.settings import LocalSettings
from metadata_api.settings import Settings as ApiSettings
from model_ui.settings import Settings as UiSettings
from serving_runtime.settings import Settings as ServingSettings
from tests.conftest import ROOT

TABLES: dict[str, type[BaseSettings]] = {
    "metadata-api/README.md": ApiSettings,
    "serving/README.md": ServingSettings,
    "ui/README.md": UiSettings,
    "README.md": LocalSettings,
}
# For people who develop or operate it in unusual ways; in the class's docstrings only.
UNLISTED = {"MARINA_START_SECONDS", "MARINA_POSTGRES_USER"}


@pytest.mark.parametrize("readme", TABLES)
def test_the_table_of_settings_is_whole_and_true(readme: str) -> None:
    settings = TABLES[readme]
    prefix = settings.model_config["env_prefix"]
    rows = [line for line in (ROOT / readme).read_text().splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(rf"`({prefix}[A-Z0-9_]+)`", row.split("|")[1])}
    assert listed == {f"{prefix}{name}".upper() for name in names(settings)} - UNLISTED


def names(settings: type[BaseModel]) -> list[str]:
    """Names of all settings; those of a group carry its name before theirs."""
    found = []
    for name, field in settings.model_fields.items():
        groups = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        group = next((kind for kind in groups if issubclass(kind, BaseModel)), None)
        found += [f"{name}_{part}" for part in names(group)] if group else [name]
    return found


@pytest.mark.parametrize("settings", TABLES.values(), ids=lambda settings: settings.__module__)
def test_a_part_has_few_settings(settings: type[BaseSettings]) -> None:
    assert len(settings.model_fields) <= 20
