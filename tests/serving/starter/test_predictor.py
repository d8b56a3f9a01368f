"""The network as it is served answers as the network that was trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from serving_runtime.starter import fastest
from serving_runtime.starter.fastest import with_fast_layers
from serving_runtime.starter.predictor import Predictor, load_network

from ..untrained import untrained

Both = dict[str, tuple[Path, Predictor]]

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

ASKS_ITS_LAYERS = """
from torch import nn

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, stride=3), nn.Conv2d(16, 16, 3)
        self.last = nn.Linear(784, 10)

    def forward(self, images):
        return self.last(self.second(self.first(images)).reshape(-1, 7 * 7 * self.second.out_channels))
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


def predictor(folder: Path) -> Predictor:
    """That of digits."""
    return Predictor(folder, np.zeros((1, 28, 28), np.float32))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    """Folder and predictor of a CNN and of an MLP, loaded once: to find the fastest variants takes seconds."""
    folder = tmp_path_factory.mktemp("networks")
    folders = {name: untrained(folder / name, network=name) for name in ("cnn", "mlp")}
    return {name: (place, predictor(place)) for name, place in folders.items()}


class TestPredict:
    @pytest.mark.parametrize("network", ["cnn", "mlp"])
    def test_every_batch_size_answers_as_the_network_itself(self, both: Both, network: str) -> None:
        folder, loaded = both[network]
        for count in (1, 2, 3, 5, 16, 17):
            batch = images(count, seed=count)
            answer = loaded.predict(batch)
            assert answer.dtype == np.float32
            assert answer.shape == (count, 10)
            assert np.abs(answer - plainly(folder, batch)).max() < 1e-5
            assert np.allclose(answer.sum(1), 1, atol=1e-5)

    def test_answer_to_an_image_does_not_depend_on_its_batch(self, both: Both) -> None:
        _, loaded = both["cnn"]
        batch = images(16)
        alone = np.concatenate([loaded.predict(batch[at : at + 1]) for at in range(16)])
        assert np.abs(alone - loaded.predict(batch)).max() < 1e-5

    def test_network_whose_steps_depend_on_its_input_is_not_traced(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, source=DEPENDS_ON_ITS_INPUT)
        loaded = predictor(folder)
        for batch in (np.zeros((1, 28, 28), np.float32), np.ones((1, 28, 28), np.float32)):
            assert np.abs(loaded.predict(batch) - plainly(folder, batch)).max() < 1e-6

    def test_network_that_asks_its_layers_for_their_channels_is_served(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, source=ASKS_ITS_LAYERS)
        assert np.abs(predictor(folder).predict(images(4)) - plainly(folder, images(4))).max() < 1e-5

    def test_views_and_read_only_arrays_are_taken(self, both: Both) -> None:
        _, loaded = both["mlp"]
        batch = images(4)
        batch.flags.writeable = False
        turned = np.ascontiguousarray(batch.transpose(0, 2, 1)).transpose(0, 2, 1)
        assert np.abs(loaded.predict(batch) - loaded.predict(turned)).max() < 1e-6


def kinds(layers: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in layers.children()]


class TestFastLayers:
    @pytest.mark.parametrize("side", [4, 7, 24, 28])
    @pytest.mark.parametrize(
        "convolution",
        [
            nn.Conv2d(32, 64, 3),
            nn.Conv2d(9, 5, 3, padding=1, bias=False),
            nn.Conv2d(16, 16, 3, padding=(0, 2)),
        ],
        ids=str,
    )
    def test_results_are_those_of_the_layers_that_they_replace(
        self, convolution: nn.Conv2d, side: int
    ) -> None:
        layers = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2)).eval()
        fast = with_fast_layers(layers)
        assert kinds(fast) == ["_WinogradConvolution", "_PairwisePool", "ReLU"]
        random = torch.Generator().manual_seed(0)
        for count in (1, 2, 16):
            batch = torch.rand(count, convolution.in_channels, side, side, generator=random)
            with torch.inference_mode():
                torch.testing.assert_close(fast(batch), layers(batch), rtol=1e-5, atol=1e-5)

    def test_network_given_is_left_as_it_is_and_shares_its_weights(self) -> None:
        layers = nn.Sequential(nn.Conv2d(16, 16, 3), nn.MaxPool2d(2))
        fast = with_fast_layers(layers)
        assert kinds(layers) == ["Conv2d", "MaxPool2d"]
        assert [id(weight) for weight in fast.parameters()] == [id(weight) for weight in layers.parameters()]

    @pytest.mark.parametrize(
        "layer",
        [
            nn.Conv2d(1, 32, 3),  # few channels: nothing to gain
            nn.Conv2d(16, 16, 5),
            nn.Conv2d(16, 16, 3, stride=2),
            nn.Conv2d(16, 16, 3, dilation=2),
            nn.Conv2d(16, 16, 3, groups=4),
            nn.Conv2d(16, 16, 3, padding="same"),
            nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular"),
            nn.MaxPool2d(3),
            nn.MaxPool2d(2, stride=1),
            nn.MaxPool2d(2, padding=1),
            nn.MaxPool2d(2, dilation=2),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.MaxPool2d(2, return_indices=True),
            nn.Linear(16, 16),
        ],
        ids=str,
    )
    def test_layer_that_does_something_else_stays(self, layer: nn.Module) -> None:
        assert kinds(with_fast_layers(nn.Sequential(layer))) == [type(layer).__name__]

    @pytest.mark.parametrize("before", [nn.Sigmoid(), nn.LeakyReLU(-1.0), nn.Linear(4, 4)], ids=str)
    def test_pool_changes_places_with_nothing_but_relu(self, before: nn.Module) -> None:
        fast = with_fast_layers(nn.Sequential(before, nn.MaxPool2d(2)))
        assert kinds(fast) == [type(before).__name__, "_PairwisePool"]

    def test_without_nnpack_convolutions_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.backends.nnpack, "is_available", lambda: False)
        fast = with_fast_layers(nn.Sequential(nn.Conv2d(16, 16, 3), nn.MaxPool2d(2)))
        assert kinds(fast) == ["Conv2d", "_PairwisePool"]

    def test_form_with_other_probabilities_is_never_served(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = untrained(tmp_path)
        monkeypatch.setattr(
            fastest, "with_fast_layers", lambda form: nn.Sequential(form, nn.Softmax(1)).eval()
        )
        # The last form counts as the fastest.
        monkeypatch.setattr(fastest, "_seconds", lambda forms, _: [-at for at in range(len(forms))])
        assert np.abs(predictor(folder).predict(images(4)) - plainly(folder, images(4))).max() < 1e-5


class TestLoading:
    def test_two_models_in_one_process_keep_to_their_own_network(self, both: Both) -> None:
        """Both files are called network.py."""
        for folder, loaded in both.values():
            assert np.abs(loaded.predict(images(1)) - plainly(folder, images(1))).max() < 1e-5

    def test_weights_of_another_network_are_rejected(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, network="cnn")
        (folder / "network.py").write_text(
            (untrained(tmp_path / "mlp", network="mlp") / "network.py").read_text()
        )
        with pytest.raises(RuntimeError, match="state_dict"):
            predictor(folder)

    def test_damaged_weights_are_rejected(self, tmp_path: Path) -> None:
        folder = untrained(tmp_path, network="mlp")
        (folder / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n")
        with pytest.raises(Exception, match="header"):
            predictor(folder)
