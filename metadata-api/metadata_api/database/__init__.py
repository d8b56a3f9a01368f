"""Postgres: sessions, tables and their migrations."""
