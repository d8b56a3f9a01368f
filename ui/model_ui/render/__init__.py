"""From the API's answers to what is shown: pure functions, no I/O, and every text of the API is escaped here."""
