"""Bodies of requests and answers, one module per noun; unknown keys are rejected on input."""
