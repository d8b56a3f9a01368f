"""What lists of experiments are filtered and sorted by; only triggers of the table `experiments` write it."""

from sqlalchemy import BigInteger, Index, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from metadata_api.database import columns
from metadata_api.database.session import Base


class ExperimentKey(Base):
    """One typed value of one experiment, as bytes that sort as the values do; see `metadata_api.listing.keys`."""

    __tablename__ = "experiment_keys"

    experiment_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)

    __table_args__ = (Index("ix_experiment_keys_key_experiment_id", "key", "experiment_id"),)


class ExperimentField(Base):
    """A name that some experiment has or had under metrics, params or tags.

    Two transactions may both be the first to use a name: neither waits for the other, and it is there twice.
    """

    __tablename__ = "experiment_fields"

    id: Mapped[int] = columns.identity()
    section: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_experiment_fields_section_name", "section", "name"),)
