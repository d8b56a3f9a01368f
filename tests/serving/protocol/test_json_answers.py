"""Answers that are JSON texts: probabilities by label, and boxes on an image, from whoever writes them."""

import pytest

from serving_runtime.protocol import json_answers
from serving_runtime.protocol.json_answers import Box


class TestProbabilities:
    def test_are_by_label_in_the_models_order(self) -> None:
        assert list(json_answers.probabilities('{"tabby": 0.7, "tiger": 0.3}').items()) == [
            ("tabby", 0.7),
            ("tiger", 0.3),
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "[1]",
            '{"a": "b"}',
            '{"a": true}',
            '{"a": NaN}',
            f'{{"a": 1{400 * "0"}}}',
            "x",
            b"\xff",
            "[" * 9999,
        ],
    )
    def test_anything_else_is_told(self, text: str | bytes) -> None:
        with pytest.raises(ValueError, match="JSON|number"):
            json_answers.probabilities(text)


class TestBoxes:
    def test_are_read_in_our_form_and_in_torchserves(self) -> None:
        ours = '[{"label": "cat", "score": 0.9, "box": [1, 2, 3.5, 4]}]'
        theirs = '[{"cat": [1, 2, 3.5, 4], "score": 0.9}]'
        assert (
            json_answers.boxes(ours) == json_answers.boxes(theirs) == [Box("cat", 0.9, (1.0, 2.0, 3.5, 4.0))]
        )
        assert json_answers.boxes("[]") == []

    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            "[1]",
            '[{"cat": [1, 2, 3, 4]}]',
            '[{"cat": [1, 2, 3], "score": 1}]',
            '[{"cat": [1, 2, 3, 4], "dog": [1, 2, 3, 4], "score": 1}]',
            '[{"cat": [1, 2, 3, Infinity], "score": 1}]',
            '[{"label": "cat", "box": [1, 2, 3, 4], "score": "high"}]',
        ],
    )
    def test_anything_else_is_told(self, text: str) -> None:
        with pytest.raises(ValueError, match="box|coordinate|score"):
            json_answers.boxes(text)
