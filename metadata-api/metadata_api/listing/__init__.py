"""Lists of experiments: a filter, a sort order and columns in one grammar, answered from typed keys in Postgres."""
