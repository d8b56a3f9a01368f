"""One module for each tab: its components and their wiring; a callback is a client call and a renderer."""
