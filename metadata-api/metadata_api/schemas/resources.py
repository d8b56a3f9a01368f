"""What each pod of a deployment may take, in Kubernetes' quantities."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from metadata_api.schemas.fields import Body

CPU_PATTERN = r"^([0-9]{1,3}(\.[0-9]{1,3})?|[0-9]{1,6}m)$"
MEMORY_PATTERN = r"^[0-9]{1,15}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
CPU_BOUNDS = ("10m", "256")
MEMORY_BOUNDS = ("64Mi", "4Ti")
SCALE = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)},
}


def amount(quantity: str) -> Decimal:
    """A quantity that fits one of the patterns, in cores or bytes."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", quantity, re.ASCII).groups()  # type: ignore[union-attr]
    return Decimal(number) * SCALE[unit]


def _between(bounds: tuple[str, str]) -> AfterValidator:
    least, most = bounds

    def check(quantity: str) -> str:
        if not amount(least) <= amount(quantity) <= amount(most):
            raise ValueError(f"must be from {least} to {most}")
        return quantity

    return AfterValidator(check)


Cpu = Annotated[
    str,
    Field(pattern=CPU_PATTERN, description="Cores, such as 2 or 500m.", examples=["500m"]),
    _between(CPU_BOUNDS),
]
Memory = Annotated[
    str,
    Field(pattern=MEMORY_PATTERN, description="Bytes, such as 1Gi or 800Mi.", examples=["1Gi"]),
    _between(MEMORY_BOUNDS),
]


class NewResources(Body):
    """What each pod requests and may take at most; what is left out is the installation's default."""

    cpu: Cpu | None = None
    memory: Memory | None = None


class Resources(BaseModel):
    """What each pod requests and may take at most; null is the installation's default."""

    cpu: str | None
    memory: str | None
