"""Makes torchvision's models with random weights, and what they must answer; runs in the environment `vision`.

    python vision_models.py KIND FOLDER

writes the files of one of KINDS into FOLDER, what to ask (image.png or request.txt), and expected.json: what
torchvision and PyTorch alone say of it.
"""

import collections
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet18
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

NORMALIZED = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
STEPS = transforms.Compose(
    [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), NORMALIZED]
)
RESNET = """
from torchvision.models.resnet import BasicBlock, ResNet

class Classifier(ResNet):
    def __init__(self):
        super().__init__(BasicBlock, [2, 2, 2, 2])
"""
DETECTOR = """
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone

class Detector(FasterRCNN):
    def __init__(self):
        backbone = mobilenet_backbone(backbone_name="mobilenet_v3_large", weights=None, fpn=True, trainable_layers=6)
        anchors = AnchorGenerator(((32, 64, 128, 256),) * 3, ((0.5, 1.0, 2.0),) * 3)
        super().__init__(
            backbone, 3, min_size=160, max_size=160, rpn_anchor_generator=anchors, box_detections_per_img=10
        )
"""
WORDS = """
import torch

class Words(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.EmbeddingBag(5, 8)
        self.linear = torch.nn.Linear(8, 3)

    def forward(self, text, offsets):
        return self.linear(self.embedding(text, offsets))
"""


def image(folder: Path) -> Image.Image:
    """A colour picture that is not square, the same each time."""
    torch.manual_seed(1)
    small = (torch.rand(6, 8, 3) * 255).to(torch.uint8).numpy()
    made = Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)
    made.save(folder / "image.png")
    return made


def classifier() -> torch.nn.Module:
    torch.manual_seed(0)
    return resnet18(weights=None).eval()


def probabilities(network: Any, picture: Image.Image) -> Any:
    likely, classes = torch.softmax(network(STEPS(picture).unsqueeze(0)), 1).topk(5)
    names = labels()
    return {names[str(at)]: value for at, value in zip(classes[0].tolist(), likely[0].tolist(), strict=True)}


def labels() -> dict[str, str]:
    return {str(at): f"class {at}" for at in range(1000)}


def scripted(folder: Path) -> Any:
    network = classifier()
    torch.jit.script(network).save(str(folder / "model.pt"))
    return probabilities(network, image(folder))


def eager(folder: Path) -> Any:
    network = classifier()
    torch.save(network.state_dict(), folder / "weights.pth")
    (folder / "network.py").write_text(RESNET)
    return probabilities(network, image(folder))


def exported(folder: Path) -> Any:
    network = classifier()
    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(network, (torch.zeros(2, 3, 224, 224),), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "model.pt2")
    return probabilities(network, image(folder))


def segmenter(folder: Path) -> Any:
    torch.manual_seed(0)
    network = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4).eval()
    torch.jit.script(network).save(str(folder / "model.pt"))
    likely, classes = torch.softmax(network(STEPS(image(folder)).unsqueeze(0))["out"], 1).max(1)
    return torch.stack([classes[0].float(), likely[0]], 2)[::16, ::16].tolist()


def detector(folder: Path) -> Any:
    scope: dict[str, Any] = {}
    exec(DETECTOR, scope)
    torch.manual_seed(0)
    network = scope["Detector"]().eval()
    with torch.no_grad():  # without training nothing is as sure of itself as TorchServe asks for
        network.roi_heads.box_predictor.cls_score.bias[1] = 5.0
    torch.save(network.state_dict(), folder / "weights.pth")
    (folder / "network.py").write_text(DETECTOR)
    (found,) = network(transforms.ToTensor()(image(folder)).unsqueeze(0))
    sure = found["scores"] >= 0.5
    names = labels()
    return [
        {names[str(label)]: box, "score": score}
        for label, box, score in zip(
            found["labels"][sure].tolist(),
            found["boxes"][sure].tolist(),
            found["scores"][sure].tolist(),
            strict=True,
        )
    ]


def words(folder: Path) -> Any:
    """TorchServe's example of a text model, with a vocabulary that loads without torchtext."""
    torch.save(
        collections.Counter({"good": 1, "bad": 2, "very": 3, "very good": 4}), folder / "source_vocab.pt"
    )
    (folder / "network.py").write_text(WORDS)
    scope: dict[str, Any] = {}
    exec(WORDS, scope)
    torch.manual_seed(0)
    network = scope["Words"]().eval()
    torch.save(network.state_dict(), folder / "weights.pth")
    (folder / "request.txt").write_text("Very good!")
    numbers = torch.tensor([3, 1, 4])
    likely = torch.softmax(network(numbers, torch.tensor([0])), 1)[0].tolist()
    return {f"class {at}": value for at, value in enumerate(likely)}


KINDS: dict[str, Callable[[Path], Any]] = {
    each.__name__: each for each in (scripted, eager, exported, segmenter, detector, words)
}


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    with torch.no_grad():
        expected = KINDS[kind](folder)
    (folder / "expected.json").write_text(json.dumps(expected))
    (folder / "index_to_name.json").write_text(json.dumps(labels()))
    sys.stderr.write(f"torchvision {torchvision.__version__}\n")


if __name__ == "__main__":
    main()
