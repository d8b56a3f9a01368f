"""The connections of serving and the API, and of the UI, are the same code."""

import inspect

import model_ui.bounded_http
import serving_runtime.bounded_http


def test_the_copy_is_one() -> None:
    shared, copy = (
        inspect.getsource(module).split('"""', 2)[2]
        for module in (serving_runtime.bounded_http, model_ui.bounded_http)
    )
    assert shared == copy
