"""Which format a reader gets: `Accept`, with its weights, to a format."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message

from catchment.formats import PrometheusFormat, ProtobufFormat, ProtobufTextFormat, TextFormat


class Negotiator:
    """Chooses the format of an answer."""

    FALLBACK: type[PrometheusFormat] = TextFormat
    """For readers that ask for nothing, or for nothing that is there."""

    @classmethod
    def negotiate(cls, headers: Mapping[str, str]) -> type[PrometheusFormat]:
        """The format that the header `Accept` gives the greatest weight; of equal ones the first. Header names are
        taken in any case."""
        accept = next((value for name, value in headers.items() if name.lower() == "accept"), "")
        best, best_weight = cls.FALLBACK, 0.0
        for choice in accept.split(","):
            media_type = Message()
            media_type["Content-Type"] = choice.strip()
            found = cls._format(media_type)
            weight = _weight(media_type)
            if found is not None and weight > best_weight:
                best, best_weight = found, weight
        return best

    @classmethod
    def _format(cls, media_type: Message) -> type[PrometheusFormat] | None:
        if media_type.get_content_type() == ProtobufFormat.CONTENT:
            if media_type.get_param("proto") != ProtobufFormat.PROTO:
                return None
            encodings = {"delimited": ProtobufFormat, "text": ProtobufTextFormat}
            return encodings.get(str(media_type.get_param("encoding")))
        wants_text = media_type.get_content_type() == TextFormat.CONTENT
        if wants_text and media_type.get_param("version", TextFormat.VERSION) == TextFormat.VERSION:
            return TextFormat
        return None


def _weight(media_type: Message) -> float:
    try:
        return float(str(media_type.get_param("q", "1")))
    except ValueError:
        return 0.0
