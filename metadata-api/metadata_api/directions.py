"""Whether a metric is better when it is lower or higher: what the experiment says, else a table of known names."""

import re
from collections.abc import Mapping
from typing import Final, Literal

Direction = Literal["min", "max"]

_LOWER = """
loss error errors mae mse rmse msle rmsle mape smape medae nll bce cer wer per ter eer fid perplexity ppl brier
divergence kl latency time duration seconds ms memory fpr fnr far frr hamming distance regret
"""
_HIGHER = """
accuracy acc top1 top5 f1 f2 fbeta auc auroc auprc roc ap map precision recall sensitivity specificity tpr tnr
iou miou dice jaccard r2 bleu rouge meteor ndcg mrr psnr ssim mcc kappa correlation pearson spearman kendall
score reward return throughput likelihood elbo hits
"""
MIN: Final = frozenset(_LOWER.split())
MAX: Final = frozenset(_HIGHER.split())
DEFAULT: Final[Direction] = "min"
# `val_f1`, `test/accuracy`, `topAccuracy` and `map50` end with a word of the tables.
MIN_SUFFIX: Final = 4
_WORD = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+(?![a-z])[0-9]*|[0-9]+")


def of(metric: str, said: Mapping[str, str] | None = None) -> Direction:
    """The direction of a metric: what `said` has for it, else the last word of its name that is known, else min."""
    match (said or {}).get(metric):
        case "min":
            return "min"
        case "max":
            return "max"
    for word in (metric, *reversed(_WORD.findall(metric))):
        if (known := _known(word.lower())) is not None:
            return known
    return DEFAULT


def _known(word: str) -> Direction | None:
    """Of one word: `map50` is `map`, `f1` is itself, and `testaccuracy` ends with `accuracy`."""
    for form in (word, word.rstrip("0123456789")):
        if form in MIN:
            return "min"
        if form in MAX:
            return "max"
    for start in range(1, len(word) - MIN_SUFFIX + 1):
        if word[start:] in MIN:
            return "min"
        if word[start:] in MAX:
            return "max"
    return None
