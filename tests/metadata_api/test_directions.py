"""Which way a metric gets better."""

import pytest

from metadata_api import directions

KNOWN = {
    "min": "loss val_loss valLoss testloss error top5_error mae RMSE perplexity val/ppl cer WER fid latency_ms "
    "cross_entropy something brier_score_loss accuracy_loss",
    "max": "accuracy test_accuracy testaccuracy acc top5 f1 macro_F1 val.f1 auc rocAUC precision recall r2 mAP map50 "
    "mIoU bleu4 iou_3 dice score f1_score reward",
}


@pytest.mark.parametrize(
    ("metric", "expected"), [(name, way) for way, names in KNOWN.items() for name in names.split()]
)
def test_the_last_known_word_of_a_name_decides(metric: str, expected: str) -> None:
    assert directions.of(metric) == expected


def test_what_the_experiment_says_comes_first() -> None:
    assert directions.of("f1", {"f1": "min"}) == "min"
    assert directions.of("something", {"something": "max"}) == "max"
    assert directions.of("f1", {"loss": "min"}) == "max"


def test_no_word_is_in_both_tables() -> None:
    assert not directions.MIN & directions.MAX
