"""Deployments: which version of which experiment is desired under which name, what was observed, and what happened."""
