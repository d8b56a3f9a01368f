"""Try, the page that Gradio serves: its components and their wiring; a callback is a client call and a renderer."""
