"""The images that scenarios promote."""

from __future__ import annotations

from pathlib import Path

from demo.images import app_layer, image_layout, model_image
from demo.oci_layout import BuiltImage
from demo.team import ROOT

LEARNER = Path(__file__).parent / "learner"


def light_model_image() -> BuiltImage:
    """The sample's model image with a small learner in place of scikit-learn, whose push and start take most of a scenario."""
    files = {f"opt/packages/{path.relative_to(LEARNER)}": path for path in sorted(LEARNER.rglob("*.py"))}
    return model_image(ROOT, "model-light", app_layer(image_layout(), "learner", files))
