"""Colours for Gradio's own parts; the rest is in the style sheets of `assets`. Used by `app.create_app`."""

import gradio as gr


def theme() -> gr.themes.Base:
    """A calm theme in the fonts of the visitor's system: those that come with Gradio weigh more than half a page."""
    base = gr.themes.Base(
        primary_hue=gr.themes.colors.cyan,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return base.set(
        body_background_fill="#f5f7f9",
        body_background_fill_dark="#10161d",
        body_text_color="#17212d",
        body_text_color_dark="#e4eaf0",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#18212b",
        block_background_fill="#ffffff",
        block_background_fill_dark="#18212b",
        block_border_color="#dfe5eb",
        block_border_color_dark="#2a3644",
        block_shadow="none",
        block_label_text_weight="600",
        button_primary_background_fill="#0b6a88",
        button_primary_background_fill_hover="#095a74",
        button_primary_background_fill_dark="#1487aa",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        slider_color="#0b6a88",
        slider_color_dark="#35a8cc",
        checkbox_background_color_selected="#0b6a88",
        checkbox_background_color_selected_dark="#1487aa",
        checkbox_border_color_selected="#0b6a88",
        checkbox_border_color_selected_dark="#1487aa",
    )
