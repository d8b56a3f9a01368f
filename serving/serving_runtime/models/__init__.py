"""The models that this process serves: their versions, queues, self-tests and metrics; knows no HTTP."""
