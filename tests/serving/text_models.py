"""Makes a classifier of Transformers with random weights, and what it must answer; runs in the environment `text`.

python text_models.py KIND FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertTokenizerFast

REQUEST = "the cat sat"
HANDLER = """
import json, os
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from ts.torch_handler.base_handler import BaseHandler

class Classifier(BaseHandler):
    def initialize(self, context):
        folder = context.system_properties["model_dir"]
        self.manifest = context.manifest
        with open(os.path.join(folder, "setup_config.json")) as file:
            self.setup_config = json.load(file)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        with open(os.path.join(folder, "index_to_name.json")) as file:
            self.mapping = json.load(file)
        self.initialized = True

    def preprocess(self, requests):
        texts = []
        for row in requests:
            text = row.get("data")
            if text is None:
                text = row.get("body")
            texts.append(text.decode("utf-8") if isinstance(text, (bytes, bytearray)) else text)
        return self.tokenizer(
            texts, max_length=self.setup_config["max_length"], padding=True, truncation=True, return_tensors="pt"
        )

    def inference(self, batch):
        with torch.inference_mode():
            return torch.softmax(self.model(**batch).logits, 1).tolist()

    def postprocess(self, answers):
        return [{self.mapping[str(at)]: value for at, value in enumerate(row)} for row in answers]
"""


def main() -> None:
    folder = Path(sys.argv[2])
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    network = BertForSequenceClassification(BertConfig(vocab_size=len(words), num_labels=2, **sizes)).eval()
    network.save_pretrained(folder)
    with torch.inference_mode():
        asked = AutoTokenizer.from_pretrained(folder)([REQUEST], return_tensors="pt")
        likely = torch.softmax(network(**asked).logits, 1)[0].tolist()
    (folder / "handler.py").write_text(HANDLER)
    (folder / "setup_config.json").write_text('{"max_length": 8}')
    (folder / "index_to_name.json").write_text('{"0": "calm", "1": "wild"}')
    (folder / "request.txt").write_text(REQUEST)
    (folder / "expected.json").write_text(json.dumps({"calm": likely[0], "wild": likely[1]}))


if __name__ == "__main__":
    main()
