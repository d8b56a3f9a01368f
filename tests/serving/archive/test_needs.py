"""What an archive needs of its environment is read from its code, which never runs, and from its requirements.txt."""

import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from serving_runtime.archive import mar, needs
from serving_runtime.archive.needs import Needs
from serving_runtime.environments import Environment, known

BASE = Environment("base", frozenset({"torch", "numpy", "ts"}), {"torch": "2.13.0", "numpy": "2.4.6"})
VISION = Environment(
    "vision",
    BASE.imports | {"torchvision", "captum"},
    {**BASE.packages, "torchvision": "0.28.0", "captum": "0.9"},
)
LARGE = Environment(
    "large", VISION.imports | {"pandas"}, {**VISION.packages, "pandas": "3.1.1", "python-dateutil": "2.9"}
)


def of(folder: Path, files: Mapping[str, str], handler: str = "handler.py") -> Needs:
    """The needs of an archive of these files."""
    path = folder / "model.mar"
    content = {name: text.encode() for name, text in files.items()}
    info = mar.build(path, name="model", handler=handler, serialized_file=None, files=content)
    return needs.read(path, info)


class TestImports:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("import torchvision.transforms as T, numpy", {"torchvision", "numpy"}),
            ("from sklearn.svm import SVC", {"sklearn"}),
            ("import os, json, xml.etree.ElementTree", set()),
            (
                "class Model:\n    def initialize(self, context):\n        import transformers",
                {"transformers"},
            ),
            ("try:\n    import fast\nexcept ImportError:\n    fast = None", set()),
            ("try:\n    import fast\nexcept (ValueError, ModuleNotFoundError):\n    import slow", set()),
            ("try:\n    import fast\nfinally:\n    pass", {"fast"}),
            ("try:\n    import fast\nexcept ValueError:\n    pass", {"fast"}),
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\nelse:\n    import numpy",
                {"numpy"},
            ),
            ("# import pandas\nTEXT = 'import pandas'", set()),
            ("def broken(:", set()),
            (
                "from ts.torch_handler.image_classifier import ImageClassifier",
                {"ts", "torchvision", "captum"},
            ),
            ("from ts.torch_handler import object_detector", {"ts", "torchvision", "captum"}),
            ("from ts.torch_handler.base_handler import BaseHandler", {"ts"}),
        ],
    )
    def test_those_of_the_handler(self, tmp_path: Path, code: str, expected: set[str]) -> None:
        assert of(tmp_path, {"handler.py": code}).imports == expected

    def test_those_of_the_modules_that_it_imports_from_the_archive(self, tmp_path: Path) -> None:
        found = of(
            tmp_path,
            {
                "handler.py": "import helper\nfrom package import part\nfrom package.deep.most import thing",
                "helper.py": "import pandas",
                "package/__init__.py": "import scipy",
                "package/part.py": "from . import sibling\nfrom .deep import most",
                "package/sibling.py": "import networkx\nfrom .. import helper",
                "package/deep/most.py": "from ..other import x\nimport sympy",
                "package/other.py": "import yaml",
                "train.py": "import matplotlib",
            },
        )
        assert found.imports == {"pandas", "scipy", "networkx", "sympy", "yaml"}

    def test_modules_beside_a_handler_in_a_folder(self, tmp_path: Path) -> None:
        files = {"code/handler.py": "import beside\nimport torchvision", "code/beside.py": "import pandas"}
        assert of(tmp_path, files, "code/handler.py").imports == {"torchvision", "pandas"}

    def test_those_of_the_model_file(self, tmp_path: Path) -> None:
        manifest = {"model": {"handler": "handler.py", "modelFile": "network.py"}}
        sources = {"handler.py": b"import torch", "network.py": b"import torchvision"}
        roots = needs._roots(manifest["model"], frozenset(sources))
        assert needs.of_code(roots, frozenset(sources), sources.__getitem__) == {"torch", "torchvision"}

    @pytest.mark.parametrize("handler", ["image_classifier", "image_segmenter", "object_detector"])
    def test_those_of_torchserves_own_handlers(self, tmp_path: Path, handler: str) -> None:
        assert of(tmp_path, {"index_to_name.json": "{}"}, handler).imports == {"torchvision", "captum"}

    def test_no_code_of_an_archive_runs(self, tmp_path: Path) -> None:
        of(
            tmp_path,
            {"handler.py": f"open({str(tmp_path / 'ran')!r}, 'w')\nimport helper", "helper.py": "1 / 0"},
        )
        assert not (tmp_path / "ran").exists()

    def test_code_that_is_nested_without_end_is_left_to_whoever_loads_it(self, tmp_path: Path) -> None:
        code = "import torchvision\nx = " + "(" * 150 + ")" * 150 + "\ny = " + "-" * 20_000 + "1"
        assert of(tmp_path, {"handler.py": code}).imports <= {"torchvision"}

    @pytest.mark.parametrize("nested", ["if {0}:\n    pass", "class Mine({0}):\n    pass"])
    def test_an_expression_of_many_parts_is_none_too_many(self, tmp_path: Path, nested: str) -> None:
        code = "import torchvision\n" + nested.format("+".join(600 * "a"))
        assert of(tmp_path, {"handler.py": code}).imports == {"torchvision"}

    @pytest.mark.parametrize(
        ("handler", "more"),
        [
            (120_000 * "a\n", {}),
            (f"import helper{20_000 * '.a'}", {"helper/__init__.py": ""}),
            (
                "import " + ",".join(f"x{at}" for at in range(20_000)),
                {f"f{at}/a.py": "" for at in range(900)},
            ),
            ("# coding: punycode\n" + 100_000 * "a" + "-" + 100_000 * "b", {}),
        ],
        ids=["lines", "dotted", "names", "encoding"],
    )
    def test_code_of_any_size_takes_little_memory_and_time(
        self, tmp_path: Path, handler: str, more: dict[str, str]
    ) -> None:
        path = tmp_path / "model.mar"
        content = {name: text.encode() for name, text in {"handler.py": handler, **more}.items()}
        tracemalloc.start()
        try:
            began = time.process_time()
            info = mar.build(path, name="model", handler="handler.py", serialized_file=None, files=content)
            needs.read(path, info)
            seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 150 * 1024**2
        assert seconds < 20

    def test_of_many_large_modules_the_first_megabytes_are_read(self) -> None:
        sources = {f"m{at}.py": f"import m{at + 1}".encode() + 1_000_000 * b"\n" for at in range(20)}
        asked: list[str] = []

        def source(name: str) -> bytes:
            asked.append(name)
            return sources[name]

        needs.of_code(["m0.py"], frozenset(sources), source)
        assert asked == ["m0.py", "m1.py", "m2.py", "m3.py", "m4.py"]

    def test_a_condition_that_is_no_type_checkers_counts(self, tmp_path: Path) -> None:
        code = (
            "import typing\nif typing.TYPE_CHECKING:\n    import pandas\nif CHECKING:\n    import torchvision"
        )
        assert of(tmp_path, {"handler.py": code}).imports == {"torchvision"}


class TestRequirements:
    def test_names_versions_comments_and_options(self, tmp_path: Path) -> None:
        lines = ("--index-url https://example.org", "NumPy>=2,<3  # arrays", "", "# none", "Python_DateUtil")
        text = "\n".join((*lines, "pywin32; sys_platform=='win32'", ""))
        found = of(tmp_path, {"handler.py": "", "requirements.txt": text})
        assert [str(one) for one in found.requirements] == ["NumPy<3,>=2", "Python_DateUtil"]
        assert found.missing(BASE) == ["Python_DateUtil"]
        assert found.missing(LARGE) == []

    def test_another_version_than_the_environment_has_does_not_fit(self, tmp_path: Path) -> None:
        found = of(tmp_path, {"handler.py": "", "requirements.txt": "numpy==1.24.0\n"})
        assert found.missing(BASE) == ["numpy==1.24.0 (it has 2.4.6)"]

    @pytest.mark.parametrize(
        "line",
        [
            "numpy === = 1",
            'numpy; python_version ~= "abc"',
            f"numpy; {9000 * '('}os_name == 'posix'{9000 * ')'}",
        ],
        ids=["name", "marker", "nested"],
    )
    def test_a_line_that_names_no_package_is_rejected(self, tmp_path: Path, line: str) -> None:
        with pytest.raises(mar.MarError, match="names no package") as caught:
            of(tmp_path, {"handler.py": "", "requirements.txt": f"{line}\n"})
        assert caught.value.code == "requirements"


class TestChoice:
    @pytest.mark.parametrize(
        ("imports", "expected"),
        [
            (set(), "base"),
            ({"torch"}, "base"),
            ({"torchvision"}, "vision"),
            ({"pandas", "torchvision"}, "large"),
        ],
    )
    def test_the_smallest_that_has_all(self, imports: set[str], expected: str) -> None:
        found = needs.smallest(Needs(frozenset(imports)), [LARGE, BASE, VISION])
        assert found is not None
        assert found.name == expected

    def test_none(self) -> None:
        assert needs.smallest(Needs(frozenset({"tensorflow"})), [LARGE, BASE]) is None

    @pytest.mark.parametrize(
        ("module", "expected"),
        [
            ("numpy", "base"),
            ("torchvision", "vision"),
            ("transformers", "text"),
            ("sklearn", "sklearn"),
            ("skops", "sklearn"),
        ],
    )
    def test_of_those_of_this_release(self, module: str, expected: str) -> None:
        found = needs.smallest(Needs(frozenset({module})), known().values())
        assert found is not None
        assert found.name == expected
