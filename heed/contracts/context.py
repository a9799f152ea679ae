"""`Context`: where an answer comes from, as the page that asked tells it. Nothing in it decides anything."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from heed.contracts.text import CONTEXT_MAX, URL_MAX, LanguageCode, storable

_Short = Annotated[str, StringConstraints(max_length=CONTEXT_MAX, strip_whitespace=True), AfterValidator(storable)]
_Url = Annotated[str, StringConstraints(max_length=URL_MAX, strip_whitespace=True), AfterValidator(storable)]


class Context(BaseModel):
    """What the asking page tells of itself; all of it is optional."""

    model_config = ConfigDict(extra="forbid")

    url: _Url | None = Field(None, description="The page that asked.", examples=["https://shop.example/orders/1"])
    app: _Short | None = Field(None, description="The version of the app that asked.", examples=["2.4.1"])
    ref: _Short | None = Field(None, description="What led here: a campaign, an order.", examples=["mail-2026-11"])
    language: LanguageCode | None = Field(None, description="The language the form was shown in.", examples=["de"])
