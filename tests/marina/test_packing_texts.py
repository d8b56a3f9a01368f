"""`marina pack` with a tokenizer and the packages of the environment `text`: networks that take the ids of tokens."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from serving_runtime.archive import mar
from tests.conftest import ROOT
from tests.marina.conftest import Marina
from tests.marina.test_packing import golden, spec

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
# A transformer of random weights, traced with ids and mask, and the tokenizer that it was made with.
MODEL = """
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import DistilBertConfig, DistilBertForSequenceClassification

words = ["[PAD]", "[UNK]", "good", "bad", "day", "a"]
tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.save("tokenizer.json")
torch.manual_seed(0)
config = DistilBertConfig(vocab_size=6, dim=16, hidden_dim=32, n_heads=2, n_layers=2, max_position_embeddings=32)
network = DistilBertForSequenceClassification(config).eval()


class Called(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = network

    def forward(self, ids, mask):
        return self.network(input_ids=ids, attention_mask=mask).logits


ids = torch.tensor([[5, 2, 4], [3, 4, 0]])
torch.jit.trace(Called(), (ids, (ids > 0).long())).save("transformer.pt")
"""


class Bag(nn.Module):
    """Ids alone in, how many of them are even out: what stands beside a text would change it."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return (ids % 2 == 0).sum(1, keepdim=True).float()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer and its tokenizer, made by the environment, which is built if it is not there."""
    folder = tmp_path_factory.mktemp("models")
    python = Path(sys.prefix) / "environments" / "text" / "bin" / "python"
    if not python.exists():
        builder = [sys.executable, "serving/build_environment.py", "--uv", ".venv/bin/uv", "text"]
        subprocess.run(builder, cwd=ROOT, check=True, timeout=600)
    subprocess.run([python, "-c", MODEL], cwd=folder, check=True, timeout=300)
    torch.jit.script(Bag()).save(str(folder / "bag.pt"))
    (folder / "text.txt").write_text("a good day")
    return folder


@pytest.fixture
def pack(marina: Marina, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pack a file of that folder with its tokenizer."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> Path:
        said = marina(
            "pack", *arguments, "-x", "text.txt", "--tokenizer", "tokenizer.json", "-o", "packed.mar"
        )
        assert said.code == 0, said.err
        return folder / "packed.mar"

    return run


def test_a_transformer_gets_ids_and_their_mask(pack: Any) -> None:
    packed = pack("transformer.pt", "--labels", "fine,poor")
    assert spec(packed)["environment"] == "text"
    assert spec(packed)["inputs"][0]["kind"] == "text"
    assert sum(golden(packed)["probabilities"]) == pytest.approx(1)


def test_texts_of_a_batch_are_answered_as_each_alone(pack: Any, folder: Path) -> None:
    texts = ["a good day", "bad", "what a good good day", "größer?"]
    for model in ("transformer.pt", "bag.pt"):
        files = folder / f"unpacked-{model}"
        mar.unpack(pack(model), files)
        code = ANSWERS.format(folder=str(files), texts=texts)
        python = Path(sys.prefix) / "environments" / "text" / "bin" / "python"
        found = subprocess.run([python, "-c", code], cwd=files, check=True, capture_output=True, timeout=120)
        together, alone = np.array(eval(found.stdout))
        assert np.allclose(together, alone, atol=1e-5), model
        empty = subprocess.run(
            [python, "-c", ANSWERS.format(folder=str(files), texts=["", "bad"])],
            cwd=files,
            capture_output=True,
        )
        assert b"ValueError: the text is empty" in empty.stderr


def test_more_tokens_than_the_network_takes_are_cut_off(pack: Any, folder: Path) -> None:
    (folder / "text.txt").write_text("a good day " * 20)
    assert pack("transformer.pt", "--tokens", "32").exists()


ANSWERS = """
import numpy as np
from types import SimpleNamespace
from handler import Handler

handler = Handler()
handler.initialize(SimpleNamespace(system_properties={{"model_dir": {folder!r}}}))
texts = np.array([one.encode() for one in {texts!r}], dtype=object)


def ask(texts):
    (found,) = handler.predict({{"text": texts}}).values()
    return found.reshape(len(texts), -1)


print([ask(texts).tolist(), np.concatenate([ask(texts[at : at + 1]) for at in range(len(texts))]).tolist()])
"""
