"""Makes a pipeline of scikit-learn, and what it must answer; runs in the environment `sklearn`.

python table_models.py KIND FOLDER
"""

import json
import sys
from pathlib import Path

import skops.io
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HANDLER = """
import os
import skops.io

class Wine:
    def initialize(self, context):
        file = context.manifest["model"]["serializedFile"]
        self.pipeline = skops.io.load(os.path.join(context.system_properties["model_dir"], file))

    def handle(self, data, context):
        rows = [row.get("data") or row.get("body") for row in data]
        if any(not isinstance(row, list) for row in rows):
            raise ValueError("a row is a JSON list of 13 numbers")
        return [
            {f"class {at}": value for at, value in enumerate(row)} for row in self.pipeline.predict_proba(rows).tolist()
        ]
"""


def main() -> None:
    folder = Path(sys.argv[2])
    rows, classes = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, classes)
    skops.io.dump(pipeline, folder / "pipeline.skops")
    likely = pipeline.predict_proba(rows[:1])[0].tolist()
    (folder / "handler.py").write_text(HANDLER)
    (folder / "request.txt").write_text(json.dumps(rows[0].tolist()))
    (folder / "expected.json").write_text(
        json.dumps({f"class {at}": value for at, value in enumerate(likely)})
    )


if __name__ == "__main__":
    main()
