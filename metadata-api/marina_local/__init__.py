"""One-machine mode: Postgres, serving, API and UI as supervised processes of one launcher (`make up`)."""
