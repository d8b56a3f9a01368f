"""The Helm programs of this machine."""

import os
import shutil

PROGRAMS = sorted(
    {found for name in (os.environ.get("HELM", ""), "helm", "helm4") if (found := shutil.which(name))}
)
