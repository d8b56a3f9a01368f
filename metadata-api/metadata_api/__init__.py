"""The metadata API: experiments, versions, deployments and predictions over HTTP, on Postgres."""
