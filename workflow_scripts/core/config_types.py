"""The base class of all config models."""

from pydantic import BaseModel, ConfigDict


class Closed(BaseModel):
    """A model that refuses unknown keys and cannot be changed once checked."""

    model_config = ConfigDict(extra="forbid", frozen=True)
