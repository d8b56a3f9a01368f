"""The network as it is served answers as the network that was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from serving_runtime.predictor import Predictor, load_network

from .untrained import untrained

DEPENDS_ON_ITS_INPUT = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images):
        logits = self.layer(images.flatten(1))
        return logits if float(images.mean()) > 0.1 else -logits
"""


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 28, 28), np.float32)


def plainly(folder: Path, batch: np.ndarray) -> np.ndarray:
    """What the network itself answers, without any optimisation."""
    network = load_network(folder / "network.py")
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    network.eval()
    with torch.inference_mode():
        return torch.softmax(network(torch.from_numpy(batch).unsqueeze(1)), 1).numpy()


class TestPredict:
    @pytest.mark.parametrize("network", ["cnn", "mlp"])
    def test_every_batch_size_answers_as_the_network_itself(self, network: str, tmp_path: Path) -> None:
        folder = untrained(tmp_path, network=network)
        predictor = Predictor(folder)
        for count in (1, 2, 3, 5, 16, 17):
            batch = images(count, seed=count)
            answer = predictor.predict(batch)
            assert answer.dtype == np.float32
            assert answer.shape == (count, 10)
            assert np.abs(answer - plainly(folder, batch)).max() < 1e-5
            assert np.allclose(answer.sum(1), 1, atol=1e-5)

    def test_answer_to_an_image_does_not_depend_on_its_batch(self, tmp_path: Path) -> None:
        predictor = Predictor(untrained(tmp_path))
        batch = images(16)
        alone = np.concatenate([predictor.predict(batch[at : at + 1]) for at in range(16)])
        assert np.abs(alone - predictor.predict(batch)).max() < 1e-5

    def test_network_whose_steps_depend_on_its_input_is_not_traced(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, source=DEPENDS_ON_ITS_INPUT)
        predictor = Predictor(folder)
        for batch in (np.zeros((1, 28, 28), np.float32), np.ones((1, 28, 28), np.float32)):
            assert np.abs(predictor.predict(batch) - plainly(folder, batch)).max() < 1e-6

    def test_views_and_read_only_arrays_are_taken(self, tmp_path: Path) -> None:
        predictor = Predictor(untrained(tmp_path, network="mlp"))
        batch = images(4)
        batch.flags.writeable = False
        turned = np.ascontiguousarray(batch.transpose(0, 2, 1)).transpose(0, 2, 1)
        assert np.abs(predictor.predict(batch) - predictor.predict(turned)).max() < 1e-6


class TestLoading:
    def test_two_models_in_one_process_keep_to_their_own_network(self, tmp_path: Path) -> None:
        """Both files are called network.py."""
        cnn = Predictor(untrained(tmp_path / "cnn", network="cnn"))
        mlp = Predictor(untrained(tmp_path / "mlp", network="mlp"))
        for predictor, folder in ((cnn, tmp_path / "cnn"), (mlp, tmp_path / "mlp")):
            assert np.abs(predictor.predict(images(1)) - plainly(folder, images(1))).max() < 1e-5

    def test_labels_are_those_of_the_card(self, tmp_path: Path) -> None:
        assert Predictor(untrained(tmp_path, network="mlp")).labels == tuple("0123456789")

    def test_weights_of_another_network_are_refused(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, network="cnn")
        (folder / "network.py").write_text(
            (untrained(tmp_path / "mlp", network="mlp") / "network.py").read_text()
        )
        with pytest.raises(RuntimeError, match="state_dict"):
            Predictor(folder)

    def test_damaged_weights_are_refused(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, network="mlp")
        (folder / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
        with pytest.raises(Exception, match="header"):
            Predictor(folder)
